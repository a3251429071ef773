"""The settings of a topic."""

from collections.abc import Callable, Mapping
from typing import Final

from streams.local.broker.apis import Code, Fault

MIB: Final = 1 << 20


def _policy(value: str) -> bool:
    return bool(value) and set(value.replace(" ", "").split(",")) <= {"compact", "delete"}


def _whole(value: str) -> bool:
    return value.removeprefix("-").isdecimal()


def _number(value: str) -> bool:
    return value.replace(".", "", 1).isdecimal()


def _one_of(*names: str) -> Callable[[str], bool]:
    return lambda value: value in names


_CHECKS: Final[Mapping[str, tuple[str, Callable[[str], bool]]]] = {
    # What the broker goes by.
    "cleanup.policy": ("delete", _policy),
    "retention.ms": (str(7 * 24 * 3_600_000), _whole),
    # Kafka has no limit here. This one shares its disk with everything else on the machine, and a process
    # has a thousand files: 16 segments of each partition.
    "retention.bytes": (str(1024 * MIB), _whole),
    "segment.bytes": (str(64 * MIB), _whole),
    "segment.ms": (str(7 * 24 * 3_600_000), _whole),
    "max.message.bytes": (str(MIB + 12), _whole),
    "min.compaction.lag.ms": ("0", _whole),
    "max.compaction.lag.ms": (str((1 << 63) - 1), _whole),
    "min.cleanable.dirty.ratio": ("0.5", _number),
    "delete.retention.ms": (str(24 * 3_600_000), _whole),
    "message.timestamp.type": ("CreateTime", _one_of("CreateTime", "LogAppendTime")),
    # What a topic for a cluster may say, too, and one process on one machine has no use for.
    "compression.type": (
        "producer", _one_of("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")
    ),
    "segment.jitter.ms": ("0", _whole),
    "segment.index.bytes": (str(10 * MIB), _whole),
    "index.interval.bytes": ("4096", _whole),
    "message.timestamp.before.max.ms": (str((1 << 63) - 1), _whole),
    "message.timestamp.after.max.ms": (str(3_600_000), _whole),
    "min.insync.replicas": ("1", _whole),
    "file.delete.delay.ms": ("60000", _whole),
    "flush.messages": (str((1 << 63) - 1), _whole),
    "flush.ms": (str((1 << 63) - 1), _whole),
    "preallocate": ("false", _one_of("true", "false")),
    "unclean.leader.election.enable": ("false", _one_of("true", "false")),
}  # fmt: skip


class Config:
    """A topic's own settings over the defaults; raises `Fault` for one that Kafka does not know."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given: dict[str, str] = {}
        self.update(given)

    def update(self, given: Mapping[str, str]) -> None:
        """Replace the topic's own settings."""
        for name, value in given.items():
            if name not in _CHECKS or value is None or not _CHECKS[name][1](value):
                raise Fault(Code.INVALID_CONFIG, f"{name}={value} is no setting of a topic")
        self.given = dict(given)
        policy = self["cleanup.policy"].replace(" ", "").split(",")
        self.deletes, self.compacts = "delete" in policy, "compact" in policy
        retention = int(self["retention.ms"])
        self.retention_s = retention / 1000 if retention >= 0 else float("inf")
        self.retention_bytes = int(self["retention.bytes"])
        self.segment_bytes = int(self["segment.bytes"])
        self.max_message_bytes = int(self["max.message.bytes"])
        self.dirty_ratio = float(self["min.cleanable.dirty.ratio"])
        self.segment_s = int(self["segment.ms"]) / 1000
        self.compaction_lag_s = int(self["min.compaction.lag.ms"]) / 1000
        self.compaction_limit_s = int(self["max.compaction.lag.ms"]) / 1000
        self.tombstones_s = int(self["delete.retention.ms"]) / 1000
        self.append_time = self["message.timestamp.type"] == "LogAppendTime"

    def __getitem__(self, name: str) -> str:
        return self.given.get(name, _CHECKS[name][0])

    def items(self) -> list[tuple[str, str, bool]]:
        """Return every setting with its value and whether it is the topic's own."""
        return [(name, self[name], name in self.given) for name in _CHECKS]
