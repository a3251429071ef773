"""The policy in force: compiled for the detectors that run, and followed while it changes."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiokafka.errors import KafkaError

from detectors.registry import fingerprint
from detectors.runner import Runner
from schemas import codec
from schemas.policy import PolicyChange
from streams.decisions.judge import wall_clock_ms
from streams.decisions.scoring import owners
from streams.decisions.settings import DecisionSettings
from streams.errors import WeirError
from streams.kafka.records import Message
from streams.policy import changes
from streams.policy.file import PolicyError
from streams.policy.reload import Policies
from streams.policy.rules import CompiledPolicy
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)
Publish = Callable[[Message], Awaitable[None]]


class PolicyInForce:
    """Holds the last good version of the policy, without what reviews took out of force.

    Raises `PolicyError` where there is none at the start.
    """

    def __init__(self, settings: DecisionSettings, runner: Runner, telemetry: Telemetry) -> None:
        self._policies = Policies(settings.policy, owners(runner), runner.ranges)
        self._pause_s = settings.policy_reload_s / 2
        self._runner = runner
        self._telemetry = telemetry
        self._demotions = changes.Demotions()
        self._told = ""
        """Hash of the policy, or the problem, that was published last."""
        self.compiled = self._compile()

    def take(self, change: PolicyChange) -> None:
        """Put a change of the policy in force."""
        self._demotions.take(change)
        if self._demotions.applied(self._policies.current).sha256 != self.compiled.policy.sha256:
            log.info("a rule changes", what=change.what, rule=change.rule, by=change.by)
            self.compiled = self._compile()

    async def watch(self, publish: Publish | None = None) -> None:
        """Take up new versions for ever; a broken one leaves the last good one in force.

        `publish` sends to `llm.policy` what comes into force and what is refused.
        """
        while True:
            await self._tell(publish)
            # Two looks must find a new version the same, see `Policies`.
            await asyncio.sleep(self._pause_s)
            result = await asyncio.to_thread(self._policies.reload_if_changed)
            if isinstance(result, PolicyError):
                self._telemetry.count(catalogue.POLICY_ERRORS)
                log.error("policy refused; the last good one stays in force", problem=str(result))
            elif result == "reloaded":
                self.compiled = self._compile()
            problem = self._policies.error
            self._telemetry.degrade("policy", problem is not None, str(problem or ""))

    async def _tell(self, publish: Publish | None) -> None:
        """Say what is in force, or what was refused, where nobody else has said it last."""
        policy, error = self.compiled.policy, self._policies.error
        now = str(error) if error else policy.hash
        if publish is None or now == self._told:
            return
        if error:
            change = changes.refused(now, self._telemetry.role, wall_clock_ms())
        elif self._demotions.last == now:
            self._told = now
            return
        else:
            change = changes.in_force(policy, self._telemetry.role, wall_clock_ms())
        try:
            await publish((change.key, codec.encode(change)))
        except (KafkaError, WeirError) as problem:
            log.warning("the policy in force is not told; it is tried again", problem=type(problem).__name__)
        else:
            self._told = now

    def _compile(self) -> CompiledPolicy:
        policy = self._demotions.applied(self._policies.current)
        self._telemetry.forget(catalogue.POLICY_INFO)
        detectors = fingerprint(self._runner.detectors, self._runner.models)
        self._telemetry.gauge(catalogue.POLICY_INFO, 1, policy.version, policy.hash, detectors)
        log.info("policy in force", policy=policy.name, version=policy.version, hash=policy.hash)
        return policy.compile(self._runner.metrics)
