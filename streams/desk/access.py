"""Who may come in, and what he may do there."""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, unquote

import structlog
from aiohttp import web

from streams.desk.asked import Asked
from streams.desk.settings import DeskSettings
from streams.errors import UserError
from streams.setting_types import LOOPBACK, name_in

Role = Literal["viewer", "reviewer"]
NAME_LENGTH: Final = 64
_COOKIE: Final = "weir_reviewer"
_YEAR_S: Final = 365 * 86_400
LOCAL: Final = "desk"
"""Who asks where nobody has to say so, and has not."""
log = structlog.get_logger("weir.desk.audit")


class Visitor(NamedTuple):
    """Who asks."""

    name: str
    role: Role
    names_himself: bool = False
    """Whether nobody else says who asks."""


class Access:
    """Lets in whom the settings let in.

    A proxy's header is believed when it comes from a proxy; else a password counts; on this machine alone,
    where neither is set, everybody is a reviewer.
    """

    def __init__(self, settings: DeskSettings) -> None:
        self._settings = settings
        self._secret = secrets.token_bytes(32)

    def visitor(self, request: web.Request) -> Visitor:
        """Return who asks; raise the HTTP error of who may not."""
        settings = self._settings
        # Elsewhere a name that leads here though it is not ours is DNS rebinding.
        if settings.is_local and name_in(request.headers) not in LOOPBACK:
            raise web.HTTPForbidden(text="This desk is for this machine alone: open it by 127.0.0.1.")
        if settings.desk_user_header:
            return self._named_by_proxy(request)
        if settings.desk_password.get_secret_value():
            return self._with_password(request)
        given = unquote(request.cookies.get(_COOKIE, ""), errors="replace")
        return Visitor(named(given) or LOCAL, "reviewer", names_himself=True)

    def rename(self, visitor: Visitor, name: str, answer: web.StreamResponse) -> None:
        """Have a visitor called otherwise from `answer` on, in this browser; `UserError` says why not."""
        if not visitor.names_himself:
            raise UserError("your name is the one that you came in with")
        if not named(name):
            raise UserError(f"a name is of letters that one sees, at most {NAME_LENGTH}")
        answer.set_cookie(_COOKIE, quote(named(name)), max_age=_YEAR_S, httponly=True, samesite="Strict")
        audit("took a name", visitor.name, name=named(name))

    def token(self, visitor: Visitor) -> str:
        """Return what a form of ours carries, and no other site knows."""
        return hmac.new(self._secret, visitor.name.encode(), hashlib.sha256).hexdigest()

    def require(self, visitor: Visitor, token: str) -> None:
        """Raise the HTTP error of a change that is not a reviewer's, or not from a form of ours."""
        if visitor.role != "reviewer":
            raise web.HTTPForbidden(text="You may look here, and not change anything.")
        if not hmac.compare_digest(token.encode(), self.token(visitor).encode()):
            raise web.HTTPForbidden(text="The page is too old: load it again.")

    def _named_by_proxy(self, request: web.Request) -> Visitor:
        name = request.headers.get(self._settings.desk_user_header, "").strip()[:NAME_LENGTH]
        if request.remote not in self._settings.desk_proxies or not name:
            raise web.HTTPForbidden(text="Come by the proxy that knows who you are.")
        named = self._settings.desk_reviewers
        return Visitor(name, "reviewer" if not named or name in named else "viewer")

    def _with_password(self, request: web.Request) -> Visitor:
        name, given = _basic(request.headers.get("Authorization", ""))
        passwords: tuple[tuple[Role, str], ...] = (
            ("reviewer", self._settings.desk_password.get_secret_value()),
            ("viewer", self._settings.desk_viewer_password.get_secret_value()),
        )
        for role, password in passwords:
            if name and password and hmac.compare_digest(given.encode(), password.encode()):
                return Visitor(name[:NAME_LENGTH], role)
        if given:
            audit("refused", name[:NAME_LENGTH], address=request.remote)
        raise web.HTTPUnauthorized(
            text="Give your name and the password of the desk.",
            headers={"WWW-Authenticate": 'Basic realm="weir desk", charset="UTF-8"'},
        )


def named(given: str) -> str:
    """Return a name as it is kept, empty where it is none."""
    name = " ".join(given.split())
    return name if name.isprintable() and len(name) <= NAME_LENGTH else ""


def _basic(header: str) -> tuple[str, str]:
    """Return name and password of Basic authentication, empty where there are none."""
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


def audit(what: str, who: str, **more: object) -> None:
    """Log what somebody did or saw; never a text."""
    log.info("audit", what=what, who=who, **more)


def audit_read(visitor: Visitor, asked: Asked) -> None:
    """Log who sees texts that were kept as they came."""
    if asked.whole:
        audit("read", visitor.name, events=[*dict.fromkeys(asked.whole)])
