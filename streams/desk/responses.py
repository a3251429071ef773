"""How the desk answers: pages, and what a browser may do with them."""

from collections.abc import Collection
from typing import Final

from aiohttp import web

from streams.errors import UserError

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def page(text: str, status: int = 200) -> web.Response:
    """Return a page; half characters, which UTF-8 cannot hold, become question marks."""
    body = text.encode("utf-8", "replace")
    return web.Response(body=body, content_type="text/html", charset="utf-8", status=status)


def one_of(name: str, value: str, allowed: Collection[str]) -> str:
    """Return a value of an address or a form; `UserError` says what is allowed."""
    if value not in allowed:
        raise UserError(f"{name}: one of {', '.join(allowed)}")
    return value
