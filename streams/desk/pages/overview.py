"""What happens now."""

import datetime as dt

from streams.desk import chart
from streams.desk.asked import Asked, Found
from streams.desk.filters import Filter
from streams.desk.health import RoleHealth
from streams.desk.html import Child, Html, behind, el, table
from streams.desk.layout import page, statements
from streams.desk.pages.usage import blocked_by
from streams.desk.parts import (
    badge,
    bdi,
    choose_time,
    dollars,
    event_path,
    nothing,
    reviewed,
    reviewed_rule_path,
    share,
    when,
)  # fmt: skip
from streams.desk.questions import drift
from streams.desk.questions import overview as questions
from streams.desk.questions.compare import PERIOD
from streams.desk.unjudged import PARTLY
from streams.policy.actions import ACTED

ALERTS = 10


def overview(asked: Asked, wanted: Filter, roles: list[RoleHealth]) -> str:
    """Return what happened in a time; `desk.js` keeps it up to date."""
    source = wanted.link("/live")
    changed = el("a", {"href": wanted.link("/compare", by=PERIOD)}, "What changed, and what got slower")
    times = choose_time(wanted, "/")
    part = live(asked, wanted, roles, source)
    return page("Overview", "/", None, times, el("p", None, changed), part, time=wanted)


def live(asked: Asked, wanted: Filter, roles: list[RoleHealth], source: str) -> Html:
    """Return the part of the page that changes."""
    begin, end = _bounds(asked, wanted)
    totals, by_time, last, rules, users, unresolved = asked.together(
        lambda one: questions.totals(one, wanted),
        lambda one: questions.by_time(one, wanted, chart.step_s(end - begin)),
        lambda one: drift.alerts(one, wanted, ALERTS),
        lambda one: questions.rules(one, wanted),
        lambda one: questions.blocked_users(one, wanted),
        drift.unresolved,
    )
    return el(
        "div",
        {"id": "live", "data-source": source},
        _tiles(wanted, totals, unresolved),
        _health(roles),
        None if totals[0]["events"] else nothing(wanted, "/"),
        chart.bars(by_time, begin, end, "Events by action", behind(by_time.number)),
        el("div", {"class": "two"}, alerts_table(last, "Last alerts", wanted.time), _rules(wanted, rules)),
        _blocked_users(wanted, users, next(row["blocked"] for row in totals if row["is_total"])),
        _apps(wanted, totals),
        _roles(roles),
        statements(asked),
    )


def _bounds(asked: Asked, wanted: Filter) -> tuple[dt.datetime, dt.datetime]:
    """Return the time that is drawn: all of what is asked for, or since the first event where that is all."""
    begin, end = wanted.bounds(dt.datetime.now(dt.UTC))
    if wanted.begin is None and wanted.since == "all":
        [found] = questions.first(asked, wanted)
        if found["events"]:
            begin = min(found["first"].replace(tzinfo=dt.UTC), end - dt.timedelta(hours=1))
    return begin, end


def _tiles(wanted: Filter, totals: Found, unresolved: Found) -> Html:
    numbers = next(row for row in totals if row["is_total"])
    events = numbers["events"]
    tiles = [
        _tile("Events", events, wanted.link("/events")),
        *(
            _tile(done.capitalize(), share(numbers[done], events), wanted.link("/events", action=word), word)
            for word, done in ACTED.items()
        ),
        _tile(
            "Open alerts",
            unresolved[0]["alerts"] if unresolved[0]["followed"] else "not followed",
            wanted.link("/drift"),
        ),
        _tile(
            "Not fully judged",
            share(numbers["incomplete"], events),
            wanted.link("/events", judged=PARTLY),
        ),
        _tile(
            "Decision, 99 %",
            f"{numbers['p99'] or 0:,.0f} ms" if events else "none",
            wanted.link("/events", metric="decision_latency_ms", least=f"{numbers['p99'] or 0:.0f}"),
        ),
        _tile("Cost", f"{numbers['spent'] or 0:,.2f} $", wanted.link("/usage")),
    ]
    links = behind(totals.number), behind(unresolved.number)
    return el("div", {"class": "numbers"}, el("ul", {"class": "tiles"}, tiles), links)


