"""Every kind of route against a real listener, well and unwell."""

import hashlib
import hmac
import json
import os
import shutil
import time
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from schemas.alerts import AlertChange, AlertPart
from streams.alerts.routes import Route
from streams.alerts.senders import Failed, Refused, Sender, make_sender
from streams.alerts.texts import headline, lines
from streams.local.process import HOST, Child, free_port
from tests.harness import wait_until
from tests.streams.alerts.receivers import Receiver, receiving
from tests.streams.alerts.test_routes import change

ALERTMANAGER = os.environ.get("WEIR_TEST_ALERTMANAGER") or shutil.which("prometheus-alertmanager")
KEY = "a-key-in-the-path"


def sender(timeout_s: float = 10.0, **target: Any) -> Sender:
    return make_sender(Route.model_validate({"name": "one", "timeout_s": timeout_s, **target}))


async def sent(one: Sender, *changes: AlertChange) -> None:
    try:
        for each in changes:
            await one.send(each)
    finally:
        await one.close()


async def test_a_webhook_is_signed_and_can_be_told_from_a_repeat() -> None:
    with receiving() as receiver:
        target = {"url": f"{receiver.url}/x", "secret": "s3cret", "headers": {"X-Team": "blue"}}
        await sent(sender(webhook=target), change())
    (request,) = receiver.requests
    assert request.headers["Idempotency-Key"] == "a:opened:1"
    assert request.headers["X-Team"] == "blue"
    fields = dict(part.split("=", 1) for part in request.headers["Weir-Signature"].split(","))
    expected = hmac.new(b"s3cret", fields["t"].encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert fields["v1"] == expected
    assert abs(int(fields["t"]) - time.time()) < 3600
    assert json.loads(request.body)["title"] == "injection 0.99"


@pytest.mark.parametrize("answer", [500, 503, 429, 401, 404, 302])
async def test_what_may_pass_is_tried_again(answer: int) -> None:
    with receiving(answer) as receiver, pytest.raises(Failed, match=str(answer)):
        await sent(sender(webhook={"url": receiver.url}), change())
    assert len(receiver.requests) == 1, "a redirect is not followed"


@pytest.mark.parametrize("answer", [400, 413, 422])
async def test_what_is_refused_for_its_own_sake_is_not(answer: int) -> None:
    with receiving(answer) as receiver, pytest.raises(Refused, match=str(answer)):
        await sent(sender(webhook={"url": receiver.url}), change())


async def test_a_receiver_that_hangs_or_is_away_fails_without_its_address() -> None:
    with receiving(-1) as receiver, pytest.raises(Failed, match=r"no answer within 0\.2 s"):
        await sent(sender(0.2, slack={"url": f"{receiver.url}/{KEY}"}), change())
    with pytest.raises(Failed) as caught:
        await sent(sender(slack={"url": f"http://{HOST}:{free_port()}/{KEY}"}), change())
    assert KEY not in str(caught.value)


async def test_slack_gets_text_that_it_cannot_take_for_markup() -> None:
    hostile = change(app="<!channel>", title="drift & <http://x|y>\n\x1b[31m")
    with receiving() as receiver:
        await sent(sender(slack={"url": receiver.url}), hostile)
    text = json.loads(receiver.requests[0].body)["text"]
    assert "<" not in text
    assert "\x1b" not in text
    assert "&lt;!channel&gt;" in text


def test_a_text_names_the_parts_and_how_it_ended() -> None:
    part = AlertPart(part_id="p", title="drift: latency_ms 0", timestamp=1, app="shop", model="m")
    told = change(change="resolved", state="resolved", alerts=9, parts=(part,), resolved_at=1_700_000_060_000,
                  reason="returned", who="kim", comment="fixed")  # fmt: skip
    assert headline(told) == "resolved · high · shop-eu · injection 0.99"
    assert "resolved: 2023-11-14 22:14:20 UTC (returned)" in lines(told)
    assert "  drift: latency_ms 0 (shop / m)" in lines(told)
    assert "last word: kim: fixed" in lines(told)


@pytest.mark.parametrize("moment", [-(2**63), 2**63 - 1])
def test_a_time_that_no_calendar_has_is_told_all_the_same(moment: int) -> None:
    assert "since: " in "".join(lines(change(opened_at=moment)))


# Mail


class Mailbox:
    """The handler of an SMTP server; `answers` to mails come first, one after the other."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answers: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        message = BytesParser(policy=default).parsebytes(envelope.content)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box, port = Mailbox(), free_port()
    server = Controller(box, hostname=HOST, port=port)
    server.start()
    try:
        yield box, port
    finally:
        server.stop()


def mail(port: int, timeout_s: float = 10.0) -> Sender:
    target = {
        "host": HOST,
        "port": port,
        "security": "none",
        "sender": "weir@example.com",
        "to": ["a@example.com"],
    }
    return sender(timeout_s, email=target)


async def test_mail_is_sent_and_a_repeat_has_the_same_id(mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    await sent(
        mail(port), change(), change(), change(change_id="a:resolved:1", change="resolved", state="resolved")
    )
    first, again, end = box.mails
    assert first["Subject"] == "[weir] open · high · shop-eu · injection 0.99"
    assert first["Message-ID"] == again["Message-ID"] != end["Message-ID"]
    assert first["References"] == end["References"], "one thread"
    assert "rule: injection-block" in first.get_content()


async def test_mail_with_names_that_are_none_goes_all_the_same(mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    await sent(mail(port), change(app="a\r\nBcc: x@y.z", title="\ud800 \x00"))
    assert box.mails[0]["Bcc"] is None


async def test_a_mail_server_that_says_later_is_tried_again_and_one_that_says_no_is_not(
    mailbox: tuple[Mailbox, int],
) -> None:
    box, port = mailbox
    box.answers = ["451 later", "554 no"]
    with pytest.raises(Failed, match="451"):
        await sent(mail(port), change())
    with pytest.raises(Refused, match="554"):
        await sent(mail(port), change())
    await sent(mail(port), change())
    assert len(box.mails) == 1


async def test_a_mail_server_that_is_away_or_hangs_fails() -> None:
    with pytest.raises(Failed, match="refused"):
        await sent(mail(free_port()), change())
    silent = Receiver().start()  # speaks HTTP, and waits for the other side to begin
    try:
        with pytest.raises(Failed):
            await sent(mail(silent.port, 0.3), change())
    finally:
        silent.stop()


# Alertmanager


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if ALERTMANAGER is None:
        pytest.skip("Prometheus Alertmanager is not here: name its program in WEIR_TEST_ALERTMANAGER")
    folder = tmp_path_factory.mktemp("alertmanager")
    port = free_port()
    (folder / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    command = [ALERTMANAGER, f"--config.file={folder / 'am.yml'}", f"--storage.path={folder}",
               f"--web.listen-address={HOST}:{port}", "--cluster.listen-address="]  # fmt: skip
    url = f"http://{HOST}:{port}"
    child = Child("Alertmanager", command, folder / "am.log")
    child.start(lambda: _ready(url), 60.0)
    try:
        yield url
    finally:
        child.stop(20.0)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _active(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=5) as reply:
        found: list[dict[str, Any]] = json.load(reply)
        return found


async def test_alertmanager_has_the_alert_once_while_it_is_open(alertmanager: str) -> None:
    now = int(time.time() * 1000)
    moments = {"timestamp": now, "opened_at": now - 1_000, "last_at": now}
    one = sender(alertmanager={"url": alertmanager, "labels": {"cluster": "eu-1"}})
    await sent(one, change(**moments), change(change="still_open", **moments))
    wait_until(lambda: len(_active(alertmanager)) == 1, "it is active, once")
    labels = _active(alertmanager)[0]["labels"]
    assert labels["alertname"] == "weir-policy"
    assert (labels["severity"], labels["cluster"], labels["rule"]) == ("high", "eu-1", "injection-block")
    one = sender(alertmanager={"url": alertmanager, "labels": {"cluster": "eu-1"}})
    await sent(one, change(change="escalated", severity="critical", **moments))
    wait_until(lambda: [a["labels"]["severity"] for a in _active(alertmanager)] == ["critical"], "got worse")
    one = sender(alertmanager={"url": alertmanager, "labels": {"cluster": "eu-1"}})
    end = change(
        change="resolved", state="resolved", severity="critical", resolved_at=now, reason="quiet", **moments
    )
    await sent(one, end)
    wait_until(lambda: _active(alertmanager) == [], "it is over")


async def test_what_alertmanager_gets(tmp_path: Path) -> None:
    with receiving() as receiver:
        target = {"url": f"{receiver.url}/prefix/", "username": "u", "password": "p"}
        await sent(sender(alertmanager=target), change(change="escalated", severity="medium"))
    request = receiver.requests[0]
    assert request.path == "/prefix/api/v2/alerts"
    assert request.headers["Authorization"] == "Basic dTpw"
    severities = [each["labels"]["severity"] for each in json.loads(request.body)]
    assert severities == ["medium", "none", "low"], "it ends under those that it had"
