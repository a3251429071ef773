"""What is used of Faust and aiokafka beside their public names is still there, as it was.

No broker is needed. Where a new version fails here, read what changed before a pin in `pyproject.toml` moves.
"""

import ast
import inspect
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState, TopicPartitionState
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.record.default_records import DefaultRecordBatch
from faust import App, Schema
from faust.transport.consumer import Consumer, ConsumerThread
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Transport
from packaging.requirements import Requirement

from streams.kafka.batches import BoundedRecords
from streams.kafka.faust_app import PollSchema, WeirApp
from streams.kafka.faust_thread import PollThread
from streams.kafka.faust_transport import PollConsumer
from streams.kafka.fetcher import BoundedFetcher
from streams.kafka.poll_fetcher import PollFetcher
from streams.kafka.topic_ids import _Request

ROOT = Path(__file__).parents[3]
OPTIONAL = {"pyarrow"}
"""Asked for by name when a Parquet file is read."""
PINNED = {"faust-streaming": "0.15", "mode-streaming": "0.7", "aiokafka": "0.14"}
OVERRIDDEN: list[tuple[type, type, tuple[str, ...]]] = [
    (
        PollConsumer,
        Consumer,
        (
            "_drain_messages", "_filter_tps_with_pending_acks", "_new_offset", "ack", "on_partitions_revoked",
            "verify_event_path",
        ),
    ),
    (PollConsumer, PollConsumer.__mro__[2], ("_new_consumer_thread",)),
    (
        PollThread,
        AIOKafkaConsumerThread,
        ("_create_worker_consumer", "on_start", "seek_to_committed"),
    ),
    (
        BoundedFetcher,
        Fetcher,
        (
            "_proc_fetch_request", "_update_fetch_positions", "close", "fetched_records",
            "request_offset_reset",
            "seek_to",
        ),
    ),
    (PollFetcher, Fetcher, ("_get_actions_per_node",)),
    (BoundedRecords, PartitionRecords, ("_consumer_record",)),
    (WeirApp, App, ("_new_transport", "_create_directories")),
    (PollSchema, Schema, ("loads_key", "loads_value")),
    (_Request, Request, ("build",)),
]  # fmt: skip
USED: list[tuple[type, str, tuple[str, ...]]] = [
    (Consumer, "perform_seek", ("self",)),
    (Consumer, "_get_active_partitions", ("self",)),
    (Consumer, "_getmany", ("self", "active_partitions", "timeout")),
    (Consumer, "commit", ("self", "topics", "start_new_transaction")),
    (Consumer, "_should_commit", ("self", "tp", "offset")),
    (Consumer, "stop_flow", ("self",)),
    (ConsumerThread, "call_thread", ("self", "fun", "args", "kwargs")),
    (AIOKafkaConsumerThread, "_ensure_consumer", ("self",)),
    (
        AIOKafkaConsumerThread,
        "_fetch_records",
        ("self", "consumer", "active_partitions", "timeout", "max_records"),
    ),
    (GroupCoordinator, "check_errors", ("self",)),
    (AIOKafkaClient, "send", ("self", "node_id", "request", "group")),
    (AIOKafkaClient, "get_random_node", ("self",)),
    (SubscriptionState, "assigned_partitions", ("self",)),
    (SubscriptionState, "is_assigned", ("self", "tp")),
    (SubscriptionState, "wait_for_assignment", ("self",)),
    (Assignment, "state_value", ("self", "tp")),
    (Fetcher, "_create_fetch_waiter", ("self",)),
    (Fetcher, "_notify", ("self", "future")),
    (FetchResult, "check_assignment", ("self", "tp")),
    (FetchResult, "has_more", ("self",)),
    (FetchResult, "_update_position", ("self",)),
    (FetchError, "check_raise", ("self",)),
    (RequestStruct, "build_request_header", ("self", "correlation_id", "client_id")),
    (
        PartitionRecords,
        "__init__",
        (
            "self", "tp", "records", "aborted_transactions", "fetch_offset", "key_deserializer",
            "value_deserializer", "check_crcs", "isolation_level",
        ),
    ),
]  # fmt: skip
ASSIGNED: list[tuple[type, tuple[str, ...]]] = [
    (
        AIOKafkaConsumer,
        (
            "_fetch_max_wait_ms", "_fetch_max_bytes", "_isolation_level", "_fetcher", "_subscription",
            "_coordinator",
        ),
    ),
    (
        Fetcher,
        (
            "_records", "_client", "_subscriptions", "_fetch_waiters", "_wait_consume_future", "_closed",
            "_loop", "_check_crcs", "_isolation_level",
        ),
    ),
    (FetchResult, ("_partition_records",)),
    (PartitionRecords, ("_records", "_aborted_transactions", "next_fetch_offset")),
    (TopicPartitionState, ("highwater", "lso")),
    (Consumer, ("_committed_offset", "_unacked_messages", "can_resume_flow", "suspend_flow")),
    (AIOKafkaConsumerThread, ("_consumer",)),
]  # fmt: skip


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize(
    ("mine", "theirs", "names"), OVERRIDDEN, ids=lambda each: getattr(each, "__name__", "")
)
def test_what_is_overridden_takes_the_same(mine: type, theirs: type, names: tuple[str, ...]) -> None:
    for name in names:
        original, own = getattr(theirs, name), getattr(mine, name)
        assert own is not original, name
        taken = {each for each, *_ in parameters(own)}
        lenient = any(kind is inspect.Parameter.VAR_KEYWORD for _, kind, _ in parameters(own))
        assert lenient or taken == {each for each, *_ in parameters(original)}, name
        assert inspect.iscoroutinefunction(own) == inspect.iscoroutinefunction(original), name


