"""What reviews change, on a real store and a real broker: answers to escalations, demoted rules."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from schemas import codec, topics
from schemas.events import Alert, Decision, Event, Feedback, RuleHit, ScoredEvent
from schemas.policy import PolicyChange
from streams.alerts.life_cycle import LifeCycle
from streams.alerts.signals import of_alert
from streams.decisions.after_reviews import due
from streams.decisions.explain import explain
from streams.decisions.in_force import PolicyInForce
from streams.decisions.policy_changes import PolicyChanges, demotions
from streams.decisions.reviews_followed import ReviewsFollowed
from streams.decisions.scoring import make_runner
from streams.kafka.clients import BatchProducer
from streams.kafka.topics import create_topics
from streams.local.broker import Broker
from streams.local.process import free_port
from streams.policy.changes import Demotions, in_force, restored
from streams.policy.file import parse
from streams.policy.reviews import is_below
from streams.policy.rules import Policy
from streams.settings import Settings
from streams.store.client import Store
from streams.store.policy_changes import changes, refused
from streams.telemetry.metrics import Telemetry
from tests.harness import everything, wait_until
from tests.streams.alerts.cycles import TIMING

NOW = time.time_ns() // 1_000_000 - 3_600_000
HEAD = "version: '1'\nname: t\nrules:\n"
INJ = "  - {id: inj, when: [injection >= 0.9], action: block, demote_below: 0.5, min_reviews: 5}\n"
OTHER = (
    "  - {id: other, when: [toxicity >= 0.9], action: flag, alert_below: 0.9, mode: shadow, min_reviews: 3}\n"
)
REDACTED = "to [EMAIL_a1b2c3]"
METRICS = {"injection": "injection", "toxicity": "toxicity"}


@pytest.fixture(scope="module")
def kafka_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Broker(free_port(), tmp_path_factory.mktemp("broker")) as running:
        settings = Settings(kafka=running.address, _env_file=None)
        asyncio.run(create_topics(settings))
        yield running.address


@pytest.fixture
def settings(kafka_address: str, migrated: Store, tmp_path: Path) -> Settings:
    (tmp_path / "policy.yaml").write_text(HEAD + INJ + OTHER)
    return Settings(
        kafka=kafka_address, clickhouse=migrated.url, clickhouse_database=migrated.database,
        policy=tmp_path / "policy.yaml", policy_reload_s=0.1, detectors=("injection", "toxicity"),
        _env_file=None,
    )  # fmt: skip


@pytest.fixture
def store(emptied: Store) -> Store:
    return emptied


@pytest_asyncio.fixture
async def producer(settings: Settings) -> AsyncIterator[BatchProducer]:
    producer = BatchProducer(settings)
    await producer.start()
    yield producer
    await producer.stop()


def policy(text: str = HEAD + INJ + OTHER) -> Policy:
    return parse(text, METRICS)


def row(name: str, *hits: RuleHit, policy_hash: str = "", action: str = "block", **more: Any) -> ScoredEvent:
    decision = Decision(
        decision_id=codec.decision_id("shop", name), event_id=name, app="shop", kind="prompt",
        verdict="block", rules=hits, policy_hash=policy_hash, decided_at=NOW, latency_ms=3.0,
        action=action,  # type: ignore[arg-type]
        conversation_id="c",
    )  # fmt: skip
    event = Event(event_id=name, app="shop", kind="prompt", text=more.pop("text", "x"), conversation_id="c")
    return ScoredEvent(event=event, scores={}, decision=decision, timestamp=NOW, **more)


def hit(rule: str, action: str = "block", mode: str = "enforce") -> RuleHit:
    return RuleHit(rule=rule, action=action, severity="high", mode=mode, metric="injection", score=0.95)  # type: ignore[arg-type]


def said(name: str, judgement: str, at: int = 1, reviewer: str = "ann", about: str = "") -> Feedback:
    return Feedback(
        feedback_id=f"{name}{reviewer}{about}", event_id=name, app="shop", reviewer=reviewer,
        judgement=judgement,  # type: ignore[arg-type]
        metric=about, timestamp=NOW + at,
    )  # fmt: skip


def put(store: Store, *messages: Any) -> None:
    for kind in {type(each): None for each in messages}:
        store.insert([each for each in messages if type(each) is kind], uuid.uuid4().hex)


def decided(store: Store) -> dict[str, tuple[str, str]]:
    rows = store.query("SELECT event_id, action, decided_by FROM decisions ORDER BY event_id").rows
    return {name: (action, by) for name, action, by in rows}


async def of_topic(settings: Settings, topic: str, kind: Any) -> list[Any]:
    return [codec.decode(kind, each.value) for each in await everything(settings, topic)]


async def test_an_answer_becomes_a_decision_once(
    store: Store, settings: Settings, producer: BatchProducer
) -> None:
    escalated = hit("ask", "escalate")
    put(
        store,
        row("a", escalated, action="escalate"),
        row("b", escalated, action="escalate"),
        row("c", escalated, hit("pii", "redact"), hit("tox", "flag"), action="escalate", text=REDACTED),
        row("d", escalated, action="escalate"),
        row("e", hit("inj")),
        said("a", "correct"), said("b", "false_positive"), said("c", "false_positive"), said("d", "unsure"),
        said("e", "false_positive"), said("a", "false_positive", 9, about="ask"),
    )  # fmt: skip
    follower = ReviewsFollowed(store, producer.send)
    assert len((await follower.do()).decisions) == 3
    assert not (await follower.do()).decisions, "answered once"
    found = {each.event_id: each for each in await of_topic(settings, topics.DECISIONS, Decision)}
    assert {name: each.action for name, each in found.items()} == {"a": "block", "b": "allow", "c": "redact"}
    assert found["c"].text == REDACTED
    a = found["a"]
    assert (a.decided_by, a.revision, a.decided_at) == ("reviewer", NOW + 1, NOW + 1)
    assert (a.decision_id, a.rules, a.latency_ms) == (codec.decision_id("shop", "a"), (escalated,), 4.0)
    assert decided(store) == {
        "a": ("block", "reviewer"), "b": ("allow", "reviewer"), "c": ("redact", "reviewer"),
        "d": ("escalate", "policy"), "e": ("block", "policy"),
    }  # fmt: skip
    assert explain("b", "shop", settings.policy, settings, store).answered == "allow"
    put(store, said("a", "false_positive", 5, "bob"))
    [second] = (await follower.do()).decisions
    assert (second.action, second.revision > a.revision) == ("allow", True)
    assert decided(store)["a"] == ("allow", "reviewer"), "the last word counts"


async def test_who_dies_between_publishing_and_noting_says_the_same_again(store: Store) -> None:
    put(store, row("a", hit("ask", "escalate"), action="escalate"), said("a", "correct"))
    sent: list[Any] = []

    async def send(topic: str, messages: Any) -> None:
        sent.append((topic, list(messages)))
        if len(sent) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await ReviewsFollowed(store, send).do()
    await ReviewsFollowed(store, send).do()
    assert sent[0] == sent[1]
    assert decided(store) == {"a": ("block", "reviewer")}
    put(store, said("a", "correct"), row("a", hit("ask", "escalate"), action="escalate"))
    assert not due(store).decisions, "a replay of both adds nothing"


def judged(store: Store, hashes: list[str], right: int, wrong: int, at: int = 1, rule: str = "inj") -> None:
    """Have a rule hit so many events, and somebody say of each that it was right, or wrong."""
    words = ["correct"] * right + ["false_positive"] * wrong
    names = [f"{at}e{number}" for number in range(len(words))]
    put(
        store,
        *(row(name, hit(rule), policy_hash=hashes[n % len(hashes)]) for n, name in enumerate(names)),
        *(said(name, word, at, about=rule) for name, word in zip(names, words, strict=True)),
    )


def test_a_rule_is_demoted_by_enough_reviews_of_what_it_is_now(store: Store) -> None:
    now, before = policy(), policy(HEAD.replace("'1'", "'0'") + INJ)
    changed = policy(HEAD + INJ.replace("0.9]", "0.8]"))
    put(store, in_force(changed, "guard", 1), in_force(before, "guard", 2), in_force(now, "guard", 3))
    judged(store, [changed.hash], 0, 30)
    assert not due(store).changes, "the rule hit otherwise then"
    judged(store, [now.hash, before.hash], 0, 4, at=2)
    assert not due(store).changes, "fewer than min_reviews"
    judged(store, [now.hash, before.hash], 0, 5, at=3)
    found = due(store)
    [change], [alert] = found.changes, found.alerts
    assert (change.what, change.rule, change.right, change.reviews) == ("demoted", "inj", 0, 9)
    assert (change.timestamp, change.policy_hash) == (NOW + 3, now.hash)
    assert "below demote_below 0.5" in change.reason
    assert (alert.rule, alert.severity, alert.source) == ("inj", "high", "archive")
    assert alert.title.startswith("inj goes to shadow, and only records its hits: ")
    assert "`weir policy restore inj` takes it back" in alert.title
    assert "`weir policy log --rule inj`" in alert.title, "where to look"
    assert due(store) == found, "until it is written"
    put(store, change)
    assert not due(store).changes


def test_who_knows_that_a_rule_is_doubted_hears_anew_that_it_is_demoted(store: Store) -> None:
    both = policy(HEAD + INJ.replace("demote_below", "alert_below: 0.9, demote_below"))
    put(store, in_force(both, "guard", 1))
    judged(store, [both.hash], 5, 5)
    found = due(store)
    [doubt] = found.alerts
    assert [each.what for each in found.changes] == ["doubted"]
    put(store, *found.changes)
    judged(store, [both.hash], 0, 30, at=9)
    [demotion] = due(store).alerts
    groups = [signal.group for signal in map(of_alert, (doubt, demotion)) if signal]
    assert len(set(groups)) == 2, "an alert of its own"


def test_a_rule_that_is_doubted_and_demoted_at_once_is_one_alert(store: Store) -> None:
    both = policy(HEAD + INJ.replace("demote_below", "alert_below: 0.9, demote_below"))
    put(store, in_force(both, "guard", 1))
    judged(store, [both.hash], 0, 30)
    found = due(store)
    assert [each.what for each in found.changes] == ["doubted", "demoted"]
    assert ["goes to shadow" in each.title for each in found.alerts] == [True]


def test_a_few_wrong_ones_demote_no_good_rule(store: Store) -> None:
    put(store, in_force(policy(), "guard", 1))
    judged(store, [policy().hash], 8, 6)
    judged(store, [policy().hash], 1, 9, at=2, rule="other")
    assert [(each.what, each.rule) for each in due(store).changes] == [("doubted", "other")]
    assert not is_below(0, 1, 0.5)
    assert not is_below(45, 100, 0.5)
    assert is_below(0, 8, 0.5)
    assert is_below(30, 100, 0.5)


def test_after_a_restore_only_later_reviews_count(store: Store) -> None:
    put(store, in_force(policy(), "guard", 1))
    judged(store, [policy().hash], 0, 9)
    [change] = due(store).changes
    back = restored(change, "ann", "a fluke", NOW + 10)
    put(store, change, back)
    assert not due(store).changes
    judged(store, [policy().hash], 0, 9, at=20)
    [again] = due(store).changes
    assert (again.reviews, again.since) == (9, NOW + 10)
    assert again.change_id != change.change_id
    assert [each["what"] for each in changes(store)][:2] == ["restored", "demoted"]


@pytest.mark.parametrize("what", ["doubted", "demoted"])
async def test_what_reviews_change_is_said_once_before_it_is_read_back(store: Store, what: str) -> None:
    key = {"doubted": "alert_below", "demoted": "demote_below"}[what]
    now = policy(HEAD + INJ.replace("demote_below", key))
    put(store, in_force(now, "guard", 1))
    judged(store, [now.hash], 0, 9)
    sent: list[str] = []

    async def send(topic: str, messages: Any) -> None:
        sent.extend(topic for _ in messages)
        if len(sent) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await ReviewsFollowed(store, send).do()
    follower = ReviewsFollowed(store, send)
    [change] = (await follower.do()).changes
    assert sent == [topics.ALERTS, topics.ALERTS, topics.POLICY], "who died says it again"
    judged(store, [now.hash], 0, 1, at=2)
    for other in (follower, ReviewsFollowed(store, send)):
        assert not (await other.do()).changes
    assert len(sent) == 3
    put(store, change)
    assert [each["what"] for each in changes(store)] == [what, "in_force"], "one row, read back or not"


async def test_the_alert_of_a_demotion_is_over_once_the_rule_is_restored(store: Store) -> None:
    put(store, in_force(policy(), "guard", 1))
    cycle = LifeCycle(TIMING)
    sent: list[Alert] = []

    async def send(topic: str, messages: Any) -> None:
        if topic == topics.ALERTS:
            told = [codec.decode(Alert, value) for _, value in messages]
            sent.extend(told)
            put(store, *(each for each in told if not each.resolved_at))
            for signal in filter(None, map(of_alert, told)):
                cycle.add(signal, NOW)

    def becomes(at_s: int) -> list[tuple[str, str]]:
        said = cycle.tick(NOW + 1000 * at_s, caught_up=True)
        return [(each.change, each.reason) for each in said]

    follower = ReviewsFollowed(store, send)
    judged(store, [policy().hash], 0, 9)
    [demotion] = (await follower.do()).changes
    assert becomes(60) == [("opened", "")]
    put(store, restored(demotion, "ann", "a fluke", NOW + 70_000))
    [end] = (await follower.do()).ended
    assert (end.alert_id, end.resolved_at) == (sent[0].alert_id, NOW + 70_000)
    assert end.title.startswith("inj is in force again, ann put it back; it was in shadow: 0 of 9 ")
    assert becomes(71) == [("resolved", "ended")]
    assert store.query("SELECT count(), any(resolved_at > timestamp) FROM alerts").rows == [(1, True)]
    assert not (await ReviewsFollowed(store, send).do()).ended, "said once"
    judged(store, [policy().hash], 0, 9, at=80_000)
    assert not (await follower.do()).ended, "the next demotion is not taken back"
    assert becomes(81) == [("reopened", "")]
    assert [bool(each.resolved_at) for each in sent] == [False, True, False]


async def eventually(condition: Callable[[], Any], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


async def test_a_demotion_reaches_who_runs_and_who_starts_later_and_is_undone(
    store: Store, settings: Settings, producer: BatchProducer
) -> None:
    runner = make_runner(settings)
    tasks: list[asyncio.Task[None]] = []

    def start() -> PolicyInForce:
        policy = PolicyInForce(settings, runner, Telemetry("guard"))
        follower = PolicyChanges(settings, policy.take)
        tasks.extend(map(asyncio.create_task, (follower.follow(), policy.watch(tell))))
        return policy

    async def tell(message: Any) -> None:
        await producer.send(topics.POLICY, [message])

    def mode(of: PolicyInForce) -> str:
        return next(rule.mode for rule in of.compiled.policy.rules if rule.id == "inj")

    try:
        running = start()
        await eventually(lambda: running._demotions.last == running.compiled.policy.hash, "it is told")
        first = running.compiled.policy.hash
        demoted = PolicyChange(
            change_id="x", what="demoted", timestamp=NOW, by="reviews", rule="inj",
            rule_hash=json.loads(in_force(running.compiled.policy, "guard", 1).rules)[0]["hash"],
        )  # fmt: skip
        await tell((demoted.key, codec.encode(demoted)))
        await eventually(lambda: mode(running) == "shadow", "it is in shadow where it runs")
        assert running.compiled.policy.hash != first, "decisions are traced to what was in force"
        later = start()
        await eventually(lambda: mode(later) == "shadow", "and where it starts")
        assert list((await demotions(settings)).of) == ["inj"]
        back = restored(demoted, "ann", "", NOW + 1)
        await tell((back.key, codec.encode(back)))
        await eventually(lambda: {mode(running), mode(later)} == {"enforce"}, "it is back in both")
        assert not (await demotions(settings)).of
        settings.policy.write_text("rules: [")
        await eventually(lambda: not running._demotions.last, "a refused version is told")
        for change in await of_topic(settings, topics.POLICY, PolicyChange):
            put(store, change)
        assert "not YAML" in refused(store)
        settings.policy.write_text(HEAD + INJ + OTHER)
        await eventually(lambda: running._demotions.last == first, "and that it is good again")
        for change in await of_topic(settings, topics.POLICY, PolicyChange):
            put(store, change)
        assert refused(store) == ""
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        runner.close()


def test_a_rule_that_was_changed_since_is_not_demoted() -> None:
    standing = Demotions()
    rule_hash = json.loads(in_force(policy(), "guard", 1).rules)[0]["hash"]
    standing.take(
        PolicyChange(
            change_id="x", what="demoted", timestamp=1, by="reviews", rule="inj", rule_hash=rule_hash
        )
    )
    assert standing.applied(policy()).rules[0].mode == "shadow"
    mended = policy(HEAD + INJ.replace("0.9]", "0.95]"))
    assert standing.applied(mended) == mended
    kept = policy(HEAD + INJ.replace("action: block", "action: escalate"))
    assert standing.applied(kept).rules[0].mode == "shadow", "what it asks for does not change when it hits"


def test_the_alert_and_the_demotion_are_one_message_each_however_often_they_are_sent(store: Store) -> None:
    put(store, in_force(policy(), "guard", 1))
    judged(store, [policy().hash], 0, 9)
    for _ in range(2):
        found = due(store)
        put(store, *found.alerts)
    put(store, *found.changes, *found.changes)
    assert store.query("SELECT count() FROM alerts").rows == [(1,)]
    assert len([each for each in changes(store) if each["what"] == "demoted"]) == 1
