"""What the broker answers to each request: a method per request, named as in `apis`."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from streams.local.broker.apis import APIS, Code, Fault
from streams.local.broker.groups import Groups
from streams.local.broker.offsets import Offsets
from streams.local.broker.topics import Topics
from streams.local.broker.transactions import Transactions

Request = dict[str, Any]
Answer = dict[str, Any]
NODE = 1
ANSWER_BYTES = 32 << 20
"""What one answer to a fetch may hold, whatever the client allows."""
_TOPIC, _OWN, _DEFAULT = 2, 1, 5
_UNKNOWN = -1
_NOT_ASKED = -(1 << 31)


class Answers:
    """All state of the broker, in `folder`. `client` is the client id, for the names of members."""

    def __init__(self, folder: Path, host: str, port: int, *, create_topics: bool = False) -> None:
        self._address = {"node": NODE, "host": host, "port": port}
        self._creates = create_topics
        self.topics = Topics(folder)
        self._offsets = Offsets(folder / "offsets.jsonl")
        self.transactions = Transactions(folder / "transactions.json", self.topics, self._offsets)
        self._groups = Groups()

    # Records

    async def produce(self, request: Request, client: str) -> Answer:
        """Append batches."""

        def append(topic: str, part: Request) -> Answer:
            log = self.topics.partition(topic, part["index"])
            return {"base": log.append(part["records"] or b""), "append_time": -1, "start": log.start}

        return {"topics": _each_partition(request, append, base=-1, append_time=-1)}

    async def fetch(self, request: Request, client: str) -> Answer:
        """Read records; where there are fewer than asked for, wait for more as long as the client allows."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + request["max_wait"] / 1000
        while True:
            answer, size, settled = self._read(request)
            if settled or size >= request["min_bytes"] or loop.time() >= deadline:
                return answer
            await self._grown(request, deadline)

    def _read(self, request: Request) -> tuple[Answer, int, bool]:
        committed = request["isolation"] == 1
        room = size = min(request["max_bytes"], ANSWER_BYTES)

        def read(topic: str, part: Request) -> Answer:
            nonlocal room
            log = self.topics.partition(topic, part["index"])
            limit = max(0, min(part["max_bytes"], room))
            data = log.read(part["offset"], limit, committed=committed, whole=room == size)
            room -= len(data)
            aborted = log.producers.aborted(part["offset"], log.stable) if committed and data else ()
            return {
                "end": log.end,
                "stable": log.stable,
                "start": log.start,
                "aborted": aborted,
                "records": data,
            }

        topics = _each_partition(request, read, end=-1, stable=-1, start=-1, records=b"")
        settled = any(part["error"] for topic in topics for part in topic["partitions"])
        return {"topics": topics}, size - room, settled

    async def _grown(self, request: Request, deadline: float) -> None:
        """Wait until one of the partitions has grown, at most until the deadline."""
        loop = asyncio.get_running_loop()
        waiting = loop.create_future()
        logs = [
            self.topics.partition(topic["name"], part["index"])
            for topic in request["topics"]
            for part in topic["partitions"]
        ]
        timer = loop.call_at(deadline, _set, waiting)
        for log in logs:
            log.watch(waiting)
        try:
            await waiting
        finally:
            timer.cancel()
            for log in logs:
                log.unwatch(waiting)

    async def list_offsets(self, request: Request, client: str) -> Answer:
        """Find offsets by time; -1 is the end, -2 the start."""

        def find(topic: str, part: Request) -> Answer:
            log = self.topics.partition(topic, part["index"])
            timestamp, offset = log.at_time(part["timestamp"], committed=request.get("isolation") == 1)
            return {"timestamp": timestamp, "offset": offset, "leader_epoch": _UNKNOWN}

        return {"topics": _each_partition(request, find, timestamp=-1, offset=-1, leader_epoch=_UNKNOWN)}

    async def delete_records(self, request: Request, client: str) -> Answer:
        """Forget what lies before an offset."""

        def delete(topic: str, part: Request) -> Answer:
            log = self.topics.partition(topic, part["index"])
            log.delete_before(part["offset"])
            return {"low": log.start}

        return {"topics": _each_partition(request, delete, low=-1)}

    # Topics

    async def metadata(self, request: Request, client: str) -> Answer:
        """Describe the one broker, and topics."""
        asked = request["topics"]
        if asked is None or (not asked and request["version"] == 0):
            asked = [{"name": name} for name in self.topics.names()]
        return {
            "brokers": [self._address],
            "cluster": "weir",
            "controller": NODE,
            "topics": [self._describe(topic, request.get("create", True)) for topic in asked],
            "operations": _NOT_ASKED,
        }

    def _describe(self, topic: Request, create: bool) -> Answer:
        name = topic["name"] or self.topics.name_of(topic["id"])
        try:
            if create and name and self._creates and name not in self.topics:
                self.topics.create(name, 1, {})
            count = len(self.topics.partitions(name))
        except Fault as fault:
            code = fault.code if name else Code.UNKNOWN_TOPIC_ID
            return {"error": code, "name": name, "id": topic.get("id", bytes(16))}
        mine = {"leader": NODE, "replicas": [NODE], "in_sync": [NODE]}
        parts = [{"index": index, **mine} for index in range(count)]
        return {
            "name": name, "id": self.topics.id_of(name), "partitions": parts, "operations": _NOT_ASKED
        }  # fmt: skip

    async def create_topics(self, request: Request, client: str) -> Answer:
        """Make topics."""

        def create(topic: Request) -> None:
            config = {each["name"]: each["value"] for each in topic["configs"]}
            if topic["replication"] not in (-1, 1) and not topic["assignments"]:
                raise Fault(Code.INVALID_REPLICATION, "there is one broker")
            count = len(topic["assignments"]) or (1 if topic["partitions"] == -1 else topic["partitions"])
            change = self.topics.check if request.get("validate") else self.topics.create
            change(topic["name"], count, config)

        return {"topics": _each(request["topics"], create)}

    async def delete_topics(self, request: Request, client: str) -> Answer:
        """Delete topics, and what groups have committed for them."""

        def delete(topic: Request) -> None:
            self.topics.delete(topic["name"])
            self._offsets.forget_topic(topic["name"])

        return {"topics": _each([{"name": name} for name in request["topics"]], delete)}

    async def create_partitions(self, request: Request, client: str) -> Answer:
        """Add partitions to topics."""

        def grow(topic: Request) -> None:
            if not request["validate"]:
                self.topics.grow(topic["name"], topic["count"])

        return {"topics": _each(request["topics"], grow)}

    async def describe_configs(self, request: Request, client: str) -> Answer:
        """Return the settings of topics; the broker itself has none."""

        def describe(resource: Request) -> Answer:
            items = self.topics.config(resource["name"]).items() if resource["kind"] == _TOPIC else ()
            keys = resource["keys"]
            configs = [
                {"name": name, "value": value, "is_default": not own, "source": _OWN if own else _DEFAULT}
                for name, value, own in items
                if keys is None or name in keys
            ]
            return {"kind": resource["kind"], "configs": configs}

        return {"resources": _each(request["resources"], describe)}

    async def alter_configs(self, request: Request, client: str) -> Answer:
        """Replace the settings of topics."""

        def alter(resource: Request) -> Answer:
            if resource["kind"] != _TOPIC:
                raise Fault(Code.INVALID_REQUEST, "the broker itself has no settings")
            if not request["validate"]:
                config = {each["name"]: each["value"] for each in resource["configs"]}
                self.topics.configure(resource["name"], config)
            return {"kind": resource["kind"]}

        return {"resources": _each(request["resources"], alter)}

    # Groups

    async def find_coordinator(self, request: Request, client: str) -> Answer:
        """Every group and transaction is looked after here."""
        return self._address

    async def join_group(self, request: Request, client: str) -> Answer:
        """Join, with all others."""
        refused = {"generation": -1, "protocol": "", "leader": "", "member": request["member"]}
        try:
            return await self._groups[request["group"]].join(request, client)
        except Fault as fault:
            return {"error": fault.code, **refused}

    async def sync_group(self, request: Request, client: str) -> Answer:
        """Share out partitions, or learn one's share."""
        try:
            return {"assignment": await self._groups[request["group"]].sync(request)}
        except Fault as fault:
            return {"error": fault.code, "assignment": b""}

    async def heartbeat(self, request: Request, client: str) -> Answer:
        """Be alive."""
        return _answered(lambda: self._groups[request["group"]].heartbeat(request))

    async def leave_group(self, request: Request, client: str) -> Answer:
        """Go."""
        return _answered(lambda: self._groups[request["group"]].leave(request["member"]))

    async def describe_groups(self, request: Request, client: str) -> Answer:
        """Return groups with their members."""
        known = {*self._groups.names(), *self._offsets.groups()}
        return {"groups": [self._describe_group(name, known) for name in request["groups"]]}

    def _describe_group(self, name: str, known: set[str]) -> Answer:
        if name not in known:
            return {"group": name, "state": "Dead", "protocol_type": "", "protocol": ""}
        group = self._groups[name]
        members = [
            {
                "member": each.id, "client": each.client, "host": str(self._address["host"]),
                "metadata": each.protocols.get(group.protocol, b""), "assignment": each.assignment,
            }
            for each in group.members.values()
        ]  # fmt: skip
        described = {"state": group.state, "protocol_type": group.protocol_type, "protocol": group.protocol}
        return {"group": name, "members": members, **described}

    async def list_groups(self, request: Request, client: str) -> Answer:
        """Return the names of all groups."""
        names = {*self._groups.names(), *self._offsets.groups()}
        types = {name: self._groups[name].protocol_type for name in names}
        return {"groups": [{"group": name, "protocol_type": kind} for name, kind in types.items()]}

    async def delete_groups(self, request: Request, client: str) -> Answer:
        """Forget groups without members, with what they have committed."""
        known = {*self._groups.names(), *self._offsets.groups()}

        def delete(group: Request) -> None:
            if group["group"] not in known:
                raise Fault(Code.GROUP_NOT_FOUND)
            self._groups.delete(group["group"], self._offsets.forget)

        return {"groups": _each([{"group": name} for name in request["groups"]], delete)}

    async def offset_commit(self, request: Request, client: str) -> Answer:
        """Keep the offsets of a group."""
        group = request["group"]
        found = _answered(lambda: self._groups[group].check_commit(request))

        def commit(topic: str, part: Request) -> Answer:
            if found.get("error"):
                raise Fault(found["error"])
            self.topics.partition(topic, part["index"])
            self._offsets.commit(group, {(topic, part["index"]): (part["offset"], part["metadata"] or "")})
            return {}

        return {"topics": _each_partition(request, commit)}

    async def offset_fetch(self, request: Request, client: str) -> Answer:
        """Return the offsets of a group; -1 where there is none."""
        committed = self._offsets.of(request["group"])
        wanted: dict[str, list[int]] = {}
        if request["topics"] is None:
            for name, index in committed:
                wanted.setdefault(name, []).append(index)
        for topic in request["topics"] or ():
            wanted[topic["name"]] = topic["partitions"]
        return {
            "topics": [
                {
                    "name": name,
                    "partitions": [_offset(index, committed.get((name, index))) for index in parts],
                }
                for name, parts in wanted.items()
            ]
        }

    # Producers

    async def init_producer_id(self, request: Request, client: str) -> Answer:
        """Give out a producer id."""
        producer, epoch = self.transactions.new_producer(request["transactional_id"], request["timeout"])
        return {"producer": producer, "epoch": epoch}

    async def add_partitions_to_txn(self, request: Request, client: str) -> Answer:
        """Begin a transaction; the logs themselves tell which partitions it has."""
        found = _answered(lambda: self.transactions.begin(request))
        return {
            "topics": [
                {"name": topic["name"], "partitions": [{"index": i, **found} for i in topic["partitions"]]}
                for topic in request["topics"]
            ]
        }

    async def add_offsets_to_txn(self, request: Request, client: str) -> Answer:
        """Begin a transaction."""
        return _answered(lambda: self.transactions.begin(request))

    async def end_txn(self, request: Request, client: str) -> Answer:
        """Commit or abort."""
        return _answered(lambda: self.transactions.end(request))

    async def txn_offset_commit(self, request: Request, client: str) -> Answer:
        """Hold the offsets of a group until the transaction ends."""

        def hold(topic: str, part: Request) -> Answer:
            place = (topic, part["index"])
            self.transactions.offsets(request, {place: (part["offset"], part["metadata"] or "")})
            return {}

        return {"topics": _each_partition(request, hold)}

    # The broker itself

    async def api_versions(self, request: Request, client: str) -> Answer:
        """Return what is understood."""
        return {"apis": [{"key": key, "low": api.low, "high": api.high} for key, api in APIS.items()]}

    async def tidy(self) -> None:
        """Do what time asks for: retention, compaction, transactions that take too long."""
        self.transactions.expire()
        await self.topics.tidy()


