"""A thread for calls that may hang: one call at a time, each with a budget, and a hung one is left behind."""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_thread = threading.local()


class DetectorExitError(Exception):
    """A detector tried to end the process."""


def beat() -> None:
    """Say that the call which this thread runs makes progress: its budget begins anew.

    For work whose amount nobody knows beforehand, after each piece of bounded length.
    """
    call: _Call[Any] | None = getattr(_thread, "call", None)
    if call is not None:
        call.seen = time.monotonic()


class Lane:
    """Runs calls one after the other in a daemon thread. (An executor's threads would block the exit.)

    A call that overruns its budget is left behind with its thread, and the next one gets a new thread. As
    long as the call goes on, calls for the same step fail at once: so there are never more threads than
    steps. Code that hangs and holds the interpreter's lock stops them all; nothing in Python can help then.
    Not for use by several threads at a time.
    """

    def __init__(self, name: str) -> None:
        self._name = f"weir-{name}"
        self._inbox: SimpleQueue[_Call[Any] | None] | None = None
        self._thread: threading.Thread | None = None
        self._hanging: dict[str, threading.Event] = {}

    def call(self, step: str, function: Callable[[], T], budget_s: float) -> T:
        """Return what `function` returns; raises what it raises, or `TimeoutError`.

        Args:
            step: what the call is for.
            function: must not write to anything that others go on using once it is left behind.
            budget_s: seconds of wall clock, from the start or from the last `beat`.

        """
        if step in self._hanging and not self._hanging[step].is_set():
            raise TimeoutError
        self._hanging.pop(step, None)
        call = _Call(function)
        self._started().put(call)
        if not call.wait(budget_s):
            self._hanging[step] = call.ended
            self.close()
            raise TimeoutError
        return call.result()

    def close(self) -> None:
        """Let the thread end once it has nothing to do; the next call gets another."""
        if self._inbox is not None:
            self._inbox.put(None)
            self._inbox = None

    def join(self, timeout: float) -> None:
        """Wait for the thread after `close`."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _started(self) -> "SimpleQueue[_Call[Any] | None]":
        if self._inbox is None:
            self._inbox = SimpleQueue()
            self._thread = threading.Thread(target=_work, args=(self._inbox,), name=self._name, daemon=True)
            self._thread.start()
        return self._inbox


class _Call(Generic[T]):
    """A function, and what became of it."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function: Callable[[], T] | None = function
        self._value: T
        self._error: Exception | None = None
        self.ended = threading.Event()
        self.seen = time.monotonic()

    def run(self) -> None:
        assert self._function is not None
        _thread.call = self
        try:
            self._value = self._function()
        except Exception as error:
            self._error = error
        except BaseException as error:
            # SystemExit must end neither this thread nor, raised again by the caller, the worker.
            self._error = DetectorExitError(type(error).__name__)
        finally:
            _thread.call = None
            self._function = None  # it holds a batch
            self.ended.set()

    def wait(self, budget_s: float) -> bool:
        """Return whether it ended before `budget_s` seconds went by without a sign of progress."""
        while not self.ended.wait(max(0.0, self.seen + budget_s - time.monotonic())):
            if time.monotonic() >= self.seen + budget_s:
                return self.ended.is_set()
        return True

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value


def _work(inbox: "SimpleQueue[_Call[Any] | None]") -> None:
    while (call := inbox.get()) is not None:
        call.run()
        del call  # it holds a result, until the next one comes
