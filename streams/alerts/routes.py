"""The file of routes: who is told of which alerts, and how. `docs/alerts.md` has an example of each."""

import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from schemas.alerts import AlertChange, ChangeKind
from schemas.events import SEVERITIES, Severity
from streams.errors import UserError

TOLD: tuple[ChangeKind, ...] = ("opened", "escalated", "still_open", "reopened", "resolved")
"""What a route tells where it does not say."""
MOST_BYTES = 256 * 1024
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class RoutesError(UserError):
    """The file of routes is wrong; the message says where and what is allowed, never a secret."""


def _http(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL begins with http:// or https://")
    return url


Url = Annotated[SecretStr, AfterValidator(_http)]
"""Secret, since the address of a Slack webhook is its key."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Webhook(_Strict):
    """JSON by POST, signed where there is a secret."""

    url: Url
    secret: SecretStr = SecretStr("")
    headers: dict[str, SecretStr] = {}


class Slack(_Strict):
    """An incoming webhook of Slack, or of what speaks like it (Mattermost, Rocket.Chat, Discord's /slack)."""

    url: Url


class Alertmanager(_Strict):
    """Prometheus Alertmanager, API v2."""

    url: Url
    """Without `/api/v2/alerts`."""
    username: str = ""
    password: SecretStr = SecretStr("")
    labels: dict[str, str] = {}


class Email(_Strict):
    """Mail by SMTP."""

    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: SecretStr = SecretStr("")
    sender: str
    to: Annotated[list[str], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        if wrong := [each for each in (self.sender, *self.to) if "@" not in each or not each.isprintable()]:
            raise ValueError(f"no mail address: {wrong[0]!r:.80}")
        return self


class Match(_Strict):
    """Which alerts; what is left out matches all. Names may have `*` and `?`."""

    severity: Severity = "none"
    """This one or a stronger one."""
    kind: list[str] = []
    app: list[str] = []
    rule: list[str] = []

    def matches(self, change: AlertChange) -> bool:
        """Whether an alert is one of these."""
        # A word of a version to come is no reason to stay silent.
        weaker = change.severity in SEVERITIES[: SEVERITIES.index(self.severity)]
        asked = ((change.kind, self.kind), (change.app, self.app), (change.rule, self.rule))
        return not weaker and all(
            not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)
            for value, patterns in asked
        )


class Silence(_Strict):
    """A time in which nobody is told of some alerts: planned work."""

    match: Match
    since: AwareDatetime
    until: AwareDatetime

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.until <= self.since:
            raise ValueError("a silence ends after it begins: until is later than since")
        return self

    def holds(self, change: AlertChange) -> bool:
        """Whether to keep silent; the end of what was open before is told."""
        since, until = (round(1000 * each.timestamp()) for each in (self.since, self.until))
        known = change.change == "resolved" and change.opened_at < since
        return since <= change.timestamp < until and not known and self.match.matches(change)


class Route(_Strict):
    """One way to tell somebody."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    """Of its position in Kafka and in metrics: under another name it begins with what comes then."""
    match: Match = Match()
    silences: Annotated[list[Silence], Field(max_length=50)] = []
    changes: Annotated[list[ChangeKind], Field(min_length=1)] = list(TOLD)
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    webhook: Webhook | None = None
    slack: Slack | None = None
    alertmanager: Alertmanager | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.webhook, self.slack, self.alertmanager, self.email)) != 1:
            raise ValueError("a route has one of webhook, slack, alertmanager, email")
        return self

    def wants(self, change: AlertChange) -> bool:
        """Whether to tell of a change. Of an alert that somebody silenced nothing but its end is told."""
        silent = change.silenced_until > change.timestamp and change.change != "resolved"
        silent = silent or any(each.holds(change) for each in self.silences)
        return not silent and change.change in self.changes and self.match.matches(change)


class _File(_Strict):
    routes: Annotated[list[Route], Field(max_length=50)]
    silences: Annotated[list[Silence], Field(max_length=50)] = []
    """Of all routes."""

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [route.name for route in self.routes]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two routes are named {repeated[0]!r}")
        return self


def load(path: Path, environment: Mapping[str, str] | None = None) -> list[Route]:
    """Return the routes in a file, or `RoutesError`; `${NAME}` in it is the value of a variable."""
    try:
        data = path.read_bytes()
        document = yaml.safe_load(data.decode("utf-8-sig")) if len(data) <= MOST_BYTES else None
    except OSError as error:
        raise RoutesError(f"WEIR_ROUTES: {path} cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise RoutesError(f"WEIR_ROUTES: {path} is not YAML{where}") from None
    try:
        file = _File.model_validate(_filled(document, os.environ if environment is None else environment))
    except KeyError as missing:
        raise RoutesError(
            f"WEIR_ROUTES: {path} names the variable {missing.args[0]}, which is not set"
        ) from None
    except ValidationError as error:
        lines = [
            f"WEIR_ROUTES: {_where(each['loc'])}: {each['msg']}" for each in error.errors(include_url=False)
        ]
        raise RoutesError("\n".join(lines)) from None
    return [each.model_copy(update={"silences": [*each.silences, *file.silences]}) for each in file.routes]


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: environment[match[1]], value)
    if isinstance(value, list):
        return [_filled(each, environment) for each in value]
    return (
        {key: _filled(each, environment) for key, each in value.items()} if isinstance(value, dict) else value
    )


def _where(location: tuple[int | str, ...]) -> str:
    """Return `route 2, webhook, url` for a place in the file."""
    names = [
        f"{str(before).removesuffix('s')} {part + 1}" if isinstance(part, int) else part
        for before, part in pairwise(("", *location))
        if part not in ("routes", "silences")
    ]
    return ", ".join(names) or "the file"
