"""The store as the settings want it."""

from streams.settings import Settings
from streams.store import Store

TTL_TABLES = ("events", "alerts", "drift", "dead_letters")


def make_store(settings: Settings) -> Store:
    """Return the store; it connects at the first use."""
    return Store(
        settings.clickhouse,
        database=settings.clickhouse_database,
        user=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        ca_file=settings.clickhouse_ca_file,
        timeout=settings.clickhouse_timeout_s,
    )


def migrate(store: Store, settings: Settings, metrics: list[str]) -> list[str]:
    """Bring the tables up to date; return the names of the migrations applied."""
    ttl_days = dict.fromkeys(TTL_TABLES, settings.events_ttl_days)
    return [f"{m.version:04d}_{m.name}" for m in store.migrate(metrics, ttl_days)]
