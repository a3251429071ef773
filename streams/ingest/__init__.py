"""From files of others to events on Kafka."""
