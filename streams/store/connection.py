"""The store as the settings want it."""

from streams.store.client import Store
from streams.store.migrations import Changes
from streams.store.settings import StoreSettings

TTL_TABLES = ("events", "alerts", "drift", "dead_letters")


def make_store(settings: StoreSettings) -> Store:
    """Return the store; it connects at the first use."""
    return Store(
        settings.clickhouse,
        database=settings.clickhouse_database,
        user=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        ca_file=settings.clickhouse_ca_file,
        timeout=settings.clickhouse_timeout_s,
    )


def migrate(store: Store, settings: StoreSettings, metrics: list[str]) -> Changes:
    """Bring the tables up to date; return what was applied and made again."""
    ttl_days = dict.fromkeys(TTL_TABLES, settings.events_ttl_days)
    return store.migrate(metrics, ttl_days)
