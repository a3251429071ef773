"""The embedded broker and store: a laptop, the tests and the demo need nothing else.

`Broker` runs a Kafka-compatible broker, `start_clickhouse` the ClickHouse engine over its HTTP
interface, each on a directory. Both listen on 127.0.0.1 only and never outlive the process that
started them.
"""
