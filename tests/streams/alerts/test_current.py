"""The alerts as they are now, and what notify remembers of them."""

import zlib
from pathlib import Path

import click
import msgspec
import pytest

from schemas import codec
from streams.alerts import memory
from streams.alerts.actions import acknowledge, silence
from streams.alerts.current import Latest, named
from streams.alerts.life_cycle import Memory
from streams.alerts.tracked import begin
from streams.alerts.trial import send_trial
from streams.commands.alerts import _duration
from streams.errors import ServerError, UserError
from tests.streams.alerts.cycles import alert
from tests.streams.alerts.receivers import receiving
from tests.streams.alerts.test_routes import change, written


def test_the_highest_version_is_the_state_whatever_is_repeated() -> None:
    opened = change(version=1)
    resolved = change(version=2, state="resolved", change="resolved")
    other = change(alert_id="b", opened_at=1)
    values = [codec.encode(each) for each in (opened, resolved, opened, other)]
    alerts = Latest()
    for value in (*values, b"{", None):
        alerts.take(value)
    assert alerts.ordered() == [other, resolved]


def test_an_alert_is_named_by_its_first_digits_or_by_a_part() -> None:
    first, second = change(alert_id="abcd1"), change(alert_id="abcd2")
    assert named([first, second], "abcd1") is first
    with pytest.raises(UserError, match="2 alerts begin"):
        named([first, second], "abcd")
    with pytest.raises(UserError, match="no alert 'abc'"):
        named([first], "abc")
    with pytest.raises(UserError, match="weir alerts list --all"):
        named([first], "nobody")


def test_an_action_needs_a_name_and_a_silence_an_end() -> None:
    with pytest.raises(UserError, match="the name of who"):
        acknowledge("a", " ", now_ms=1)
    with pytest.raises(UserError, match="in the future"):
        silence("a", "kim", 5, now_ms=10)
    with pytest.raises(UserError, match="at most 4,096"):
        acknowledge("a", "kim", "x" * 5_000, now_ms=1)
    same = [acknowledge("a", "kim", now_ms=n).action_id for n in (1, 1, 2)]
    assert same[0] == same[1] != same[2]


def test_a_snapshot_is_read_as_it_was_written_and_rubbish_is_none() -> None:
    one = alert(1)
    kept = Memory([begin(one, one.group, 5)], [1, 2**63])
    snapshot = memory.decode(memory.encode({"llm.alerts/0": 7}, kept, [change()]))
    assert snapshot is not None
    assert (snapshot.positions, snapshot.memory, snapshot.outbox) == ({"llm.alerts/0": 7}, kept, [change()])
    later = zlib.compress(msgspec.msgpack.encode([memory.FORMAT + 1, {}, Memory()]))
    bomb = zlib.compress(bytes(memory.MAX_BYTES + 1))
    assert [memory.decode(value) for value in (b"", b"x", later, bomb)] == [None] * 4


@pytest.mark.parametrize(("text", "ms"), [("90s", 90_000), ("15m", 900_000), ("4h", 14_400_000)])
def test_how_long_a_silence_lasts(text: str, ms: int) -> None:
    assert _duration(text) == ms


@pytest.mark.parametrize("text", [None, "", "4", "h", "-4h", "4 h", "9999999d"])
def test_how_long_it_cannot_last(text: str | None) -> None:
    with pytest.raises(click.UsageError, match="90s, 15m, 4h or 7d"):
        _duration(text)


async def test_a_trial_says_how_it_went(tmp_path: Path) -> None:
    with receiving(200, 500) as receiver:
        routes = written(tmp_path, f"routes:\n  - {{name: one, webhook: {{url: '{receiver.url}'}}}}")
        assert await send_trial(routes, "one") == "route one: delivered"
        with pytest.raises(ServerError, match="route one: answered 500"):
            await send_trial(routes, "one")
        with pytest.raises(UserError, match="no route 'onr' \\(did you mean 'one'"):
            await send_trial(routes, "onr")
    with pytest.raises(UserError, match="WEIR_ROUTES names no file"):
        await send_trial(None, "one")
