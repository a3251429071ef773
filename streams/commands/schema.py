"""`weir schema`."""

import json
from pathlib import Path

import click

from streams.terminal.command import Command


@click.command(cls=Command)
@click.argument("message", required=False)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the schemas of all messages to this folder, one file each.",
)
def command(message: str | None, output: Path | None) -> None:
    """Print the JSON Schema (draft 2020-12) of MESSAGE, or list the messages.

    The schema is the contract for producers and consumers in any language. It allows properties that it does
    not name: fields are only ever added.

    \b
    Example:
      weir schema
      weir schema event > event.schema.json
      weir schema --output schemas/
    """
    from schemas.export import json_schema
    from schemas.topics import MESSAGES
    from streams.errors import UserError, WeirError, did_you_mean

    if message is not None and message not in MESSAGES:
        raise UserError(
            f"no message {message!r}{did_you_mean(message, MESSAGES)}; there are {', '.join(MESSAGES)}"
        )
    if output is not None:
        try:
            output.mkdir(parents=True, exist_ok=True)
            for name in [message] if message else MESSAGES:
                path = output / f"{name}.json"
                path.write_text(_text(json_schema(name)), "utf-8")
                click.echo(str(path))
        except OSError as error:
            raise WeirError(f"cannot write to {output}: {error.strerror}; name another --output") from None
    elif message is not None:
        click.echo(_text(json_schema(message)), nl=False)
    else:
        for name, kind in MESSAGES.items():
            click.echo(f"{name:14} {(kind.__doc__ or '').splitlines()[0]}")


def _text(schema: dict[str, object]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
