"""What the coordinator of groups and transactions answers: a method per request, named as in `apis`."""

import logging
from pathlib import Path

from streams.local.broker.apis import Code, Fault
from streams.local.broker.each import UNKNOWN, Answer, Request, answered, each, each_partition
from streams.local.broker.groups import Groups
from streams.local.broker.offsets import Offsets
from streams.local.broker.topics import Topics
from streams.local.broker.transactions import Transactions

log = logging.getLogger(__name__)
NODE = 1


class Coordinator:
    """Members, committed offsets and transactions. `client` is the client id, for the names of members."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self._address = {"node": NODE, "host": host, "port": port}
        self.topics = Topics(folder)
        path = folder / "offsets.jsonl"
        if self.topics.names() and not path.exists():
            log.warning(
                "%s is missing: every group begins where its client is set to, and may read again", path
            )
        self._offsets = Offsets(path)
        self.transactions = Transactions(folder / "transactions.json", self.topics, self._offsets)
        self._groups = Groups()

    def close(self) -> None:
        """Let go of all files."""
        self.topics.close()
        self._offsets.close()

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
        return answered(lambda: self._groups[request["group"]].heartbeat(request))

    async def leave_group(self, request: Request, client: str) -> Answer:
        """Go."""
        return answered(lambda: self._groups[request["group"]].leave(request["member"]))

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

        return {"groups": each([{"group": name} for name in request["groups"]], delete)}

    async def offset_commit(self, request: Request, client: str) -> Answer:
        """Keep the offsets of a group."""
        group = request["group"]
        found = answered(lambda: self._groups[group].check_commit(request))

        def commit(topic: str, part: Request) -> Answer:
            if found.get("error"):
                raise Fault(found["error"])
            self.topics.partition(topic, part["index"])
            self._offsets.commit(group, {(topic, part["index"]): (part["offset"], part["metadata"] or "")})
            return {}

        return {"topics": each_partition(request, commit)}

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
        try:
            producer, epoch = self.transactions.new_producer(request["transactional_id"], request["timeout"])
        except OSError:
            return {"error": Code.COORDINATOR_NOT_AVAILABLE, "producer": -1, "epoch": -1}  # clients ask again
        return {"producer": producer, "epoch": epoch}

    async def add_partitions_to_txn(self, request: Request, client: str) -> Answer:
        """Begin a transaction; the logs themselves tell which partitions it has."""
        found = answered(lambda: self.transactions.begin(request))
        return {
            "topics": [
                {"name": topic["name"], "partitions": [{"index": i, **found} for i in topic["partitions"]]}
                for topic in request["topics"]
            ]
        }

    async def add_offsets_to_txn(self, request: Request, client: str) -> Answer:
        """Begin a transaction."""
        return answered(lambda: self.transactions.begin(request))

    async def end_txn(self, request: Request, client: str) -> Answer:
        """Commit or abort."""
        return answered(lambda: self.transactions.end(request))

    async def txn_offset_commit(self, request: Request, client: str) -> Answer:
        """Hold the offsets of a group until the transaction ends."""

        def hold(topic: str, part: Request) -> Answer:
            place = (topic, part["index"])
            self.transactions.offsets(request, {place: (part["offset"], part["metadata"] or "")})
            return {}

        return {"topics": each_partition(request, hold)}


def _offset(index: int, committed: tuple[int, str] | None) -> Answer:
    offset, metadata = committed or (UNKNOWN, "")
    return {"index": index, "offset": offset, "metadata": metadata, "leader_epoch": UNKNOWN}
