"""When and where: Faust, Kafka, ClickHouse, HTTP, settings, policy and the command line."""
