"""What of the events is asked for, as it stands in the address of a page."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlencode

from streams.desk.languages import NAMES, code_of
from streams.errors import UserError

SPANS: Final = {"1h": 1, "24h": 24, "7d": 168, "30d": 720, "all": 24 * 3653}
"""Hours that each choice of time looks back."""
PARTLY: Final = "(notEmpty(failed) OR notEmpty(degraded))"
"""SQL: the event was not fully judged."""
EQUAL: Final = (
    "app", "kind", "language", "model", "prompt_version", "user", "conversation_id", "tenant", "environment",
    "action", "event_id", "request_id", "trace_id", "policy_version", "policy_hash",
)  # fmt: skip
JUDGED: Final = ("partly",)
_METRIC: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TIME: Final = "%Y-%m-%d %H:%M:%S.%f"


def reaching(moment: dt.datetime) -> str:
    """Return the shortest time, of a day or more, that still has a moment (UTC) tomorrow."""
    age_h = (dt.datetime.now(dt.UTC) - moment.replace(tzinfo=dt.UTC)).total_seconds() / 3600
    return spanning(age_h + SPANS["24h"])


def spanning(hours: float) -> str:
    """Return the shortest time that is so long."""
    return next((name for name, length in SPANS.items() if length >= hours), "all")


class Filter(NamedTuple):
    """Conditions on events; empty ones are none."""

    since: str = "24h"
    values: Mapping[str, str] = {}
    """Of the fields in `EQUAL`."""
    rule: str = ""
    text: str = ""
    """That the text of the event has, in whatever case."""
    metric: str = ""
    least: float = 0.5
    most: float | None = None
    judged: str = ""
    """`partly`: detectors failed, or the text was not read in full."""
    before: str = ""
    """For the next page: only events before this time."""

    @classmethod
    def of(cls, query: Mapping[str, str], metrics: frozenset[str]) -> Self:
        """Read the query of an address; raise `UserError` for what is none of it."""
        since, metric, before = query.get("since", "24h"), query.get("metric", ""), query.get("before", "")
        if since not in SPANS:
            raise UserError(f"since: one of {', '.join(SPANS)}")
        if metric and (not _METRIC.fullmatch(metric) or metric not in metrics):
            raise UserError("metric: there is none of this name")
        try:
            least = float(query.get("least") or 0.5)
            most = float(query["most"]) if query.get("most") else None
            if before:
                dt.datetime.strptime(before, _TIME)
        except ValueError:
            raise UserError("least and most are numbers, before is a time as the page writes it") from None
        if (judged := query.get("judged", "")) not in ("", *JUDGED):
            raise UserError(f"judged: {' or '.join(JUDGED)}")
        values = {name: query[name] for name in EQUAL if query.get(name)}
        if "language" in values:
            values["language"] = code_of(values["language"])
        rule, text = query.get("rule", ""), query.get("text", "")
        return cls(since, values, rule, text, metric, least, most, judged, before)

    def where(self, hours: int = 0) -> tuple[str, dict[str, Any]]:
        """Return the condition as SQL, and its parameters; `hours` in place of its own."""
        hours = hours or SPANS[self.since]
        parts, given = [f"timestamp >= now64(3, 'UTC') - INTERVAL {hours} HOUR"], dict[str, Any]()
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
            parts.append(f"{self.metric} >= {{least:Float64}}")
            given["least"] = self.least
            if self.most is not None:
                parts.append(f"{self.metric} <= {{most:Float64}}")
                given["most"] = self.most
        if self.judged:
            parts.append(PARTLY)
        if self.before:
            parts.append("timestamp < toDateTime64({before:String}, 3, 'UTC')")
            given["before"] = self.before
        return " AND ".join(parts), given

    def given(self) -> dict[str, str]:
        """Return the filter as the query of an address has it."""
        given = {
            "since": self.since,
            **self.values,
            "rule": self.rule,
            "text": self.text,
            "metric": self.metric,
            "judged": self.judged,
        }
        if self.metric:
            given["least"] = f"{self.least:g}"
            given["most"] = "" if self.most is None else f"{self.most:g}"
        return {name: value for name, value in given.items() if value}

    def told(self) -> list[str]:
        """Return for a person what is asked for beside the time."""
        worded = dict(self.values)
        if language := worded.get("language"):
            worded["language"] = NAMES.get(language, language)
        said = [f"{name.replace('_', ' ')} {value}" for name, value in worded.items()]
        said += [f"rule {self.rule}"] if self.rule else []
        said += [f"the text {self.text!r}"] if self.text else []
        said += [f"judged {self.judged}"] if self.judged else []
        if self.metric:
            said.append(f"{self.metric} from {self.least:g}" + (f" to {self.most:g}" if self.most else ""))
        return said

    def link(self, path: str, **changes: str) -> str:
        """Return the address of a page with this filter, and changes to it."""
        query = self.given() | changes
        return f"{path}?{urlencode({name: value for name, value in query.items() if value})}"
