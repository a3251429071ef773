"""The embedded Kafka-compatible broker: one process, one folder, plain files.

It answers what clients ask of a single Kafka broker (records, topics, groups, transactions) and keeps it
across its own end. It has no replicas, no access control and one thread: for one machine.
"""

from streams.local.broker.child import Broker, answers

__all__ = ["Broker", "answers"]
