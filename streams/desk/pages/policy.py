"""The policy in force, what it was before, and a place to try another."""

import datetime as dt
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.policy import PolicyChange
from streams.desk.asked import Asked, Row
from streams.desk.filters import Filter
from streams.desk.forms import hidden
from streams.desk.health import RoleHealth
from streams.desk.html import Child, Html, behind, el, exact, table
from streams.desk.layout import page
from streams.desk.parts import badge, bdi, field, labelled, select, share, when
from streams.desk.questions import policy as questions
from streams.errors import UserError
from streams.policy.differences import Difference
from streams.policy.differences import differences as in_meaning
from streams.policy.file import PolicyError, parse
from streams.policy.rule import Rule
from streams.policy.rules import Policy
from streams.store.policy_changes import standing

WARNING: Final = {"class": "notice warning", "role": "alert"}
SINCE: Final = ("1h", "24h", "7d", "30d")


@dataclass(frozen=True)
class Draft:
    """The text of a policy, and what it means for the metrics that there are."""

    text: str
    policy: Policy | None
    problem: str = ""

    @classmethod
    def of(cls, text: str, metrics: Iterable[str]) -> "Draft":
        """Read a text."""
        try:
            return cls(text, parse(text, dict.fromkeys(metrics, ""), source="draft"))
        except PolicyError as error:
            return cls(text, None, str(error))


def changes_of(draft: str, live: str, metrics: Collection[str]) -> list[Difference]:
    """Return what a draft changes; `UserError` says what is wrong with it."""
    old, new = Draft.of(live, metrics), Draft.of(draft, metrics)
    if new.policy is None:
        raise UserError(new.problem)
    return in_meaning(old.policy, new.policy) if old.policy else []


def policy(asked: Asked, now: Draft, token: str | None, roles: Iterable[RoleHealth], time: Filter) -> str:
    """Return the policy of the file, and what was in force before; `token` is None for who may not try."""
    refused = [role for role in roles if "policy" in role.why]
    return page(
        "Policy",
        "/policy",
        asked,
        el("nav", {"class": "times", "aria-label": "On this page"}, _contents(is_reviewer=bool(token))),
        [el("p", WARNING, f"The {each.name} refuses it: ", bdi(each.why)) for each in refused],
        _in_file(now, asked, time),
        (try_form(token), backtest_form(token, now.text)) if token else None,
        el("div", {"id": "decided"}, _decided(asked)),
        el("div", {"id": "history"}, _changes(asked)),
        time=time,
    )


def _contents(*, is_reviewer: bool) -> Iterator[Html]:
    """Yield links to what stands below the rules."""
    own = (("try", "Try a text"), ("backtest", "Try a draft on what was")) if is_reviewer else ()
    for anchor, name in (*own, ("decided", "Policies that decided"), ("history", "History")):
        yield el("a", {"href": f"#{anchor}"}, name)


def _in_file(now: Draft, asked: Asked, time: Filter) -> list[Child]:
    if now.policy is None:
        return [el("p", WARNING, "The policy file is no policy: ", bdi(now.problem))]
    name = f"{now.policy.name} {now.policy.version} ({now.policy.hash})"
    found = questions.demotions(asked)
    demoted = standing(found).holding(now.policy)
    return [
        el("p", {"class": "why"}, "In the file: ", bdi(name), f", {len(now.policy.rules)} rules."),
        [_demoted(change) for change in demoted.values()],
        table(
            ("Rule", "When", "Unless", "Action", "Severity", "Mode"),
            (_rule(rule, time, is_demoted=rule.id in demoted) for rule in now.policy.rules),
            "Rules",
            found.number,
        ),
        el("details", None, el("summary", None, "The file"), el("pre", {"tabindex": "0"}, now.text)),
    ]


def _demoted(change: PolicyChange) -> Html:
    since = dt.datetime.fromtimestamp(change.timestamp / 1000, dt.UTC)
    restore = el("code", None, f"weir policy restore {change.rule}")
    said = (f"{change.rule} is in shadow since ", when(since), " UTC: ", bdi(change.reason), ". ")
    return el("p", WARNING, said, restore, " puts it back in force.")


def _rule(rule: Rule, time: Filter, *, is_demoted: bool) -> Iterator[Child]:
    yield (
        el("a", {"id": f"rule-{rule.id}", "href": time.link("/events", rule=rule.id)}, rule.id),
        el("br"),
        el("small", {"class": "long"}, rule.description),
    )
    yield _conditions(rule.when)
    yield _conditions(rule.unless)
    yield badge(rule.action)
    yield rule.severity
    yield "shadow, by reviews" if is_demoted else rule.mode


def _conditions(conditions: Iterable[Any]) -> Html | None:
    items = [el("li", None, el("code", None, str(each))) for each in conditions]
    return el("ul", {"class": "plain"}, items) if items else None


