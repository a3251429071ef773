"""The colours of actions and severities on the pages, as a style sheet."""

from collections.abc import Iterator

from aiohttp import web

from streams.policy.actions import ACTIONS, GRAVE


def sheet() -> str:
    """Return a variable of CSS for each action, by day and by night, and where it shows."""
    light = "".join(f"--{word}:{traits.colour.light};" for word, traits in ACTIONS.items())
    dark = "".join(f"--{word}:{traits.colour.dark};" for word, traits in ACTIONS.items())
    return "\n".join(
        (f":root{{{light}}}", f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}", *_rules())
    )


async def answer(_: web.Request) -> web.Response:
    """Answer with the sheet."""
    return web.Response(text=sheet(), content_type="text/css")


def _rules() -> Iterator[str]:
    for word in ACTIONS:
        yield f".action.{word}::before{{background:var(--{word})}}"
        yield f".fill-{word}{{fill:var(--{word})}}"
    for severity in sorted(GRAVE):
        yield f".severity.{severity}{{color:var(--block);font-weight:600}}"
