"""Why a broker refuses what weir has to write, said with what to do."""

import time

from aiokafka.errors import InvalidTimestampError, MessageSizeTooLargeError

from streams.errors import ServerError


class TooLargeForTopicError(ServerError, MessageSizeTooLargeError):  # type: ignore[misc]
    """A topic does not take a message that weir has to write; the message says which, and what to do."""

    def __init__(self, topic: str, size: int) -> None:
        super().__init__(topic, size)
        self._text = (
            f"{topic} does not take a message of {size:,} bytes: raise its max.message.bytes (`weir topics` "
            "makes topics that take all)"
        )

    def __str__(self) -> str:
        return self._text  # Kafka's own class puts numbers before it


class TimeRefusedError(ServerError, InvalidTimestampError):  # type: ignore[misc]
    """The broker takes nothing of the time that the clock here shows."""

    retriable = True

    def __str__(self) -> str:
        now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        return (
            f"the broker refuses messages of {now} UTC, which is the time here: set the clock of this "
            "machine, or that of the broker's; until then messages go without a time"
        )
