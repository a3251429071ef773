"""What of the events is asked for, as it stands in the address of a page."""

import contextlib
import datetime as dt
import math
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlencode

from streams.desk import unjudged
from streams.desk.languages import NAMES, code_of
from streams.errors import UserError

SPANS: Final = {"1h": 1, "24h": 24, "7d": 168, "30d": 720, "all": 24 * 3653}
"""Hours that each choice of time looks back."""
SINCE: Final = "24h"
"""What every page looks back where nothing else is said."""
EQUAL: Final = (
    "app", "kind", "language", "model", "prompt_version", "user", "conversation_id", "tenant", "environment",
    "action", "event_id", "request_id", "trace_id", "text_hash", "policy_version", "policy_hash",
)  # fmt: skip
_METRIC: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TIME: Final = "%Y-%m-%d %H:%M:%S.%f"


def reaching(moment: dt.datetime) -> str:
    """Return the shortest time, of a day or more, that still has a moment (UTC) tomorrow."""
    age_h = (dt.datetime.now(dt.UTC) - moment.replace(tzinfo=dt.UTC)).total_seconds() / 3600
    return spanning(age_h + SPANS["24h"])


def spanning(hours: float) -> str:
    """Return the shortest time that is so long."""
    return next((name for name, length in SPANS.items() if length >= hours), "all")


def instant(given: str) -> dt.datetime:
    """Return a time (UTC) as somebody writes it; raise `UserError` for what is none."""
    with contextlib.suppress(ValueError, OverflowError):
        moment = dt.datetime.fromisoformat(given)
        moment = moment.replace(tzinfo=moment.tzinfo or dt.UTC).astimezone(dt.UTC)
        if 1970 <= moment.year < 2200:
            return moment
    raise UserError("a time is a day, or a day and an hour such as 2026-01-31 12:00 (UTC)")


def written(moment: dt.datetime) -> str:
    """Return a time (UTC) as it stands in an address, to the millisecond, and no longer than needed."""
    whole = f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3].removesuffix(".000")
    return whole.removesuffix(":00").removesuffix(" 00:00")


def number(bound: float | None) -> str:
    """Return a bound as it stands in an address; empty for none."""
    return "" if bound is None else f"{bound:.15g}"


def _bound(given: str) -> float | None:
    bound = float(given) if given else None
    if bound is not None and not math.isfinite(bound):
        raise ValueError(given)
    return bound


