"""Checks an installation piece by piece; each finding says what to do."""

import asyncio
import os
import re
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec
from aiokafka import codec
from dotenv import dotenv_values

from detectors.batch import Batch
from detectors.registry import fingerprint
from detectors.runner import TIMEOUT, Runner
from schemas import topics
from schemas.events import Event
from streams.alerts.routes import load as load_routes
from streams.decisions.policy_changes import demotions
from streams.decisions.scoring import make_runner, owners
from streams.errors import WeirError, user_error
from streams.kafka.topics import administering, unfit_topics
from streams.monitors.settings import unknown_watched
from streams.policy.changes import Demotions
from streams.policy.file import load as load_policy
from streams.policy.rules import Policy
from streams.roles import PROCESSES
from streams.roles.health import Health, address
from streams.settings import Settings, masked, unread
from streams.settings import load as load_settings
from streams.store.client import make_store
from streams.telemetry.client import get

Status = Literal["ok", "skip", "warn", "fail"]
"""`skip`: there is nothing here to judge, and nothing to mend."""

CODECS: Final = ("gzip", "snappy", "lz4", "zstd")
TIMEOUT_S: Final = 5.0
"""Of each server that is asked."""
_INFO: Final = re.compile(r"^weir_policy_info\{(.*)\} 1", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_SAMPLE: Final = Event(event_id="doctor", app="doctor", kind="prompt", text="What is a weir, and what for?")


class Diagnosis(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one check found."""

    check: str
    status: Status
    detail: str
    advice: str = ""
    """What to do about it."""


def diagnose() -> Iterator[Diagnosis]:
    """Yield the findings, in the order in which problems are best mended."""
    yield from variables({**dotenv_values(".env"), **os.environ})
    try:
        settings = load_settings()
    except Exception as error:
        yield _failure("settings", error, "the other checks need valid settings; docs/settings.md lists them")
        return
    if settings.storage in ("redacted", "hash") and not settings.redaction_key.get_secret_value():
        yield Diagnosis(
            "settings",
            "warn",
            "no redaction key: placeholders and text hashes change at every start",
            "set WEIR_REDACTION_KEY to 16 bytes or more, the same for every guard",
        )
    policy, expected = yield from detectors_and_policy(settings)
    yield codecs()
    of_broker = asyncio.run(broker(settings))
    yield from of_broker
    if policy is not None and all(each.status == "ok" for each in of_broker):
        standing = asyncio.run(demotions(settings))
        yield from _demoted(standing)
        expected = Hashes(standing.applied(policy).hash, expected.detectors) if expected else None
    yield from store(settings)
    if settings.routes:
        yield routes(settings.routes)
    for role in PROCESSES:
        yield telemetry(settings, role, expected, broker_answers=of_broker[0].status == "ok")


def variables(environment: Mapping[str, str | None]) -> Iterator[Diagnosis]:
    """Yield each `WEIR_` variable that is set, and warn of those that nothing reads."""
    unknown = unread(environment)
    found = {name: value or "" for name, value in environment.items() if name.upper().startswith("WEIR_")}
    if not found:
        yield Diagnosis("settings", "ok", "all at their defaults: no WEIR_ variable is set")
    for name, value in sorted(found.items()):
        if name not in unknown:
            yield Diagnosis("settings", "ok", f"{name}={masked(name, value)}")
        else:
            advice = f"nothing reads it{unknown[name]}: rename or remove it"
            yield Diagnosis("settings", "warn", f"unknown variable {name}", advice)


def routes(path: Path) -> Diagnosis:
    """Read the file of routes."""
    try:
        names = ", ".join(route.name for route in load_routes(path))
    except WeirError as error:
        return _failure("routes", error, "docs/alerts.md has an example of each")
    return Diagnosis("routes", "ok", f"{path}: {names or 'none'}; `weir notify --test NAME` tries one")


class Hashes(NamedTuple):
    """Of a policy and of the detectors it judges by."""

    policy: str
    detectors: str


def _demoted(standing: Demotions) -> Iterator[Diagnosis]:
    """Yield the rules that reviews sent to shadow."""
    for rule, change in standing.of.items():
        detail = f"{rule} is in shadow: {change.reason}"
        yield Diagnosis("policy", "warn", detail, f"`weir policy restore {rule}` puts it back")


def detectors_and_policy(
    settings: Settings,
) -> Generator[Diagnosis, None, tuple[Policy | None, Hashes | None]]:
    """Load the detectors, score a text, bind the policy to their metrics; return what should be running."""
    started = time.perf_counter()
    try:
        runner = make_runner(settings)
    except Exception as error:
        yield _failure("detectors", error, "see WEIR_DETECTORS")
        return None, None
    try:
        loaded = time.perf_counter()
        yield from _scored(runner, loaded - started)
        yield from _watched(settings, runner.metrics)
        policy = load_policy(settings.policy, owners(runner), runner.ranges)
        compiled = policy.compile(runner.metrics, runner.counted)
        rules = f"{len(compiled.rules)} of {len(policy.rules)} rules in force or in shadow"
        yield Diagnosis(
            "policy", "ok", f"{settings.policy}: version {policy.version} ({policy.hash}), {rules}"
        )
        return policy, Hashes(policy.hash, fingerprint(runner.detectors, runner.models))
    except Exception as error:
        yield _failure("policy", error, "mend the file, or set WEIR_POLICY to another one")
    finally:
        runner.close()
    return None, None


def _scored(runner: Runner, load_s: float) -> Iterator[Diagnosis]:
    runner.score(Batch([_SAMPLE], runner.models))  # the first time is slower than any other
    started = time.perf_counter()
    scored = runner.score(Batch([_SAMPLE], runner.models))
    milliseconds = (time.perf_counter() - started) * 1000
    detail = f"{len(runner.detectors)} detectors, {len(runner.metrics)} metrics: loaded in {load_s:.1f} s"
    yield Diagnosis("detectors", "ok", f"{detail}, one text in {milliseconds:.1f} ms")
    for name in scored.failed:
        reason = runner.failures[name]
        advice = "raise WEIR_DETECTOR_BUDGET_MS" if reason == TIMEOUT else "leave it out with WEIR_DETECTORS"
        yield Diagnosis("detectors", "fail", f"{name} fails ({reason})", advice)


def _watched(settings: Settings, metrics: Sequence[str]) -> Iterator[Diagnosis]:
    """Yield what WEIR_WATCH_METRICS names and nothing gives."""
    for problem in unknown_watched(settings, metrics):
        advice = "`weir check TEXT` lists the metrics, docs/policy.md the numbers of an event"
        yield Diagnosis("watch", "fail", problem, advice)


def codecs() -> Diagnosis:
    """Look whether what producers may compress can be unpacked here."""
    if missing := [name for name in CODECS if not getattr(codec, f"has_{name}")()]:
        what = f"records compressed with {' or '.join(missing)} cannot be read: they stop every role"
        return Diagnosis("codecs", "fail", what, "install the library: `pip install cramjam`")
    return Diagnosis("codecs", "ok", f"compressed records can be read: {', '.join(CODECS)}")


async def broker(settings: Settings) -> list[Diagnosis]:
    """Connect to Kafka and look for the topics."""
    try:
        described, unfit = await _describe_topics(settings)
    except Exception as error:
        return [_failure("broker", error)]
    found = [Diagnosis("broker", "ok", f"{settings.kafka} answers")]
    if missing := [name for name in topics.ALL if name not in described]:
        what = f"missing: {', '.join(missing)}"
        found.append(Diagnosis("topics", "fail", what, "create them with `weir topics`"))
    present = [f"{name} {described[name]}" for name in topics.ALL if name in described]
    if present:
        found.append(Diagnosis("topics", "ok", f"partitions: {', '.join(present)}"))
    advice = "what is refused stops its role, what is compacted is lost: set it with `kafka-configs --alter`"
    found += [Diagnosis("topics", "warn", each, advice) for each in unfit]
    return found


async def _describe_topics(settings: Settings) -> tuple[dict[str, int], list[str]]:
    """Return partitions by topic, and what topics of weir should not be set to."""
    async with administering(settings, min(TIMEOUT_S, settings.kafka_start_timeout_s)) as admin:
        described = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics()}
        return described, await unfit_topics(admin, [name for name in topics.ALL if name in described])


def store(settings: Settings) -> Iterator[Diagnosis]:
    """Connect to ClickHouse and look whether its tables are up to date."""
    client = make_store(settings.model_copy(update={"clickhouse_timeout_s": TIMEOUT_S}))
    try:
        version = client.query("SELECT version()").rows[0][0]
        yield Diagnosis("store", "ok", f"{settings.clickhouse} answers: ClickHouse {version}")
        if pending := client.pending():
            names = ", ".join(f"{each.version:04d}_{each.name}" for each in pending)
            what = f"migrations not applied: {names}"
            yield Diagnosis("tables", "fail", what, "apply them with `weir migrate`")
        elif missing := client.missing():
            what = f"missing: {', '.join(missing)}"
            yield Diagnosis("tables", "fail", what, "make them again with `weir migrate`")
        else:
            yield Diagnosis("tables", "ok", f"the tables of {settings.clickhouse_database} are up to date")
    except Exception as error:
        yield _failure("store", error)
    finally:
        client.close()


def telemetry(
    settings: Settings, role: str, expected: Hashes | None = None, *, broker_answers: bool = True
) -> Diagnosis:
    """Ask a role's health endpoint; a port on which nothing listens is free for it.

    A role notices a broker that went away only by the messages it gets no more: `broker_answers` says it.
    `expected` is what a guard should judge by, as the settings are here and now.
    """
    where, setting = address(settings, role), f"WEIR_{role.upper()}_PORT"
    taken = Diagnosis(role, "fail", f"something else listens on {where}", f"set {setting} to a free port")
    try:
        health = msgspec.json.decode(get(where, "/healthz", TIMEOUT_S).body, type=Health)
    except ConnectionRefusedError:
        return Diagnosis(role, "skip", f"not running here; its port {where.rpartition(':')[2]} is free")
    except (OSError, msgspec.DecodeError):
        return taken
    if health.role != role:
        return Diagnosis(role, "fail", f"{health.role} listens on {where}", f"set {setting} to a free port")
    return _of_health(health, broker_answers=broker_answers) or _of_policy(where, health, expected)


def _of_health(health: Health, *, broker_answers: bool) -> Diagnosis | None:
    """Return what is wrong with a role that runs."""
    if health.status == "degraded":
        why = "".join(f"\n{problem}" for problem in health.problems.values())
        detail = f"runs: degraded ({', '.join(health.degraded)}), {health.behind}{why}"
        return Diagnosis(health.role, "warn", detail, "docs/operations.md says what the reasons mean")
    if health.status != "ok":
        advice = "it has messages and finishes none: look at its log"
        return Diagnosis(health.role, "fail", f"runs: {health.status}, {health.behind}", advice)
    if not health.ready:
        advice = "it starts, or waits for the broker and its topics: look at its log"
        return Diagnosis(health.role, "warn", "runs, but is not ready", advice)
    if not broker_answers:
        detail = f"runs: {health.behind} when it last heard from the broker"
        return Diagnosis(health.role, "warn", detail, "it goes on when the broker is back")
    return None


def _of_policy(where: str, health: Health, expected: Hashes | None) -> Diagnosis:
    """Compare what a guard judges by with what the settings say: it may have other ones, or old files."""
    well = f"runs: ok, ready, {health.behind}"
    if health.role != "guard" or expected is None:
        return Diagnosis(health.role, "ok", well)
    try:
        metrics = get(where, "/metrics", TIMEOUT_S).body.decode()
        labels = dict(_LABEL.findall(next(iter(_INFO.findall(metrics)), "")))
    except OSError:
        labels = {}
    running = Hashes(labels.get("hash", "?"), labels.get("detectors", "?"))
    other = [
        f"{what} {of_guard}, the settings here give {of_settings}"
        for what, of_guard, of_settings in zip(("policy", "detectors"), running, expected, strict=True)
        if of_guard != of_settings
    ]
    if other:
        advice = (
            "compare its settings (WEIR_POLICY, WEIR_DETECTORS, WEIR_REFERENCES) with these; it takes new "
            "detectors when it is started again"
        )
        return Diagnosis("guard", "warn", f"{well}, but judges by {'; '.join(other)}", advice)
    return Diagnosis("guard", "ok", f"{well}, with this policy and these detectors")


def _failure(check: str, error: Exception, advice: str = "") -> Diagnosis:
    detail = user_error(error) or f"{type(error).__name__}: {error}"
    return Diagnosis(check, "fail", str(detail), advice)
