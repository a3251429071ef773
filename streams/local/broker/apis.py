"""The requests that the broker answers, and the errors that it gives.

The ranges of versions are those with plain encodings that aiokafka, librdkafka, kafkajs and Kafka's own
client still speak; metadata also in the compact ones, in which topics have ids. zstd needs Produce 7 and
Fetch 10: a client looks at these before it compresses so.
"""

from enum import IntEnum
from typing import NamedTuple


class Code(IntEnum):
    """Kafka's error codes."""

    NONE = 0
    OFFSET_OUT_OF_RANGE = 1
    CORRUPT_MESSAGE = 2
    UNKNOWN_TOPIC_OR_PARTITION = 3
    MESSAGE_TOO_LARGE = 10
    COORDINATOR_NOT_AVAILABLE = 15
    INVALID_TOPIC = 17
    ILLEGAL_GENERATION = 22
    INCONSISTENT_PROTOCOL = 23
    INVALID_GROUP_ID = 24
    UNKNOWN_MEMBER = 25
    REBALANCE_IN_PROGRESS = 27
    UNSUPPORTED_VERSION = 35
    TOPIC_EXISTS = 36
    INVALID_PARTITIONS = 37
    INVALID_REPLICATION = 38
    INVALID_CONFIG = 40
    INVALID_REQUEST = 42
    UNSUPPORTED_FORMAT = 43
    OUT_OF_ORDER_SEQUENCE = 45
    INVALID_PRODUCER_EPOCH = 47
    INVALID_PRODUCER_ID_MAPPING = 49
    TRANSACTIONAL_ID_REFUSED = 53
    STORAGE = 56
    GROUP_NOT_EMPTY = 68
    GROUP_NOT_FOUND = 69
    INVALID_RECORD = 87
    UNKNOWN_TOPIC_ID = 100


class Fault(Exception):  # noqa: N818
    """What a client is told instead of an answer."""

    def __init__(self, code: Code, message: str = "") -> None:
        super().__init__(message or code.name)
        self.code = code
        self.message = message


class Api(NamedTuple):
    """One kind of request: the versions that are understood, and the layouts of `wire`."""

    name: str
    low: int
    high: int
    request: str
    response: str
    compact_from: int = 1 << 15
    """The version since which layouts are compact."""


_PARTITION_ERRORS = "topics:[name:str partitions:[index:i32 error:i16]]"
_TRANSACTION = "transactional_id:str producer:i64 epoch:i16"

