"""What the broker answers to each request: a method per request, named as in `apis`."""

import asyncio
from pathlib import Path

from streams.local.broker.apis import APIS, Code, Fault
from streams.local.broker.coordinator import NODE, Coordinator
from streams.local.broker.each import UNKNOWN, Answer, Request, each, each_partition

ANSWER_BYTES = 32 << 20
"""What one answer to a fetch may hold, whatever the client allows."""
_TOPIC, _OWN, _DEFAULT = 2, 1, 5
_NOT_ASKED = -(1 << 31)


class Answers(Coordinator):
    """All state of the broker, in `folder`: records and topics, and what the coordinator has."""

    def __init__(self, folder: Path, host: str, port: int, *, create_topics: bool = False) -> None:
        super().__init__(folder, host, port)
        self._creates = create_topics

    # Records

    async def produce(self, request: Request, client: str) -> Answer:
        """Append batches."""

        def append(topic: str, part: Request) -> Answer:
            log, data = self.topics.partition(topic, part["index"]), part["records"] or b""
            self.transactions.admit(request["transactional_id"], data)
            return {"base": log.append(data), "append_time": -1, "start": log.start}

        return {"topics": each_partition(request, append, base=-1, append_time=-1)}

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

        topics = each_partition(request, read, end=-1, stable=-1, start=-1, records=b"")
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
            return {"timestamp": timestamp, "offset": offset, "leader_epoch": UNKNOWN}

        return {"topics": each_partition(request, find, timestamp=-1, offset=-1, leader_epoch=UNKNOWN)}

    async def delete_records(self, request: Request, client: str) -> Answer:
        """Forget what lies before an offset."""

        def delete(topic: str, part: Request) -> Answer:
            log = self.topics.partition(topic, part["index"])
            log.delete_before(part["offset"])
            return {"low": log.start}

        return {"topics": each_partition(request, delete, low=-1)}

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
        except OSError:
            return {"error": Code.STORAGE, "name": name}
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

        return {"topics": each(request["topics"], create)}

    async def delete_topics(self, request: Request, client: str) -> Answer:
        """Delete topics, and what groups have committed for them."""

        def delete(topic: Request) -> None:
            self.topics.delete(topic["name"])
            self._offsets.forget_topic(topic["name"])

        return {"topics": each([{"name": name} for name in request["topics"]], delete)}

    async def create_partitions(self, request: Request, client: str) -> Answer:
        """Add partitions to topics."""

        def grow(topic: Request) -> None:
            if not request["validate"]:
                self.topics.grow(topic["name"], topic["count"])

        return {"topics": each(request["topics"], grow)}

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

        return {"resources": each(request["resources"], describe)}

    async def alter_configs(self, request: Request, client: str) -> Answer:
        """Replace the settings of topics."""

        def alter(resource: Request) -> Answer:
            if resource["kind"] != _TOPIC:
                raise Fault(Code.INVALID_REQUEST, "the broker itself has no settings")
            if not request["validate"]:
                config = {each["name"]: each["value"] for each in resource["configs"]}
                self.topics.configure(resource["name"], config)
            return {"kind": resource["kind"]}

        return {"resources": each(request["resources"], alter)}

    # The broker itself

    async def api_versions(self, request: Request, client: str) -> Answer:
        """Return what is understood."""
        return {"apis": [{"key": key, "low": api.low, "high": api.high} for key, api in APIS.items()]}

    async def tidy(self) -> None:
        """Do what time asks for: retention, compaction, transactions that take too long."""
        self.transactions.expire()
        await self.topics.tidy()


def _set(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