def _each_partition(
    request: Request, answer: Callable[[str, Request], Answer], **refused: Any
) -> list[Answer]:
    """Return the answers of all partitions, with the fault of those that have one."""

    def one(topic: str, part: Request) -> Answer:
        try:
            return {"index": part["index"], "error": Code.NONE, **answer(topic, part)}
        except Fault as fault:
            code = fault.code
        except OSError:
            code = Code.STORAGE
        return {**refused, "index": part["index"], "error": code}

    return [
        {"name": topic["name"], "partitions": [one(topic["name"], part) for part in topic["partitions"]]}
        for topic in request["topics"]
    ]


def _each(things: Iterable[Request], answer: Callable[[Request], Answer | None]) -> list[Answer]:
    """Return the answers of all topics, resources or groups, with the fault of those that have one."""

    def one(thing: Request) -> Answer:
        try:
            return thing | {"error": Code.NONE, "configs": ()} | (answer(thing) or {})
        except Fault as fault:
            return thing | {"error": fault.code, "message": fault.message, "configs": ()}
        except OSError as error:
            return thing | {"error": Code.STORAGE, "message": str(error), "configs": ()}

    return [one(thing) for thing in things]


def _answered(act: Callable[[], None]) -> Answer:
    try:
        act()
    except Fault as fault:
        return {"error": fault.code}
    return {"error": Code.NONE}


def _set(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _offset(index: int, committed: tuple[int, str] | None) -> Answer:
    offset, metadata = committed or (_UNKNOWN, "")
    return {"index": index, "offset": offset, "metadata": metadata, "leader_epoch": _UNKNOWN}