APIS: dict[int, Api] = {
    0: Api(
        "produce", 3, 7,
        "transactional_id:str acks:i16 timeout:i32 topics:[name:str partitions:[index:i32 records:bytes]]",
        "topics:[name:str partitions:[index:i32 error:i16 base:i64 append_time:i64 start@5:i64]] "
        "throttle:i32",
    ),
    1: Api(
        "fetch", 4, 10,
        "replica:i32 max_wait:i32 min_bytes:i32 max_bytes:i32 isolation:i8 session@7:i32 session_epoch@7:i32 "
        "topics:[name:str partitions:[index:i32 leader_epoch@9:i32 offset:i64 start@5:i64 max_bytes:i32]] "
        "forgotten@7:[name:str partitions:i32s]",
        "throttle:i32 error@7:i16 session@7:i32 topics:[name:str partitions:[index:i32 error:i16 end:i64 "
        "stable:i64 start@5:i64 aborted:[producer:i64 first:i64] records:bytes]]",
    ),
    2: Api(
        "list_offsets", 1, 5,
        "replica:i32 isolation@2:i8 "
        "topics:[name:str partitions:[index:i32 leader_epoch@4:i32 timestamp:i64]]",
        "throttle@2:i32 "
        "topics:[name:str partitions:[index:i32 error:i16 timestamp:i64 offset:i64 leader_epoch@4:i32]]",
    ),
    3: Api(
        "metadata", 0, 12,
        "topics:[id@10:uuid name:str] create@4:bool operations@8-10:bool topic_operations@8:bool",
        "throttle@3:i32 brokers:[node:i32 host:str port:i32 rack@1:str] cluster@2:str controller@1:i32 "
        "topics:[error:i16 name:str id@10:uuid internal@1:bool partitions:[error:i16 index:i32 leader:i32 "
        "leader_epoch@7:i32 replicas:i32s in_sync:i32s offline@5:i32s] operations@8:i32] operations@8-10:i32",
        compact_from=9,
    ),
    8: Api(
        "offset_commit", 2, 7,
        "group:str generation:i32 member:str instance@7:str retention@2-4:i64 "
        "topics:[name:str partitions:[index:i32 offset:i64 leader_epoch@6:i32 metadata:str]]",
        f"throttle@3:i32 {_PARTITION_ERRORS}",
    ),
    9: Api(
        "offset_fetch", 1, 5,
        "group:str topics:[name:str partitions:i32s]",
        "throttle@3:i32 topics:[name:str partitions:[index:i32 offset:i64 leader_epoch@5:i32 metadata:str "
        "error:i16]] error@2:i16",
    ),
    10: Api(
        "find_coordinator", 0, 2,
        "key:str kind@1:i8",
        "throttle@1:i32 error:i16 message@1:str node:i32 host:str port:i32",
    ),
    11: Api(
        "join_group", 0, 5,
        "group:str session_timeout:i32 rebalance_timeout@1:i32 member:str instance@5:str protocol_type:str "
        "protocols:[name:str metadata:bytes]",
        "throttle@2:i32 error:i16 generation:i32 protocol:str leader:str member:str "
        "members:[member:str instance@5:str metadata:bytes]",
    ),
    12: Api(
        "heartbeat", 0, 3, "group:str generation:i32 member:str instance@3:str", "throttle@1:i32 error:i16"
    ),
    13: Api("leave_group", 0, 2, "group:str member:str", "throttle@1:i32 error:i16"),
    14: Api(
        "sync_group", 0, 3,
        "group:str generation:i32 member:str instance@3:str assignments:[member:str assignment:bytes]",
        "throttle@1:i32 error:i16 assignment:bytes",
    ),
    15: Api(
        "describe_groups", 0, 2,
        "groups:strs",
        "throttle@1:i32 groups:[error:i16 group:str state:str protocol_type:str protocol:str "
        "members:[member:str client:str host:str metadata:bytes assignment:bytes]]",
    ),
    16: Api("list_groups", 0, 2, "", "throttle@1:i32 error:i16 groups:[group:str protocol_type:str]"),
    18: Api("api_versions", 0, 2, "", "error:i16 apis:[key:i16 low:i16 high:i16] throttle@1:i32"),
    19: Api(
        "create_topics", 0, 4,
        "topics:[name:str partitions:i32 replication:i16 assignments:[index:i32 brokers:i32s] "
        "configs:[name:str value:str]] timeout:i32 validate@1:bool",
        "throttle@2:i32 topics:[name:str error:i16 message@1:str]",
    ),
    20: Api("delete_topics", 0, 3, "topics:strs timeout:i32", "throttle@1:i32 topics:[name:str error:i16]"),
    21: Api(
        "delete_records", 0, 1,
        "topics:[name:str partitions:[index:i32 offset:i64]] timeout:i32",
        "throttle:i32 topics:[name:str partitions:[index:i32 low:i64 error:i16]]",
    ),
    22: Api(
        "init_producer_id", 0, 1,
        "transactional_id:str timeout:i32", "throttle:i32 error:i16 producer:i64 epoch:i16",
    ),
    24: Api(
        "add_partitions_to_txn", 0, 1,
        f"{_TRANSACTION} topics:[name:str partitions:i32s]", f"throttle:i32 {_PARTITION_ERRORS}",
    ),
    25: Api("add_offsets_to_txn", 0, 1, f"{_TRANSACTION} group:str", "throttle:i32 error:i16"),
    26: Api("end_txn", 0, 1, f"{_TRANSACTION} committed:bool", "throttle:i32 error:i16"),
    28: Api(
        "txn_offset_commit", 0, 2,
        "transactional_id:str group:str producer:i64 epoch:i16 "
        "topics:[name:str partitions:[index:i32 offset:i64 leader_epoch@2:i32 metadata:str]]",
        f"throttle:i32 {_PARTITION_ERRORS}",
    ),
    32: Api(
        "describe_configs", 0, 1,
        "resources:[kind:i8 name:str keys:strs] synonyms@1:bool",
        "throttle:i32 resources:[error:i16 message:str kind:i8 name:str configs:[name:str value:str "
        "read_only:bool is_default@0-0:bool source@1:i8 sensitive:bool "
        "synonyms@1:[name:str value:str source:i8]]]",
    ),
    33: Api(
        "alter_configs", 0, 1,
        "resources:[kind:i8 name:str configs:[name:str value:str]] validate:bool",
        "throttle:i32 resources:[error:i16 message:str kind:i8 name:str]",
    ),
    37: Api(
        "create_partitions", 0, 1,
        "topics:[name:str count:i32 assignments:[brokers:i32s]] timeout:i32 validate:bool",
        "throttle:i32 topics:[name:str error:i16 message:str]",
    ),
    42: Api("delete_groups", 0, 1, "groups:strs", "throttle:i32 groups:[group:str error:i16]"),
}  # fmt: skip
"""By Kafka's number of the request."""
