"""A consumer group in which one member has everything, and the others stand by."""

from collections.abc import Iterable, Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class SoleOwner(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """Gives all partitions to one member: what has one cause may come from any of them."""

    name = "sole-owner"

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Return what each member gets."""
        owner = min(members)
        wanted = sorted(members[owner].subscription)
        everything = [(topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in wanted]
        return {
            name: ConsumerProtocolMemberAssignment(0, everything if name == owner else [], b"")
            for name in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return what a member says of itself."""
        return ConsumerProtocolMemberMetadata(0, list(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing is remembered."""
