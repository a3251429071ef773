"""Which tests share a worker, and which begin first, when pytest runs in several processes."""

import re
from collections.abc import Sequence
from typing import Any

from xdist.scheduler.loadfile import LoadFileScheduling

_BROKER = re.compile(r"\[(?:\w+-)?(embedded|apache)[]-]")
_WITHOUT_WEIR = (
    "tests/conformance/",
    "tests/streams/kafka/",
    "tests/streams/monitors/",
    "tests/chaos/test_notify.py",
)
"""Tests of the broker alone, or with a broker of their own."""
LONG: Sequence[str] = (
    "weir on apache",
    "weir on embedded",
    "apache broker",
    "embedded broker",
    "tests/integration/test_up.py",
    "tests/clients/test_examples.py",
    "tests/chaos",
    "tests/integration",
    "tests/pages",
    "tests/streams/alerts/test_notify.py",
    "tests/streams/desk",
    "tests/clients",
    "tests/detectors/test_training",
    "tests/streams/commands/test_hostile.py",
)
"""What takes longest, by how its path begins: begun last, one worker would be idle beside it."""


class Together(LoadFileScheduling):  # type: ignore[misc]  # xdist tells no types
    """A file is for one worker, and so is all that runs on one weir, whatever file it is in.

    Broker, store and roles are then started once, not for each file.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        kind = _BROKER.search(test)
        if kind is None:
            return file
        return f"{kind[1]} broker" if file.startswith(_WITHOUT_WEIR) else f"weir on {kind[1]}"

    def _assign_work_unit(self, node: Any) -> None:
        """Give the node what takes longest of what is left."""
        self.workqueue.move_to_end(min(self.workqueue, key=_place), last=False)
        super()._assign_work_unit(node)


def _place(scope: str) -> int:
    """Return the place of a scope in the order of beginning; those of one place begin as they were found."""
    return next((place for place, start in enumerate(LONG) if scope.startswith(start)), len(LONG))
