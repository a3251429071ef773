"""What a user can mend is one message, also where the system gives too little."""

import resource
import subprocess
import sys
from typing import Any

import pytest
from aiokafka.errors import (
    InconsistentGroupProtocolError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
)

from streams.errors import FATAL, SettingsError, user_error
from streams.local.files import require_addresses
from streams.local.process import LocalServiceError

TOO_LITTLE = "the system gives this process no more memory or threads: see `ulimit -v`"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("Unable to allocate 233. MiB"), TOO_LITTLE),
        (RuntimeError("can't start new thread"), TOO_LITTLE),
        (ExceptionGroup("g", [ExceptionGroup("h", [MemoryError()]), ValueError()]), TOO_LITTLE),
        (ExceptionGroup("g", [SettingsError("WEIR_X is wrong")]), "WEIR_X is wrong"),
        (KafkaConnectionError(), "the broker failed or refused (KafkaConnectionError)"),
        (
            InconsistentGroupProtocolError(),
            "the broker failed or refused (InconsistentGroupProtocolError): another program is in the",
        ),
        (
            TopicAuthorizationFailedError({"llm.events"}),
            "the broker failed or refused (TopicAuthorizationFailedError): WEIR_KAFKA_USERNAME may not read",
        ),
        (OSError(28, "No space left on device"), "[Errno 28] No space left"),
    ],
)
def test_what_the_system_or_the_user_can_mend_is_told(error: Exception, said: str) -> None:
    shown = user_error(error)
    assert shown is not None
    assert str(shown).startswith(said)


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyError("x"), ExceptionGroup("g", [ValueError("x")])])
def test_a_fault_of_ours_keeps_its_traceback(error: Exception) -> None:
    assert user_error(error) is None


def test_a_role_without_memory_ends_with_one_line() -> None:
    command = f"ulimit -v {300 << 10}; exec {sys.executable} -m streams watch"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == FATAL
    assert done.stderr.startswith(f"Error: {TOO_LITTLE}")
    assert done.stderr.count("\n") <= 2


def test_too_few_addresses_for_the_store_are_said_before_anything_starts(monkeypatch: Any) -> None:
    for most in (resource.RLIM_INFINITY, 3 << 30):
        monkeypatch.setattr(resource, "getrlimit", lambda _, most=most: (most, resource.RLIM_INFINITY))
        require_addresses()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (500 << 20, resource.RLIM_INFINITY))
    with pytest.raises(
        LocalServiceError, match=r"500 MiB .* needs 3,072: .*`ulimit -v 3145728`, .*--no-store"
    ):
        require_addresses()
