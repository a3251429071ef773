"""The HTTP endpoint of one role: its metrics, its health."""

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from streams.telemetry.metrics import Telemetry


class TelemetryServer:
    """Serves `/metrics`, `/healthz` (progress) and `/readyz` (has partitions and models)."""

    def __init__(self, telemetry: Telemetry, host: str, port: int, setting: str) -> None:
        self._telemetry = telemetry
        self._address = (host, port)
        self._setting = setting
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; raise `OSError` with a user-readable message if the port is taken."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        # Probes come every few seconds: a line for each would hide all else in the log.
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host, port = self._address
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self.stop()
            raise OSError(
                f"{host}:{port} is in use or not ours to use: set {self._setting} to a free port"
            ) from error

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._telemetry.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _healthz(self, _request: web.Request) -> web.Response:
        healthy, body = self._telemetry.health()
        return web.json_response(body, status=200 if healthy else 503)

    async def _readyz(self, _request: web.Request) -> web.Response:
        _, body = self._telemetry.health()
        return web.json_response(body, status=200 if self._telemetry.ready else 503)
