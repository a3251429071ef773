"""Which exceptions are a user's to mend, and how they are shown."""

from aiokafka.errors import KafkaError

from detectors.errors import DetectorError
from streams.cli import DEAD_LETTERS, FATAL, USAGE, UserError
from streams.kafka.clients import BrokerError
from streams.kafka.dead_letters import TooManyDeadLetters
from streams.kafka.decompression import MissingCodecs
from streams.local.process import LocalServiceError
from streams.policy.file import PolicyError
from streams.settings import SettingsError
from streams.store.errors import RetryableStoreError, StoreError
from streams.store.migrations import MigrationError

_MESSAGES: dict[type[Exception], int] = {
    SettingsError: USAGE,
    PolicyError: USAGE,
    DetectorError: USAGE,
    TooManyDeadLetters: DEAD_LETTERS,
    BrokerError: FATAL,
    StoreError: FATAL,
    MigrationError: FATAL,
    LocalServiceError: FATAL,
    MissingCodecs: FATAL,
    OSError: FATAL,
}

DOCTOR = "`weir doctor` checks"
"""The hint for a server that fails; `weir doctor` leaves it out."""
_OF_A_SERVER = (BrokerError, RetryableStoreError)


def user_error(error: Exception) -> UserError | None:
    """Return what to show for an error that says what to do; None for a fault of ours."""
    for kind, code in _MESSAGES.items():
        if isinstance(error, kind):
            return UserError(str(error), code, DOCTOR if isinstance(error, _OF_A_SERVER) else "")
    if isinstance(error, KafkaError):
        return UserError(
            f"the broker failed or refused ({type(error).__name__}): see its log; what was not finished is "
            "read again after a restart",
            hint=DOCTOR,
        )
    return None
