"""Requests to an embedded store, as curl would send them."""

import urllib.error
import urllib.parse
import urllib.request

from streams.store.token import find_token


def ask(
    url: str,
    statement: str | bytes = b"",
    path: str = "/",
    *,
    get: bool = False,
    headers: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    **named: str,
) -> tuple[int, str, dict[str, str]]:
    """Return status, text and headers; sent with the token, as POST unless `get`."""
    body = statement.encode() if isinstance(statement, str) else statement
    request = urllib.request.Request(
        f"{url}{path}?{urllib.parse.urlencode({**(params or {}), **named})}",
        data=None if get else body,
        headers={"X-ClickHouse-Key": find_token(url), **(headers or {})},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, reply.read().decode(), dict(reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), dict(error.headers)
