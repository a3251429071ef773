"""Answers to a request that names many things: each has its own, or its own fault."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from streams.local.broker.apis import Code, Fault

log = logging.getLogger(__name__)
TOLD_S = 60.0
"""Between two lines about a disk that is full: clients try again many times a second."""
Request = dict[str, Any]
Answer = dict[str, Any]
UNKNOWN = -1


def each_partition(
    request: Request, answer: Callable[[str, Request], Answer], **refused: Any
) -> list[Answer]:
    """Return the answers of all partitions, with the fault of those that have one."""

    # A partition that fails must not keep the answers of the others back.
    def one(topic: str, part: Request) -> Answer:
        try:
            return {"index": part["index"], "error": Code.NONE, **answer(topic, part)}
        except Fault as fault:
            code = fault.code
        except OSError as error:
            _tell(error)
            code = Code.STORAGE
        return {**refused, "index": part["index"], "error": code}

    return [
        {"name": topic["name"], "partitions": [one(topic["name"], part) for part in topic["partitions"]]}
        for topic in request["topics"]
    ]


def each(things: Iterable[Request], answer: Callable[[Request], Answer | None]) -> list[Answer]:
    """Return the answers of all topics, resources or groups, with the fault of those that have one."""

    def one(thing: Request) -> Answer:
        try:
            return thing | {"error": Code.NONE, "configs": ()} | (answer(thing) or {})
        except Fault as fault:
            return thing | {"error": fault.code, "message": fault.message, "configs": ()}
        except OSError as error:
            return thing | {"error": Code.STORAGE, "message": str(error), "configs": ()}

    return [one(thing) for thing in things]


def answered(act: Callable[[], None]) -> Answer:
    """Return the fault of what is done, or none."""
    try:
        act()
    except Fault as fault:
        return {"error": fault.code}
    except OSError as error:
        _tell(error)
        return {"error": Code.STORAGE}
    return {"error": Code.NONE}


_told: dict[int | None, float] = {}


def _tell(error: OSError) -> None:
    now = time.monotonic()
    if now >= _told.get(error.errno, now):
        _told[error.errno] = now + TOLD_S
        log.warning("not written: %s; whoever sent it is told so, and may try again", error)