def try_form(token: str, text: str = "", kind: str = "prompt") -> Html:
    """Return the form that has a text judged, and kept nowhere."""
    area = el("textarea", {"name": "text", "rows": "3", "required": ""}, Html("\n"), exact(text))
    return el(
        "form",
        {"method": "post", "action": "/policy/try", "class": "tall", "aria-labelledby": "try"},
        el("h2", {"id": "try"}, "Try a text"),
        labelled("Text: judged by this policy, and kept nowhere", area),
        select("kind", ("prompt", "completion"), kind, "It is a"),
        labelled("App", field("app", "")),
        hidden({"token": token}),
        el("button", {"type": "submit"}, "Judge it"),
    )


def backtest_form(token: str, draft: str, since: str = "7d") -> Html:
    """Return the form that replays a draft on what is stored."""
    box = {"name": "draft", "rows": "12", "spellcheck": "false", "required": ""}
    # HTML drops the first line break of an area.
    area = el("textarea", box, Html("\n"), exact(draft))
    return el(
        "form",
        {"method": "post", "action": "/policy/backtest", "class": "tall", "aria-labelledby": "backtest"},
        el("h2", {"id": "backtest"}, "Try a draft on what was"),
        labelled("Draft: change the policy here, and see what it would have decided", area),
        select("since", SINCE, since, "The last"),
        labelled("Only app", field("app", "")),
        hidden({"token": token}),
        el("button", {"type": "submit"}, "Backtest"),
    )


def _decided(asked: Asked) -> Html:
    found = questions.in_force(asked)
    before = [*found[1:], None]
    return table(
        ("Version", "Hash", "First decision", "Last decision", "Events", "Acted on", "Blocked", ""),
        (
            (
                bdi(row["policy_version"] or "(none)"),
                el("code", None, bdi(row["policy_hash"] or "(none)")),
                when(row["first"]),
                when(row["last"]),
                el("a", {"href": _events(row)}, f"{row['events']:,}"),
                share(row["acted"], row["events"]),
                share(row["blocked"], row["events"]),
                el("a", {"href": _compared(old, row)}, "What it changed") if old else None,
            )
            for row, old in zip(found, before, strict=False)
        ),
        "Policies that decided, of the last 90 days",
        found.number,
    )


def _events(row: Row) -> str:
    return Filter(since="all", values={"policy_hash": row["policy_hash"]}).link("/events")


def _compared(old: Row, new: Row) -> str:
    return Filter(since="all").link(
        "/compare", by="policy_hash", old=old["policy_hash"], new=new["policy_hash"]
    )


def _changes(asked: Asked) -> list[Html]:
    """Return what came into force and was refused, each with what it changed."""
    found = questions.changes(asked)
    if not found:
        return []
    in_force = [row for row in found if row["what"] == "in_force"]
    before = dict(zip((row["change_id"] for row in in_force), in_force[1:], strict=False))
    # A role that starts says again what is in force.
    told = [
        row
        for row in found
        if (old := before.get(row["change_id"])) is None or old["policy_hash"] != row["policy_hash"]
    ]
    shown = [_change(row, before.get(row["change_id"]), is_last=row is told[0]) for row in told]
    return [el("h2", None, "History", behind(found.number)), *shown]


def _change(row: Row, before: Row | None, *, is_last: bool) -> Html:
    name = " ".join(filter(None, (row["policy_name"], row["policy_version"], row["policy_hash"])))
    what = ": ".join(filter(None, (row["what"].replace("_", " "), row["rule"] or name)))
    said = f" {what}, by {row['by']}"
    return el(
        "details",
        {"open": "" if is_last else None},
        el("summary", None, when(row["timestamp"]), bdi(said)),
        el("p", {"class": "notice"}, bdi(row["reason"])) if row["reason"] else None,
        differing(differences(_rules(before), _rules(row))) if row["rules"] and before else None,
    )


def _rules(row: Row) -> dict[str, Mapping[str, Any]]:
    """Return the rules of a policy in force by id; none of what cannot be read."""
    try:
        return {rule["id"]: rule for rule in json.loads(row["rules"])}
    except (ValueError, TypeError, KeyError):
        return {}


def differences(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> list[Difference]:
    """Return what differs between two sets of rules, as they were kept."""
    found = []
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            found.append(
                Difference("removed" if new is None else "added", name, "", _brief(old), _brief(new))
            )
            continue
        keys = [key for key in dict.fromkeys(itertools.chain(old, new)) if key != "hash"]
        found += [
            Difference("changed", name, key, _said(old.get(key)), _said(new.get(key)))
            for key in keys
            if old.get(key) != new.get(key)
        ]
    return found


def _brief(rule: Mapping[str, Any] | None) -> str:
    return f"{rule.get('action', '')} when {_said(rule.get('when'))}" if rule else ""


def _said(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)


def differing(found: Sequence[Difference]) -> Html:
    """Return what differs between two policies."""
    if not found:
        return el("p", None, "No difference in meaning.")
    return table(
        ("Rule", "What", "Before", "After"),
        ((bdi(d.rule or d.what), d.key or d.what, bdi(d.before), bdi(d.after)) for d in found),
        "What changes in the policy",
    )
