"""Kafka: records, clients, topics, dead letters; the only room that knows Faust."""
