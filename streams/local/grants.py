"""What the engine itself lets a statement do, by ClickHouse's access control.

Everything on tables and views; nothing that reaches a file, a command or another server, and nothing that
governs the process: no source, no dictionary, no function, no user, no backup, no SYSTEM.
"""

from pathlib import Path
from xml.sax.saxutils import escape

_PRIVILEGES = (
    "SHOW, SELECT, INSERT, OPTIMIZE, TRUNCATE, CHECK, KILL QUERY, "
    "CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE TEMPORARY TABLE, "
    "DROP DATABASE, DROP TABLE, DROP VIEW, UNDROP TABLE, "
    "ALTER UPDATE, ALTER DELETE, ALTER COLUMN, ALTER INDEX, ALTER CONSTRAINT, ALTER TTL, "
    "ALTER MATERIALIZE TTL, ALTER SETTINGS, ALTER ORDER BY, ALTER SAMPLE BY, ALTER PROJECTION, "
    "ALTER STATISTICS, ALTER MODIFY COMMENT, ALTER MOVE PARTITION, ALTER VIEW"
)
ENGINES = frozenset(
    f"{kind}MergeTree"
    for kind in ("", "Replacing", "Summing", "Aggregating", "Collapsing", "VersionedCollapsing", "Coalescing")
) | {"Memory", "Null", "Log", "TinyLog", "StripeLog", "Set", "Join", "Buffer", "Merge", "Atomic"}
"""Of tables and databases: those that keep their rows in the data folder or in memory."""

_USERS = """<clickhouse>
<profiles><default>
  <allow_python_table_function>0</allow_python_table_function>
  <!-- The statement is read by formatQuery first, as a literal within another statement. -->
  <max_query_size>16777216</max_query_size>
</default></profiles>
<users><default>
  <password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
  <grants>{grants}</grants>
</default></users>
<quotas><default></default></quotas>
</clickhouse>
"""
_CONFIG = "<clickhouse><users_config>{users}</users_config></clickhouse>\n"


def write_config(folder: Path) -> Path:
    """Write the engine's configuration into `folder`; return the file that it is started with."""
    folder.mkdir(exist_ok=True)
    # Engines that are named need a grant only where the engine knows them as sources: none of ours is.
    grants = "".join(f"<query>GRANT {privilege} ON *.*</query>" for privilege in _PRIVILEGES.split(", "))
    users, config = folder / "users.xml", folder / "config.xml"
    _replace(users, _USERS.format(grants=grants))
    _replace(config, _CONFIG.format(users=escape(str(users))))
    return config


def _replace(path: Path, text: str) -> None:
    # A store on a full disk starts all the same: what it wrote last time is as good.
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
