"""`weir export`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.terminal.command import Command, say

if TYPE_CHECKING:
    from streams.store.export import Format


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--reviewed", is_flag=True, required=True, help="The events that reviewers judged; the only choice yet."
)
@click.option(
    "--since", default="3650d", metavar="WHEN", help="Only events from then on: 2h, 7d, or RFC 3339."
)
@click.option("--app", default="", help="Only events of this app.")
def command(file: Path, reviewed: bool, since: str, app: str) -> None:
    """Write reviewed events to FILE for training: `.jsonl`, or `.parquet`.

    Each has its text as it was kept, its scores, what was decided, `label` (whether it should have been acted
    upon, as the majority says), `label_of` the rules and metrics that were judged, and `split`: train,
    validation or test, by conversation, so that no conversation is in two.

    \b
    Example:
      weir export --reviewed reviewed.parquet
      weir export --reviewed shop.jsonl --app shop --since 30d
    """
    from streams.errors import UserError
    from streams.kafka.dlq import moment_ms
    from streams.settings import load
    from streams.store.chosen import Chosen
    from streams.store.client import make_store
    from streams.store.export import export

    kinds: dict[str, Format] = {".jsonl": "jsonl", ".parquet": "parquet"}
    if file.suffix not in kinds:
        raise UserError(f"{file.name}: a file is written as .jsonl or .parquet")
    try:
        since_ms = moment_ms(since)
    except ValueError:
        raise click.UsageError(f"--since {since!r}: write 2h, 7d, or 2030-01-31T12:00:00Z") from None
    store = make_store(load())
    try:
        export(store, Chosen(since_ms, app), file, kinds[file.suffix])
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None
    finally:
        store.close()
    say(f"{file}: {file.stat().st_size:,} bytes")
