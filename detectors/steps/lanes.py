"""A thread for steps that may hang: each has a budget, and one that hangs is left behind."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

S = TypeVar("S")

_thread = threading.local()


class DetectorExitError(Exception):
    """A detector tried to end the process."""


def beat() -> None:
    """Say that the step which this thread runs makes progress: its budget begins anew.

    For work whose amount nobody knows beforehand, after each piece of bounded length.
    """
    call: _Call[Any] | None = getattr(_thread, "call", None)
    if call is not None:
        call.seen = time.monotonic()


@dataclass(frozen=True, slots=True)
class Step(Generic[S]):
    """Something to do with a subject."""

    name: str
    run: Callable[[S], Any]
    after: tuple[str, ...] = ()
    """Steps that it needs: where one of them fails, it fails as that one did."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a step."""

    value: Any = None
    error: Exception | None = None
    seconds: float = 0.0
    """Wall clock that it took."""


Results = Mapping[str, Result]
"""By the name of the step."""


class Lane:
    """Runs steps one after the other in a daemon thread. (An executor's threads would block the exit.)

    All steps are one call, since a change of threads costs a busy interpreter some 0.1 ms. A step that
    overruns its budget is left behind with the thread, and those after it are run in a new one. As long as
    it goes on, it fails at once whenever it is asked for: so there are never more threads than steps. Code
    that hangs and holds the interpreter's lock stops them all; nothing in Python can help then.
    Any thread may ask; one call is run at a time.
    """

    def __init__(self, name: str) -> None:
        self._name = f"weir-{name}"
        self._inbox: SimpleQueue[_Call[Any] | None] | None = None
        self._thread: threading.Thread | None = None
        self._hanging: dict[str, threading.Event] = {}
        self._turn = threading.Lock()
        self._handing = threading.Lock()

    def run(
        self,
        steps: Sequence[Step[S]],
        subject: Callable[[Results], S],
        budget_s: float,
        deadline: float = math.inf,
    ) -> Results:
        """Return the results of all steps; raises nothing that they raise.

        Args:
            steps: in their order; their names are unique.
            subject: makes what they work on, of the results so far; called again after a step was left
                behind, since that goes on writing to what it was given.
            budget_s: seconds of wall clock for each, from its start or from its last `beat`.
            deadline: by `time.monotonic`, for all: steps that have not ended by then fail.

        """
        late = {step.name: Result(error=TimeoutError()) for step in steps}
        wait_s = -1 if deadline == math.inf else max(0.0, deadline - time.monotonic())
        if not self._turn.acquire(timeout=wait_s):
            return late
        try:
            return {**late, **self._run(steps, subject, budget_s, deadline)}
        finally:
            self._turn.release()

    def _run(
        self, steps: Sequence[Step[S]], subject: Callable[[Results], S], budget_s: float, deadline: float
    ) -> Results:
        results = {step.name: Result(error=TimeoutError()) for step in steps if self._hangs(step.name)}
        while len(results) < len(steps) and time.monotonic() < deadline:
            call = _Call(steps, subject(results), results)
            # Or who closes the inbox meanwhile could get in before the call, and nobody would run it.
            with self._handing:
                self._started().put(call)
            if stuck := call.wait(budget_s, deadline):
                self._hanging[stuck] = call.ended
                results[stuck] = Result(error=TimeoutError(), seconds=time.monotonic() - call.seen)
                self.close()
        return results

    def close(self) -> None:
        """Let the thread end once it has nothing to do; the next call gets another."""
        with self._handing:
            if self._inbox is not None:
                self._inbox.put(None)
                self._inbox = None

    def join(self, timeout: float) -> None:
        """Wait for the thread after `close`."""
        # One that another thread is only about to start has nothing to end.
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join(timeout)

    def _hangs(self, step: str) -> bool:
        if step in self._hanging and self._hanging[step].is_set():
            del self._hanging[step]
        return step in self._hanging

    def _started(self) -> "SimpleQueue[_Call[Any] | None]":
        if self._inbox is None:
            self._inbox = SimpleQueue()
            self._thread = threading.Thread(target=_work, args=(self._inbox,), name=self._name, daemon=True)
            self._thread.start()
        return self._inbox


class _Call(Generic[S]):
    """The steps that have no result yet, on their way."""

    def __init__(self, steps: Sequence[Step[S]], subject: S, results: dict[str, Result]) -> None:
        self._steps = [step for step in steps if step.name not in results]
        self._subject = subject
        self._results = results
        self._lock = threading.Lock()
        self._current = ""
        self._abandoned = False
        self.ended = threading.Event()
        self.seen = time.monotonic()

    def run(self) -> None:
        """Run the steps; ends early when the caller has left it behind."""
        _thread.call = self
        try:
            for step in self._steps:
                with self._lock:
                    if self._abandoned:
                        return
                    self.seen = time.monotonic()
                    self._current = step.name
                result = self._result(step)
                with self._lock:
                    if self._abandoned:
                        return
                    self._results[step.name] = result
                    self._current = ""
        finally:
            _thread.call = None
            self.ended.set()

    def _result(self, step: Step[S]) -> Result:
        began = time.perf_counter()
        for needed in step.after:
            if error := self._results[needed].error:
                return Result(error=error)
        try:
            return Result(step.run(self._subject), seconds=time.perf_counter() - began)
        except Exception as error:
            return Result(error=error, seconds=time.perf_counter() - began)
        except BaseException as error:
            # SystemExit must end neither this thread nor, raised again by the caller, the worker.
            return Result(error=DetectorExitError(type(error).__name__))

    def wait(self, budget_s: float, deadline: float) -> str:
        """Return the step that showed no sign of progress for `budget_s` seconds, or goes on at the deadline.

        Empty when there is none: all ended, or none was begun at the deadline. After that, nothing is written
        to the results any more.
        """
        # One that has not begun when its budget is over is looked at again, not without a pause.
        while not self.ended.wait(max(0.001, min(self.seen + budget_s, deadline) - time.monotonic())):
            with self._lock:
                now = time.monotonic()
                if now >= deadline or (self._current and now >= self.seen + budget_s):
                    self._abandoned = True
                    return self._current
        return ""


def _work(inbox: "SimpleQueue[_Call[Any] | None]") -> None:
    while (call := inbox.get()) is not None:
        call.run()
        del call  # it holds a batch, until the next one comes
