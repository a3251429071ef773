"""Consumer groups: who is a member, and which generation shares out the partitions.

Kafka's classic protocol: members join, one of them (the leader) shares out, all fetch their share with a
sync, and whoever is silent beyond its session timeout, or does not join again in time, is out.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from streams.local.broker.apis import Code, Fault

Answer = dict[str, Any]
State = Literal["Empty", "PreparingRebalance", "CompletingRebalance", "Stable"]


@dataclass
class Member:
    """One consumer of a group; `joining` and `syncing` are requests that wait for the others."""

    id: str
    client: str
    session_s: float
    rebalance_s: float
    protocols: dict[str, bytes]
    instance: str | None = None
    assignment: bytes = b""
    joining: asyncio.Future[Answer] | None = None
    syncing: asyncio.Future[bytes] | None = None
    timer: asyncio.TimerHandle | None = None


@dataclass
class Group:
    """A consumer group, of whose members nothing outlives the process: they join again."""

    name: str
    state: State = "Empty"
    generation: int = 0
    protocol_type: str = ""
    protocol: str = ""
    leader: str = ""
    members: dict[str, Member] = field(default_factory=dict)
    _deadline: asyncio.TimerHandle | None = None

    async def join(self, request: Answer, client: str) -> Answer:
        """Take in a member and return the generation, once all have joined; raises `Fault`."""
        member = self._member_to_join(request, client)
        protocols = {each["name"]: each["metadata"] for each in request["protocols"]}
        changed = member.protocols != protocols
        member.protocols = protocols
        self._alive(member)
        if self.state == "Stable" and not changed and member.id != self.leader:
            return self._joined(member)  # its answer was lost
        _refuse(member.joining, Code.REBALANCE_IN_PROGRESS)
        member.joining = asyncio.get_running_loop().create_future()
        self._rebalance()
        return await member.joining

    async def sync(self, request: Answer) -> bytes:
        """Return a member's share, once the leader has shared out; raises `Fault`."""
        member = self._member(request)
        if self.state == "PreparingRebalance":
            raise Fault(Code.REBALANCE_IN_PROGRESS)
        if self.state == "CompletingRebalance":
            member.syncing = asyncio.get_running_loop().create_future()
            if member.id == self.leader:
                self._share_out({each["member"]: each["assignment"] for each in request["assignments"]})
            return await member.syncing
        return member.assignment

    def heartbeat(self, request: Answer) -> None:
        """Take a sign of life; raises the `Fault` that tells a member to join again."""
        member = self._member(request)
        self._alive(member)
        if self.state == "PreparingRebalance":
            raise Fault(Code.REBALANCE_IN_PROGRESS)

    def leave(self, member_id: str) -> None:
        """Let a member go; raises `Fault`."""
        if member_id not in self.members:
            raise Fault(Code.UNKNOWN_MEMBER)
        self._remove(self.members[member_id])

    def check_commit(self, request: Answer) -> None:
        """Raise the `Fault` for which offsets must not be committed: others may own the partitions."""
        if request["generation"] < 0 and not self.members:
            return  # a consumer that takes part in no group
        self._alive(self._member(request))

    def _member(self, request: Answer) -> Member:
        member = self.members.get(request["member"])
        if member is None:
            raise Fault(Code.UNKNOWN_MEMBER)
        if request["generation"] != self.generation:
            raise Fault(Code.ILLEGAL_GENERATION)
        return member

    def _member_to_join(self, request: Answer, client: str) -> Member:
        names = {each["name"] for each in request["protocols"]}
        others = [each.protocols for each in self.members.values() if each.id != request["member"]]
        if not names or (
            others and (request["protocol_type"] != self.protocol_type or not names.intersection(*others))
        ):
            raise Fault(Code.INCONSISTENT_PROTOCOL)
        self.protocol_type = request["protocol_type"]
        if request["member"]:
            if request["member"] not in self.members:
                raise Fault(Code.UNKNOWN_MEMBER)
            return self.members[request["member"]]
        instance = request.get("instance")
        for member in [each for each in self.members.values() if instance and each.instance == instance]:
            self._remove(member)  # the same instance, started again
        session = request["session_timeout"] / 1000
        rebalance = (
            request.get("rebalance_timeout") or request["session_timeout"]
        )  # version 0 has one for both
        name = f"{client or 'consumer'}-{secrets.token_hex(8)}"
        member = self.members[name] = Member(name, client, session, rebalance / 1000, {}, instance)
        return member

    def _rebalance(self) -> None:
        """Wait for all members to join again, as long as the most patient of them allows."""
        if self.state != "PreparingRebalance":
            self.state = "PreparingRebalance"
            for member in self.members.values():
                _refuse(member.syncing, Code.REBALANCE_IN_PROGRESS)
            patience = max((each.rebalance_s for each in self.members.values()), default=0.0)
            self._deadline = asyncio.get_running_loop().call_later(patience, self._complete)
        if all(_waits(member.joining) for member in self.members.values()):
            self._complete()

    def _complete(self) -> None:
        """Begin a generation with those who have joined."""
        if self._deadline is not None:
            self._deadline.cancel()
        for member in [each for each in self.members.values() if not _waits(each.joining)]:
            del self.members[member.id]
            _cancel(member)
        self.generation += 1
        if not self.members:
            self.state, self.leader, self.protocol = "Empty", "", ""
            return
        self.state = "CompletingRebalance"
        if self.leader not in self.members:
            self.leader = next(iter(self.members))
        common = set[str]().union(*(each.protocols for each in self.members.values()))
        common.intersection_update(*(each.protocols for each in self.members.values()))
        self.protocol = next(name for name in self.members[self.leader].protocols if name in common)
        for member in self.members.values():
            assert member.joining is not None
            self._alive(member)
            member.joining.set_result(self._joined(member))

    def _joined(self, member: Member) -> Answer:
        others = self.members.values() if member.id == self.leader else ()
        return {
            "generation": self.generation,
            "protocol": self.protocol,
            "leader": self.leader,
            "member": member.id,
            "members": [
                {"member": each.id, "instance": each.instance, "metadata": each.protocols[self.protocol]}
                for each in others
            ],
        }

    def _share_out(self, assignments: dict[str, bytes]) -> None:
        self.state = "Stable"
        for member in self.members.values():
            member.assignment = assignments.get(member.id, b"")
            if member.syncing is not None and not member.syncing.done():
                member.syncing.set_result(member.assignment)

    def _alive(self, member: Member) -> None:
        if member.timer is not None:
            member.timer.cancel()
        loop = asyncio.get_running_loop()
        member.timer = loop.call_later(member.session_s, self._silent, member)

    def _silent(self, member: Member) -> None:
        if _waits(member.joining) or _waits(member.syncing):
            self._alive(member)  # it is we who let it wait
        else:
            self._remove(member)

    def _remove(self, member: Member) -> None:
        self.members.pop(member.id, None)
        _cancel(member)
        for waiting in (member.joining, member.syncing):
            _refuse(waiting, Code.UNKNOWN_MEMBER)
        self._rebalance()


class Groups:
    """All groups, by name."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}

    def __getitem__(self, name: str) -> Group:
        if not name:
            raise Fault(Code.INVALID_GROUP_ID)
        return self._groups.setdefault(name, Group(name))

    def names(self) -> list[str]:
        """Return the groups that have, or had, members."""
        return list(self._groups)

    def delete(self, name: str, forget: Callable[[str], None]) -> None:
        """Forget an empty group; raises `Fault`."""
        if self[name].members:
            raise Fault(Code.GROUP_NOT_EMPTY)
        del self._groups[name]
        forget(name)


def _waits(future: asyncio.Future[Any] | None) -> bool:
    return future is not None and not future.done()


def _refuse(future: asyncio.Future[Any] | None, code: Code) -> None:
    if future is not None and not future.done():
        future.set_exception(Fault(code))


def _cancel(member: Member) -> None:
    if member.timer is not None:
        member.timer.cancel()