def _tile(name: str, value: Child, link: str, action: str = "") -> Html:
    label = el("span", {"class": f"name action {action}" if action else "name"}, name)
    return el("li", None, el("a", {"href": link}, label, value))


def _rules(wanted: Filter, rows: Found) -> Html:
    return table(
        ("Rule", "Mode", "Hits", "Right, of those reviewed"),
        (
            (
                el("a", {"href": wanted.link("/events", rule=row["rule"])}, bdi(row["rule"])),
                row["mode"], row["hits"],
                reviewed(
                    row["agreed"],
                    row["agreed"] + row["wrong"],
                    wanted.time.link("/review", rule=row["rule"]),
                ),
            )
            for row in rows
        ),
        "Rules that hit, and what reviewers said",
        rows.number,
    )  # fmt: skip


def _blocked_users(wanted: Filter, rows: Found, blocked: int) -> Child:
    """Return who was blocked most, so that one sees in whom to look first."""
    if not blocked:
        return None
    named = [row for row in rows if row["user"]][: questions.USERS]
    nameless = sum(row["blocked"] for row in rows if not row["user"])
    more = el("a", {"href": wanted.link("/usage", by="user", order="blocked")}, "all users")
    rest = f"Blocked without a user's name: {share(nameless, blocked)}. See "

    def leading(user: str) -> Html:
        return el("a", {"href": wanted.link("/events", user=user, action="block")}, bdi(user))

    return [
        table(
            ("User", "Blocked, of all that was", "Blocked by"),
            (
                (
                    leading(row["user"]), share(row["blocked"], blocked),
                    blocked_by(row["blocked_by"], wanted, user=row["user"]),
                )
                for row in named
            ),
            "Users who were blocked most",
            rows.number,
        ),
        el("p", {"class": "none"}, rest, more, "."),
    ]  # fmt: skip


def _apps(wanted: Filter, rows: Found) -> Html:
    return table(
        ("App", "Model", "Events", "Blocked", "Cost $", "Latency ms, median"),
        (
            (
                el("a", {"href": wanted.link("/", app=row["app"])}, bdi(row["app"])),
                bdi(row["model"]), row["events"], share(row["blocked"], row["events"]),
                dollars(row["spent"]),
                row["median"],
            )
            for row in rows
            if not row["is_total"]
        ),
        "Apps and models",
        rows.number,
    )  # fmt: skip


def alerts_table(rows: Found, caption: str, time: Filter) -> Html:
    """Return alerts with what they are about; `time` is what the pages show."""
    return table(
        ("Time", "Severity", "App", "What"),
        (
            (
                when(row["timestamp"]),
                el("span", {"class": f"severity {row['severity']}"}, row["severity"]),
                bdi(row["app"]),
                el("a", {"href": path}, title) if path else title,
            )
            for row in rows
            for title in [el("bdi", {"class": "long"}, row["title"])]
            for path in [event_path(row) if row["event_id"] else reviewed_rule_path(row, time)]
        ),
        caption,
        rows.number,
    )


def _health(roles: list[RoleHealth]) -> Html | None:
    """Return in a sentence whether something is late or broken; None where no role is asked."""
    if not roles:
        return None
    wrong = [role for role in roles if role.state != "ok"]
    if not wrong:
        late = max(role.lag or 0 for role in roles)
        return el("p", {"class": "none"}, f"All {len(roles)} roles are well; {late:,} messages wait at most.")
    return el(
        "ul", {"class": "notice warning plain"},
        (
            el("li", None, f"{role.name}: ", badge(role.state), bdi(f": {role.why}" if role.why else ""))
            for role in wrong
        ),
    )  # fmt: skip


def _roles(roles: list[RoleHealth]) -> Html | None:
    if not roles:
        return None
    return table(
        ("Role", "State", "Behind", "Why"),
        (
            (role.name, badge(role.state), role.lag if role.lag is not None else "", bdi(role.why))
            for role in roles
        ),
        "Roles",
    )
