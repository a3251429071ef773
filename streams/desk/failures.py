"""What goes wrong, as a page that says what to do."""

from typing import Final

import structlog
from aiohttp import web
from aiokafka.errors import KafkaError

from streams.desk import layout
from streams.desk.responses import page
from streams.errors import UserError
from streams.kafka.clients import BrokerError
from streams.store.errors import StoreError

log = structlog.get_logger(__name__)
KNOWN: Final = (web.HTTPException, UserError, StoreError, BrokerError, KafkaError)
_KEPT: Final = ("WWW-Authenticate", "Location")
"""Headers of an answer that is no page, which the browser has to see."""
_WHY: Final = {
    404: "There is no such page. What there is stands at the top.",
    405: "A form is sent to this address; nothing is there to be opened. Go back, or begin at the top.",
}
"""What aiohttp's own refusals do not say."""


def shown(error: Exception) -> web.Response:
    """Return the page of one of `KNOWN`."""
    match error:
        case web.HTTPException():
            bare = error.text == f"{error.status}: {error.reason}"
            why = (_WHY.get(error.status) if bare else None) or error.text or ""
            response = page(layout.failure(error.reason, why), error.status)
            response.headers.extend((k, v) for k, v in error.headers.items() if k in _KEPT)
            return response
        case UserError():
            return page(layout.failure("That cannot be done", str(error)), 400)
        case StoreError():
            log.warning("the store does not answer", problem=str(error))
            return page(layout.failure("The store does not answer", str(error)), 503)
    log.warning("the broker does not answer", problem=str(error) or type(error).__name__)
    why = "Nothing is kept of what you said, if you did: try again. `weir doctor` says what is wrong."
    return page(layout.failure("The broker does not answer", why), 503)
