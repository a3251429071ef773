"""API keys: who may call, and for which app and tenant. Only their hashes are kept."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from schemas.events import NAME_LENGTH, Event
from streams.errors import SettingsError

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = ("app", "tenant", "name")
_PLAIN: Final = re.compile(r"[\w.-]{1,64}")
"""A tenant's name as it can stand before an id."""


class Caller(NamedTuple):
    """Whose key it is; an empty field leaves to the caller what it is."""

    app: str = ""
    tenant: str = ""
    name: str = ""

    def binds(self, event: Event) -> Event:
        """Return the event as one of the key's app and tenant, and with a tenant under an id of its own.

        Events are kept by app and id: where tenants share an app, one could replace the event of another.
        """
        bound = {name: value for name in ("app", "tenant") if (value := getattr(self, name))}
        if self.tenant:
            bound["event_id"] = _own(self.tenant, event.event_id)
        return msgspec.structs.replace(event, **bound) if bound else event

    def warnings(self, events: Sequence[Event]) -> list[str]:
        """Return what is said to whoever sends events of another app or tenant than the key's."""
        return [
            _overruled(name)
            for name in ("app", "tenant")
            if (own := getattr(self, name)) and any(getattr(event, name) not in ("", own) for event in events)
        ]

    def warnings_of(self, app: str) -> list[str]:
        """Return the same for whoever names an app beside the events."""
        return [_overruled("app")] if self.app and app not in ("", self.app) else []


class Keys:
    """The keys of a file, one a line: the SHA-256 of the key, then `app=`, `tenant=`, `name=` as wanted.

    `weir gate --new-key` makes one. Without a file everybody may call.
    """

    def __init__(self, callers: Mapping[str, Caller] | None) -> None:
        self._callers = callers

    @classmethod
    def load(cls, path: Path | None) -> "Keys":
        """Read a file; raise `SettingsError`, which never repeats what a line holds."""
        if path is None:
            return cls(None)
        callers = {}
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            fields = dict(word.partition("=")[::2] for word in words[1:])
            if not _HASH.fullmatch(words[0]) or not set(fields) <= set(_FIELDS):
                raise SettingsError(
                    f"WEIR_GATE_KEYS: {path}:{number}: write the SHA-256 of a key in hex, then "
                    "app=NAME tenant=NAME name=NAME as wanted; `weir gate --new-key` makes such a line"
                )
            callers[words[0]] = Caller(**fields)
        if not callers:
            raise SettingsError(f"WEIR_GATE_KEYS: {path} holds no key: `weir gate --new-key` makes one")
        return cls(callers)

    @property
    def needed(self) -> bool:
        """Whether a request needs a key."""
        return self._callers is not None

    def caller(self, key: str) -> Caller | None:
        """Return whose key it is; None for a key that is none."""
        if self._callers is None:
            return Caller()
        return self._callers.get(hash_of(key))


def _overruled(name: str) -> str:
    return f"`{name}` is that of the key, and not the one that was sent"


def _own(tenant: str, event_id: str) -> str:
    """Return the id of a tenant's event, `TENANT:ID`: no two tenants have one in common."""
    before = tenant if _PLAIN.fullmatch(tenant) else _digest(tenant)
    given = NAME_LENGTH - len(before) - 1
    fits = len(event_id) <= given or len(event_id) > NAME_LENGTH  # what is refused is refused as it came
    return f"{before}:{event_id if fits else _digest(event_id)}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def hash_of(key: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