class Filter(NamedTuple):
    """Conditions on events; empty ones are none."""

    since: str = SINCE
    values: Mapping[str, str] = {}
    """Of the fields in `EQUAL`."""
    rule: str = ""
    text: str = ""
    """That the text of the event has, in whatever case."""
    metric: str = ""
    least: float | None = None
    """Of the metric."""
    most: float | None = None
    """Of the metric; without `least` and it, any value above nothing."""
    judged: str = ""
    """One of `unjudged.JUDGED`."""
    before: str = ""
    """For the next page, the time of the last event of this one: only what comes after it, newest first."""
    last: tuple[str, str] = ("", "")
    """The app and the id of that one: others may have the same time."""
    begin: dt.datetime | None = None
    """From then on, in place of `since`."""
    end: dt.datetime | None = None
    """Until then, and not at that moment."""
    columns: frozenset[str] = frozenset()
    """The metrics that the events have."""

    @classmethod
    def of(cls, query: Mapping[str, str], metrics: frozenset[str]) -> Self:
        """Read the query of an address; raise `UserError` for what is none of it."""
        metric, before = query.get("metric", ""), query.get("before", "")
        if metric and (not _METRIC.fullmatch(metric) or metric not in metrics):
            raise UserError("metric: there is none of this name")
        try:
            least, most = (_bound(query.get(name, "")) for name in ("least", "most"))
            if before:
                dt.datetime.strptime(before, _TIME)
        except ValueError:
            raise UserError("least and most are numbers, before is a time as the page writes it") from None
        if (judged := query.get("judged", "")) not in ("", *unjudged.JUDGED):
            raise UserError(f"judged: one of {', '.join(unjudged.JUDGED)}")
        values = {name: query[name] for name in EQUAL if query.get(name)}
        if "language" in values:
            values["language"] = code_of(values["language"])
        return cls.window(query)._replace(
            values=values, rule=query.get("rule", ""), text=query.get("text", ""), metric=metric,
            least=least, most=most, judged=judged, before=before, columns=metrics,
            last=(query.get("last_app", ""), query.get("last_id", "")),
        )  # fmt: skip

    @classmethod
    def window(cls, query: Mapping[str, str]) -> Self:
        """Read the time alone."""
        if (since := query.get("since") or SINCE) not in SPANS:
            raise UserError(f"since: one of {', '.join(SPANS)}")
        begin, end = (instant(query[name]) if query.get(name) else None for name in ("from", "until"))
        if begin and end and begin >= end:
            raise UserError("until is a later time than from")
        return cls(since, begin=begin, end=end)

    @property
    def time(self) -> Self:
        """The time alone."""
        return type(self)(self.since, begin=self.begin, end=self.end)

    @property
    def named_time(self) -> str:
        """How the time is called."""
        if not (self.begin or self.end):
            return f"the last {self.since}"
        begin = f"from {written(self.begin)}" if self.begin else ""
        end = f"until {written(self.end)}" if self.end else ""
        return " ".join(filter(None, (begin, end)))

    def bounds(self, now: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
        """Return when the time begins and ends; without a beginning it is as long as `since`."""
        end = self.end or now
        return self.begin or end - dt.timedelta(hours=SPANS[self.since]), end

    def times(self) -> tuple[str, dict[str, Any]]:
        """Return the time as SQL on `timestamp`, and its parameters."""
        parts, given = list[str](), dict[str, Any]()
        for name, sign, moment in (("from", ">=", self.begin), ("until", "<", self.end)):
            if moment:
                parts.append(f"timestamp {sign} toDateTime64({{{name}:String}}, 3, 'UTC')")
                given[name] = f"{moment:{_TIME}}"[:-3]
        if not parts:
            parts.append(f"timestamp >= now64(3, 'UTC') - INTERVAL {SPANS[self.since]} HOUR")
        return " AND ".join(parts), given

    def where(self) -> tuple[str, dict[str, Any]]:
        """Return the condition as SQL, and its parameters."""
        time, given = self.times()
        parts = [time]
        for name, value in self.values.items():
            parts.append(f"{name} = {{{name}:String}}")
            given[name] = value
        if self.rule:
            parts.append("has(rules, {rule:String})")
            given["rule"] = self.rule
        if self.text:
            parts.append("positionCaseInsensitiveUTF8(text, {text:String}) > 0")
            given["text"] = self.text
        if self.metric:
            if self.least is not None:
                parts.append(f"{self.metric} >= {{least:Float64}}")
                given["least"] = self.least
            elif self.most is None:
                parts.append(f"{self.metric} > 0")
            if self.most is not None:
                parts.append(f"{self.metric} <= {{most:Float64}}")
                given["most"] = self.most
        if self.judged:
            parts.append(unjudged.condition(self.judged, self.columns))
        if self.before:
            before = "toDateTime64({before:String}, 3, 'UTC')"
            parts.append(f"timestamp <= {before}")
            parts.append(
                f"(timestamp < {before} OR (app, event_id) > ({{last_app:String}}, {{last_id:String}}))"
            )
            given |= {"before": self.before, "last_app": self.last[0], "last_id": self.last[1]}
        return " AND ".join(parts), given

    def given(self) -> dict[str, str]:
        """Return the filter as the query of an address has it."""
        given = self._given_time() | {
            **self.values,
            "rule": self.rule,
            "text": self.text,
            "metric": self.metric,
            "judged": self.judged,
        }
        if self.metric:
            given["least"], given["most"] = map(number, (self.least, self.most))
        return {name: value for name, value in given.items() if value}

    def _given_time(self) -> dict[str, str]:
        if not (self.begin or self.end):
            return {"since": self.since}
        return {
            name: written(moment) for name, moment in (("from", self.begin), ("until", self.end)) if moment
        }

    def told(self) -> list[str]:
        """Return for a person what is asked for, the time only where it is no choice of `SPANS`."""
        worded = dict(self.values)
        if language := worded.get("language"):
            worded["language"] = NAMES.get(language, language)
        said = [f"{self.named_time} UTC"] if self.begin or self.end else []
        said += [f"{name.replace('_', ' ')} {value}" for name, value in worded.items()]
        said += [f"rule {self.rule}"] if self.rule else []
        said += [f"the text {self.text!r}"] if self.text else []
        said += [f"judged {self.judged}"] if self.judged else []
        if self.metric:
            begin = "" if self.least is None else f" from {number(self.least)}"
            end = "" if self.most is None else f" to {number(self.most)}"
            said.append(self.metric + (begin + end or " above 0"))
        return said

    def link(self, path: str, **changes: str) -> str:
        """Return the address of a page with this filter, and changes to it; another `since` is the time."""
        given = self.given()
        if "since" in changes:
            given = {name: value for name, value in given.items() if name not in ("from", "until")}
        query = {name: value for name, value in (given | changes).items() if value}
        return f"{path}?{urlencode(query)}" if query else path
