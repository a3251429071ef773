"""Who may ask the embedded store: holders of its token on this machine, and no web page.

A browser tells where a request comes from: `Origin`, `Sec-Fetch-Site`, and in `Host` the name under which
it found this address. Any of them that is foreign is refused before anything of the request is read.
"""

import base64
import binascii
import hmac
from collections.abc import Iterator
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streams.store.token import LOCAL_HOSTS

_OPEN = {"/ping", "/replicas_status"}
# What a browser says of an address that its user typed, or of a page of our own, of which there is none.
_OWN_SITES = {"none", "same-origin"}


def admit(token: str) -> Middleware:
    """Return the middleware that lets requests of holders of `token` pass."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if reason := _foreign(request):
            return _refusal(f"{reason} is refused: web pages may not ask the embedded store.")
        health = request.path in _OPEN or (request.method == "GET" and "query" not in request.query)
        if not health and not any(hmac.compare_digest(given, token.encode()) for given in _given(request)):
            return _refusal(
                "Authentication failed: the password of the embedded store is its token, which `weir up` "
                "prints, with the file that it is in; any user name will do."
            )
        return await handler(request)

    return middleware


def _foreign(request: web.Request) -> str:
    """Return what betrays a web page; empty when nothing does."""
    try:
        host = urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        host = None
    if host not in LOCAL_HOSTS:
        return "A host name that is not this machine's"
    if "Origin" in request.headers:
        return "An Origin"
    if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITES:
        return "A request from another site"
    return "A preflight" if request.method == "OPTIONS" else ""


def _given(request: web.Request) -> Iterator[bytes]:
    """Yield the passwords of a request, wherever ClickHouse takes one."""
    yield request.headers.get("X-ClickHouse-Key", "").encode("utf-8", "surrogateescape")
    yield request.query.get("password", "").encode("utf-8", "surrogateescape")
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            yield base64.b64decode(value, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):  # of bytes that are no ASCII
            return


def _refusal(reason: str) -> web.Response:
    return web.Response(
        status=403,
        headers={"X-ClickHouse-Exception-Code": "516", "Connection": "close"},
        text=f"Code: 516. DB::Exception: {reason} (AUTHENTICATION_FAILED)\n",
    )
