"""ClickHouse: tables, rows, errors."""
