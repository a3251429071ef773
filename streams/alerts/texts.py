"""An alert in words and in the forms that receivers take. Pure: no I/O.

Nothing in it is of a prompt or a completion: titles hold rules, metrics and numbers.
"""

import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any, Final

from schemas import codec
from schemas.alerts import AlertChange
from schemas.events import SEVERITIES
from streams.alerts.routes import Alertmanager, Email
from streams.policy.actions import GRAVE
from streams.terminal.command import plain

PARTS: Final = 8
"""Parts of an alert that a text names."""
ACTIVE_MS: Final = 24 * 3600 * 1000
"""How long Alertmanager takes an alert for active when it hears no more; it is told again long before."""
LAST_MS: Final = 253_402_300_799_000
"""The end of the year 9999."""
_SLACK: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MARKS: Final[Mapping[str, str]] = {"resolved": ":white_check_mark:", "acknowledged": ":eyes:"}


def headline(change: AlertChange) -> str:
    """Return one line: state, severity, app, title."""
    return plain(f"{change.state} · {change.severity} · {change.app or 'several apps'} · {change.title}")


def lines(change: AlertChange) -> list[str]:
    """Return what there is to say beside the headline, a line each."""
    told = [
        f"rule: {change.rule}" + (f", about: {change.subject}" if change.subject else ""),
        f"since: {moment(change.opened_at)}",
    ]
    if change.resolved_at:
        told.append(f"resolved: {moment(change.resolved_at)} ({change.reason})")
    if change.alerts > 1:
        told.append(f"stands for {change.alerts:,} alerts, the first:")
        told += [
            f"  {part.title} ({_place(part.app, part.model, part.prompt_version)})"
            for part in change.parts[:PARTS]
        ]
    if change.who:
        told.append(f"last word: {change.who}" + (f": {change.comment}" if change.comment else ""))
    return [plain(line) for line in (*told, f"id: {change.alert_id}")]


def webhook(change: AlertChange) -> bytes:
    """Return the body for a webhook: the message of `llm.alert-states` itself."""
    return codec.encode(change)


def signature(secret: str, body: bytes, now_s: int) -> str:
    """Return `t=SECONDS,v1=HEX`: HMAC-SHA256 (RFC 2104) of `SECONDS.BODY`. The time tells a replay."""
    digest = hmac.new(secret.encode(), f"{now_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now_s},v1={digest}"


def slack(change: AlertChange) -> dict[str, Any]:
    """Return the payload of an incoming webhook of Slack."""
    mark = _MARKS.get(change.state, ":rotating_light:" if change.severity in GRAVE else ":warning:")
    head = headline(change).translate(_SLACK)
    rest = "\n".join(lines(change)).translate(_SLACK)
    return {"text": f"{mark} *{head}*\n{rest}"}


def alertmanager(change: AlertChange, target: Alertmanager, now_ms: int) -> list[dict[str, Any]]:
    """Return the alerts of `POST /api/v2/alerts`.

    Labels are what an alert is known by there, so one that got worse ends under its old severity.
    """
    ended = change.resolved_at or now_ms
    before = (
        SEVERITIES[: SEVERITIES.index(change.severity)]
        if change.change == "escalated" and change.severity in SEVERITIES
        else ()
    )
    active = _alertmanager(
        change, target, change.severity, ended if change.state == "resolved" else now_ms + ACTIVE_MS
    )
    return [active, *(_alertmanager(change, target, severity, now_ms) for severity in before)]


def _alertmanager(change: AlertChange, target: Alertmanager, severity: str, ends_ms: int) -> dict[str, Any]:
    labels = {
        "alertname": f"weir-{change.kind}",
        "alert_id": change.alert_id,
        "severity": severity,
        "kind": change.kind,
        "rule": change.rule,
        "subject": change.subject,
        **target.labels,
    }
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {
            "summary": headline(change),
            "description": "\n".join(lines(change)),
            "app": change.app,
        },
        "startsAt": _rfc3339(change.opened_at),
        "endsAt": _rfc3339(max(ends_ms, change.opened_at + 1)),
    }


def email(change: AlertChange, target: Email) -> EmailMessage:
    """Return the mail; its Message-ID is the same when it is sent again."""
    message = EmailMessage()
    message["Subject"] = f"[weir] {headline(change)}"[:200]
    message["From"], message["To"] = target.sender, ", ".join(target.to)
    domain = target.sender.rpartition("@")[2]
    message["Message-ID"] = f"<{_digest(change.change_id)}@{domain}>"
    message["Date"] = _time(change.timestamp)
    # Mails of one alert are one thread.
    message["References"] = f"<{_digest(change.alert_id)}@{domain}>"
    message.set_content("\n".join([headline(change), "", *lines(change)]) + "\n")
    return message


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def moment(timestamp_ms: int) -> str:
    """Return a time as a person reads it, UTC."""
    return f"{_time(timestamp_ms):%Y-%m-%d %H:%M:%S} UTC"


def _rfc3339(timestamp_ms: int) -> str:
    return _time(timestamp_ms).isoformat(timespec="milliseconds")


def _time(timestamp_ms: int) -> dt.datetime:
    """Return a time that can be written: a clock may say anything."""
    return dt.datetime.fromtimestamp(min(max(0, timestamp_ms), LAST_MS) / 1000, dt.UTC)


def _place(*names: str) -> str:
    return " / ".join(filter(None, names))
