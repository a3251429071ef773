"""The policy in force: compiled for the detectors that run, and followed while its file changes."""

import asyncio

import structlog

from detectors.registry import fingerprint
from detectors.runner import Runner
from streams.decisions.scoring import owners
from streams.decisions.settings import DecisionSettings
from streams.policy.file import PolicyError
from streams.policy.reload import Policies
from streams.policy.rules import CompiledPolicy
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)


class PolicyInForce:
    """Holds the last good version of the policy. Raises `PolicyError` where there is none at the start."""

    def __init__(self, settings: DecisionSettings, runner: Runner, telemetry: Telemetry) -> None:
        self._policies = Policies(settings.policy, owners(runner), runner.ranges)
        self._pause_s = settings.policy_reload_s / 2
        self._runner = runner
        self._telemetry = telemetry
        self.compiled = self._compile()

    async def watch(self) -> None:
        """Take up new versions for ever; a broken one leaves the last good one in force."""
        while True:
            # Two looks must find a new version the same, see `Policies`.
            await asyncio.sleep(self._pause_s)
            result = await asyncio.to_thread(self._policies.reload_if_changed)
            if isinstance(result, PolicyError):
                self._telemetry.count(catalogue.POLICY_ERRORS)
                log.error("policy refused; the last good one stays in force", problem=str(result))
            elif result == "reloaded":
                self.compiled = self._compile()
            refused = self._policies.error
            self._telemetry.degrade("policy", refused is not None, str(refused or ""))

    def _compile(self) -> CompiledPolicy:
        policy = self._policies.current
        self._telemetry.forget(catalogue.POLICY_INFO)
        detectors = fingerprint(self._runner.detectors, self._runner.models)
        self._telemetry.gauge(catalogue.POLICY_INFO, 1, policy.version, policy.hash, detectors)
        log.info("policy in force", policy=policy.name, version=policy.version, hash=policy.hash)
        return policy.compile(self._runner.metrics)
