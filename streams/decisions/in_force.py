"""What is in force: the policy, compiled for the detectors that run, and the terms: both follow files."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiokafka.errors import KafkaError

from detectors import registry
from detectors.errors import DetectorError
from detectors.runner import Runner
from detectors.terms import TermsDetector, TermSetError
from schemas import codec
from schemas.policy import PolicyChange
from streams.decisions.judge import wall_clock_ms
from streams.decisions.scoring import owners
from streams.decisions.settings import DecisionSettings
from streams.decisions.term_files import Terms
from streams.errors import SettingsError, WeirError
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
        self._terms = self._watched(settings)
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
            await self.look()

    async def look(self) -> None:
        """Look at the files once: a new version is taken up when two looks find it the same."""
        if self._terms is not None:
            await self._look_at_terms(self._terms)
        result = await asyncio.to_thread(self._policies.reload_if_changed)
        if isinstance(result, PolicyError):
            self._telemetry.count(catalogue.POLICY_ERRORS)
            log.error("policy refused; the last good one stays in force", problem=str(result))
        elif result == "reloaded":
            self.compiled = self._compile()
            if self._terms is not None:
                self._terms.look_again()
        refused = self._policies.error
        self._telemetry.degrade("policy", refused is not None, str(refused or ""))

    def _watched(self, settings: DecisionSettings) -> Terms | None:
        if not settings.terms:
            return None
        try:
            return Terms(settings.terms)
        except TermSetError as error:
            raise SettingsError(f"WEIR_TERMS: {error}") from None

    async def _look_at_terms(self, terms: Terms) -> None:
        last = terms.current
        result = await asyncio.to_thread(terms.reload_if_changed)
        if result == "reloaded" and (problem := self._taken_up(terms.current)):
            terms.refuse(last, result := TermSetError(problem))
        if isinstance(result, TermSetError):
            self._telemetry.count(catalogue.POLICY_ERRORS)
            log.error("terms refused; the last good ones stay in force", problem=str(result))
        self._telemetry.degrade("terms", terms.error is not None, str(terms.error or ""))

    def _taken_up(self, detector: TermsDetector) -> str:
        """Run the terms from the next batch on; return what is wrong where the policy would miss a set."""
        detectors = self._runner.with_detector(detector)
        asked = {each.name for each in self.compiled.asks if each.subject == "metric"}
        gone = {*self._runner.metrics} - {metric for each in detectors for metric in each.metrics}
        if missing := sorted(asked & gone):
            return f"the policy names {', '.join(missing)}: change the policy before you delete the set"
        try:
            registry.validate(detectors)
        except DetectorError as error:
            return str(error)
        self._runner.replace(detector)
        self._policies.measure(owners(self._runner), self._runner.ranges)
        self.compiled = self._compile()
        log.info("terms in force", sets=", ".join(detector.metrics))
        return ""

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
        detectors = registry.fingerprint(self._runner.detectors, self._runner.models)
        self._telemetry.gauge(catalogue.POLICY_INFO, 1, policy.version, policy.hash, detectors)
        log.info("policy in force", policy=policy.name, version=policy.version, hash=policy.hash)
        return policy.compile(self._runner.metrics, self._runner.counted)
