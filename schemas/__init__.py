"""What travels: the messages on Kafka, their JSON Schema and the tables of ClickHouse. No I/O."""
