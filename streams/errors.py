"""Errors that a user can mend: each says what to do, and with which status a command ends."""

import difflib
from collections.abc import Iterable

from detectors.errors import DetectorError

FATAL = 1
USAGE = 2
DEAD_LETTERS = 4
"""Exit status when there are too many dead letters: starting again would not help."""
DOCTOR = "`weir doctor` checks"
"""The hint for a server that fails; `weir doctor` leaves it out."""
LIMITS = "see `ulimit -v` and `ulimit -u`, and the limits of its container"
"""What to look at where a process gets too little."""
_NO_THREAD = "can't start new thread"
"""As Python says it."""
_RIGHTS = "docs/deployment.md lists what it must be allowed to do"
_REFUSED = {
    "InconsistentGroupProtocolError": "another program is in the consumer group of this role, and would take "
    "messages away: give it a group of its own, or set WEIR_GROUP_PREFIX for all roles",
    "GroupAuthorizationFailedError": f"WEIR_KAFKA_USERNAME may not join the consumer group; {_RIGHTS}",
    "TopicAuthorizationFailedError": f"WEIR_KAFKA_USERNAME may not read or write a topic; {_RIGHTS}",
}
"""What the errors of Kafka mean of which its log says no more, by name."""


class WeirError(Exception):
    """Something is wrong that the user can mend; shown as one message, without a traceback."""

    exit_code = FATAL
    hint = ""
    """Shown after the message where the error ends a command."""


class UserError(WeirError):
    """What a command was given is wrong."""

    exit_code = USAGE


class SettingsError(UserError):
    """A setting is wrong; the message names it and says what is allowed."""


class ServerError(WeirError):
    """A server that weir needs fails or refuses."""

    hint = DOCTOR


def user_error(error: Exception) -> WeirError | None:
    """Return what to show for an error that says what to do; None for a fault of ours."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, WeirError):
        return error
    if isinstance(error, DetectorError):
        return UserError(str(error))
    if isinstance(error, OSError):
        return WeirError(str(error))
    if isinstance(error, MemoryError) or str(error) == _NO_THREAD:
        return WeirError(f"the system gives this process no more memory or threads: {LIMITS}")
    from aiokafka.errors import KafkaError  # not before: most commands end without it

    if isinstance(error, KafkaError):
        name = type(error).__name__
        why = _REFUSED.get(name, "see its log; what was not finished is read again after a restart")
        return ServerError(f"the broker failed or refused ({name}): {why}")
    return None


SHORTEST_BEGINNING = 4
"""Letters of a name that tell which is meant."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the nearest allowed word, or nothing."""
    names = list(allowed)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6) or [
        name for name in names if len(word) >= SHORTEST_BEGINNING and name.startswith(word)
    ]
    return f" (did you mean '{near[0]}'?)" if near else ""
