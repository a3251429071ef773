"""Whatever is found, however much and under whatever names: what notify remembers fits into one record."""

import random

import msgspec
import pytest

from schemas import codec, topics
from schemas.alerts import MOST_COMMENT
from schemas.drift import DriftRecord
from schemas.events import NAME_LENGTH, Alert
from streams.alerts import memory
from streams.alerts.life_cycle import CROWDS, MOST, OTHERS, Memory
from streams.alerts.signals import DRIFT, Signal, of_alert, of_drift
from streams.alerts.tracked import MOST_PARTS
from streams.kafka.topics import TOPIC_CONFIG
from tests.streams.alerts.cycles import T0, Run, S, alert, drift

LARGEST = int(TOPIC_CONFIG[topics.STATE]["max.message.bytes"])
FEW = 4


def long_names(seed: int) -> list[str]:
    """Return names as long as an event's may be, which no compression makes shorter."""
    rng = random.Random(seed)
    return ["".join(chr(rng.randrange(0x20000, 0x2A000)) for _ in range(NAME_LENGTH)) for _ in range(FEW)]


def flood() -> list[Signal]:
    """As many alerts as can be open, each with parts under names of four bytes a character."""
    signals = []
    for number in range(MOST):
        app, model, version, user = long_names(number)
        for part in range(FEW):
            more = {"app": app, "model": model[part:], "prompt_version": version[part:], "subject": user}
            signals.append(alert(FEW * number + part, part, **more))  # type: ignore[arg-type]
    return signals


@pytest.fixture(scope="module")
def flooded() -> Run:
    run = Run()
    run.at(0, *flood())
    run.at(10)
    return run


def fits(value: bytes) -> Memory:
    assert len(value) < LARGEST
    snapshot = memory.decode(value)
    assert snapshot is not None, "it can be read again"
    return snapshot.memory


def test_long_names_make_fewer_parts_and_no_alert_is_lost(flooded: Run) -> None:
    assert [each.change for each in flooded.said] == ["opened"] * MOST
    kept = fits(memory.encode({}, flooded.cycle.export(), []))
    assert len(kept.alerts) == MOST
    assert all(each.alerts == FEW and 1 <= len(each.parts) < FEW for each in kept.alerts)
    run = Run()
    run.at(0, *(alert(number, number / 10) for number in range(100)))
    run.at(10)
    assert len(run.said[-1].parts) == MOST_PARTS, "of ordinary ones all are told apart"


def test_a_snapshot_with_all_that_can_be_in_it_fits(flooded: Run) -> None:
    everything = flooded.cycle.export()
    rng = random.Random(1)
    for each in everything.alerts:
        each.comment = "".join(chr(rng.randrange(0x20000, 0x2A000)) for _ in range(MOST_COMMENT))
    kept = fits(memory.encode({}, everything, flooded.said))
    assert kept.alerts[-1].alert_id == everything.alerts[-1].alert_id, "of too many the newest"
    assert everything.alerts[0].comment, "what is in memory stays"
    alike = Memory([msgspec.structs.replace(each, comment="x" * 80_000) for each in everything.alerts])
    assert fits(memory.encode({}, alike, [])).alerts, "what packs well can be unpacked"


def test_beyond_the_limit_drifts_are_one_alert_and_so_are_rules() -> None:
    drifts = [drift(f"d{n}", 0, 1, 0.1, 0.9, app=f"app{n}", model=f"m{n}") for n in range(MOST + 100)]
    rules = [
        alert(n)._replace(group=alert(n).group._replace(rule=f"rule{n}")) for n in range(MOST + CROWDS + 100)
    ]
    run, other = Run(), Run()
    run.at(1, *drifts)
    assert run.at(11) == ["opened"] * (MOST + 1)
    assert (run.said[-1].app, run.said[-1].rule, run.said[-1].alerts) == ("", DRIFT, 100)
    other.at(1, *rules)
    assert other.at(11) == ["opened"] * (MOST + CROWDS + 1)
    assert (other.said[-1].rule, other.said[-1].alerts) == (OTHERS, 100)


def test_a_history_that_is_read_at_once_is_told_and_not_remembered() -> None:
    run, number = Run(), 0
    for week in range(30):
        for app in range(100):
            run.cycle.add(alert(number, week * 7 * 86_400, app=f"app{app}"), T0)
            number += 1
    assert len(run.cycle.export().alerts) <= 2 * MOST
    run.at(10)
    said = [each.alert_id for each in run.said if each.change == "opened"]
    assert sorted(said) == sorted(f"a{n}" for n in range(number)), "each was there"
    assert sum(each.change == "resolved" for each in run.said) == number - 100, (
        "all but the last ones are over"
    )


def test_a_text_that_is_longer_than_any_of_ours_is_cut() -> None:
    huge = "é" * 900_000
    found = [
        of_alert(
            Alert(alert_id="a", source=huge, severity="low", rule=huge, title=huge, timestamp=T0, app=huge)
        ),
        of_drift(
            DriftRecord(
                drift_id="d", app=huge, kind="prompt", metric=huge, detector="cusum", timestamp=T0 + S,
                event_id=huge, before=0.0, after=1.0,
            )
        ),
    ]  # fmt: skip
    run = Run()
    run.at(0, *(each for each in found if each is not None))
    run.at(10)
    assert [each.change for each in run.said] == ["opened", "opened"]
    assert all(len(codec.encode(each)) < 10_000 for each in run.said)