@pytest.mark.parametrize(
    ("owner", "name", "taken"), USED, ids=lambda each: str(getattr(each, "__name__", each))[:30]
)
def test_what_is_called_is_there(owner: type, name: str, taken: tuple[str, ...]) -> None:
    assert tuple(each for each, *_ in parameters(getattr(owner, name))) == taken


@pytest.mark.parametrize(("owner", "names"), ASSIGNED, ids=lambda each: getattr(each, "__name__", ""))
def test_attributes_are_still_set(owner: type, names: tuple[str, ...]) -> None:
    """They are made in `__init__` or on the class; aiokafka's and Faust's classes have no slots."""
    source = "".join(
        inspect.getsource(each) for each in owner.__mro__ if each.__module__.startswith(("aiokafka", "faust"))
    )
    for name in names:
        assert f"self.{name} = " in source or f"self.{name}: " in source or f"    {name}: " in source, name


def test_batches_have_what_a_refusal_needs() -> None:
    for name in (
        "base_offset",
        "next_offset",
        "first_timestamp",
        "max_timestamp",
        "compression_type",
        "validate_crc",
    ):
        assert hasattr(DefaultRecordBatch, name)
    assert Transport.Consumer is not None


def test_the_minor_versions_are_pinned() -> None:
    found = {each.name: each for each in map(Requirement, _declared())}
    for name, minor in PINNED.items():
        assert version(name).startswith(f"{minor}.")
        major, small = minor.split(".")
        assert not found[name].specifier.contains(f"{major}.{int(small) + 1}.0"), name


def test_everything_that_is_imported_is_declared() -> None:
    declared = {Requirement(each).name.replace("_", "-").lower() for each in _declared(extras=True)}
    owners = packages_distributions()
    local = {"schemas", "detectors", "streams"}
    for path in (each for folder in local for each in (ROOT / folder).rglob("*.py")):
        if "training" in path.parts:
            continue
        for name in _imported(path) - set(sys.stdlib_module_names) - local - OPTIONAL:
            names = {each.replace("_", "-").lower() for each in owners.get(name, [name])}
            assert names & declared, f"{path.name} imports {name}"


def _declared(*, extras: bool = False) -> list[str]:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    more = [each for group in project["optional-dependencies"].values() for each in group] if extras else []
    return [*project["dependencies"], *more]


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name.split(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found
