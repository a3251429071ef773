"""How a change of an alert gets to a receiver; each sends once and says how that went."""

import asyncio
import base64
import smtplib
import ssl
import time
from typing import Any, Final, Protocol

import aiohttp
import msgspec

from schemas.alerts import AlertChange
from streams.alerts import texts
from streams.alerts.routes import Alertmanager, Email, Route, Slack, Webhook

REFUSED: Final = frozenset({400, 413, 415, 422})
"""Answers about the message, not the receiver: sent again it would be refused again."""
MOST_WAIT_S: Final = 300.0
_JSON: Final = {"Content-Type": "application/json"}


class Refused(Exception):  # noqa: N818 (an answer, not a fault)
    """The receiver does not want this message, now or later."""


class Failed(Exception):  # noqa: N818
    """It was not delivered, as far as we know; to be tried again.

    The text is for the operator: of an address only what is no secret.
    """

    def __init__(self, problem: str, wait_s: float = 0.0) -> None:
        super().__init__(problem)
        self.wait_s = wait_s
        """What the receiver asks us to wait."""


class Sender(Protocol):
    """Sends to one receiver."""

    async def send(self, change: AlertChange) -> None:
        """Deliver; raise `Refused` or `Failed`."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class HttpSender:
    """Posts to a webhook, Slack or Alertmanager."""

    def __init__(self, target: Webhook | Slack | Alertmanager, timeout_s: float) -> None:
        self._target = target
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, change: AlertChange) -> None:
        """Deliver by POST."""
        url, body, headers = self._request(change)
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, headers={"User-Agent": "weir"})
        try:
            # A redirect would take the signature, and what is in the message, to somewhere else.
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as reply:
                self._check(reply)
        except TimeoutError:
            raise Failed(f"no answer within {self._timeout.total:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Failed(_problem(error)) from None

    def _check(self, reply: aiohttp.ClientResponse) -> None:
        if reply.status in REFUSED:
            raise Refused(f"answered {reply.status}")
        if not 200 <= reply.status < 300:
            wait = reply.headers.get("Retry-After", "")
            raise Failed(f"answered {reply.status}", min(MOST_WAIT_S, float(wait)) if wait.isdigit() else 0.0)

    def _request(self, change: AlertChange) -> tuple[str, bytes, dict[str, str]]:
        target, url = self._target, self._target.url.get_secret_value()
        if isinstance(target, Slack):
            return url, _json(texts.slack(change)), _JSON
        if isinstance(target, Alertmanager):
            body = texts.alertmanager(change, target, time.time_ns() // 1_000_000)
            credentials = f"{target.username}:{target.password.get_secret_value()}".encode()
            basic = {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}
            more = basic if target.username else {}
            return f"{url.rstrip('/')}/api/v2/alerts", _json(body), _JSON | more
        content = texts.webhook(change)
        headers = _JSON | {"Idempotency-Key": change.change_id}
        headers |= {name: value.get_secret_value() for name, value in target.headers.items()}
        if secret := target.secret.get_secret_value():
            headers["Weir-Signature"] = texts.signature(secret, content, int(time.time()))
        return url, content, headers

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


class MailSender:
    """Sends by SMTP, a connection for each mail: alerts are few."""

    def __init__(self, target: Email, timeout_s: float) -> None:
        self._target = target
        self._timeout_s = timeout_s

    async def send(self, change: AlertChange) -> None:
        """Deliver a mail."""
        message = texts.email(change, self._target)
        try:
            # A server that sends a byte now and then would hold the thread for longer than its time-out.
            async with asyncio.timeout(3 * self._timeout_s):
                await asyncio.to_thread(self._send, message)
        except smtplib.SMTPRecipientsRefused as error:
            self._judge({code for code, _ in error.recipients.values()})
        except smtplib.SMTPResponseException as error:
            self._judge({error.smtp_code} if isinstance(error, smtplib.SMTPDataError) else {0})
        except TimeoutError:
            raise Failed(f"no answer within {self._timeout_s:g} s") from None
        except (smtplib.SMTPException, OSError) as error:
            raise Failed(_problem(error)) from None

    def _judge(self, codes: set[int]) -> None:
        """Raise what the codes of a server mean: 5xx about the mail or its recipients is the last word."""
        shown = ", ".join(str(code) for code in sorted(codes) if code) or "refused the sign-in or the sender"
        raise Refused(f"answered {shown}") if min(codes) >= 500 else Failed(f"answered {shown}")

    def _send(self, message: Any) -> None:
        target = self._target
        context = ssl.create_default_context()
        if target.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                target.host, target.port, timeout=self._timeout_s, context=context
            )
        else:
            server = smtplib.SMTP(target.host, target.port, timeout=self._timeout_s)
        with server:
            if target.security == "starttls":
                server.starttls(context=context)
            if target.username:
                server.login(target.username, target.password.get_secret_value())
            server.send_message(message)

    async def close(self) -> None:
        """Nothing is held."""


def make_sender(route: Route) -> Sender:
    """Return what delivers for a route."""
    if route.email is not None:
        return MailSender(route.email, route.timeout_s)
    target = route.webhook or route.slack or route.alertmanager
    assert target is not None, "a route has one target"
    return HttpSender(target, route.timeout_s)


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _problem(error: Exception) -> str:
    """Return what is wrong without the address, whose path may be a key."""
    reason = getattr(error, "os_error", error)
    return getattr(reason, "strerror", None) or type(error).__name__
