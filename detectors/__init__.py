"""How a batch is judged: batch in, float32 matrix out. Knows no Kafka, no ClickHouse, no asyncio."""
