"""The Faust app of a role, that is without what weir does itself."""

from typing import Any

import faust
from faust.types import Message
from faust.types.auth import SASLMechanism

from streams.kafka.clients import METADATA_S
from streams.kafka.faust_transport import PollTransport
from streams.kafka.poll_fetcher import PARTITION_BYTES
from streams.kafka.role import Role
from streams.kafka.settings import KafkaSettings

NEVER_S = 10 * 365 * 86_400.0


class PollSchema(faust.Schema[Any, Any]):
    """Leaves polls as they are."""

    def loads_key(self, app: Any, message: Message, **_: Any) -> Any:  # noqa: D102
        return message.key

    def loads_value(self, app: Any, message: Message, **_: Any) -> Any:  # noqa: D102
        return message.value


class WeirApp(faust.App):
    """A Faust app without tables, web server or folders of its own."""

    def _new_transport(self) -> Any:
        return PollTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        pass


def _credentials(settings: KafkaSettings) -> Any:
    if settings.kafka_security == "PLAINTEXT":
        return None
    if settings.kafka_security == "SSL":
        return faust.SSLCredentials(settings.ssl_context)
    return faust.SASLCredentials(
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value(),
        ssl_context=settings.ssl_context,
        mechanism=SASLMechanism(settings.kafka_sasl_mechanism),
    )


def new_app(settings: KafkaSettings, role: Role) -> WeirApp:
    """Return the app of a role, not started."""
    session = settings.kafka_session_timeout_s
    app = WeirApp(
        f"{settings.group_prefix}-{role.name}",
        broker=";".join(f"aiokafka://{server.strip()}" for server in settings.kafka.split(",")),
        broker_credentials=_credentials(settings),
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 3,
        broker_rebalance_timeout=max(session, 10.0),
        # A store that is down may hold a batch for hours; progress is what the health endpoint watches.
        broker_max_poll_interval=NEVER_S / 1000,
        consumer_metadata_max_age_ms=int(METADATA_S * 1000),
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=PARTITION_BYTES,
        stream_wait_empty=False,
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
    )
    app.conf.weir = settings
    return app
