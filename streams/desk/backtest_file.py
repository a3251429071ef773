"""A backtest's report as one HTML file that needs nothing else, to be sent around and kept with a change."""

import base64
import hashlib
from typing import Final

from streams.desk.html import Html, el, table
from streams.policy.backtest_report import Report
from streams.terminal.backtest import notes, sections, summary

STYLE: Final = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{margin:0 auto;max-width:75rem;padding:1rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto;margin:1.5rem 0}
table{border-collapse:collapse;min-width:30rem}
caption{font-weight:600;text-align:left;padding:.3rem 0}
th,td{text-align:left;vertical-align:top;padding:.25rem .8rem .25rem 0}
th,td{border-bottom:1px solid #8886;overflow-wrap:anywhere}
.n{text-align:right}
.over{border:2px solid #c33;padding:.5rem 1rem}
"""


def page(report: Report, problem: str = "") -> str:
    """Return the page; `problem` says why the new blocks are beyond their limit."""
    style = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    head = el(
        "head",
        None,
        el("meta", {"charset": "utf-8"}),
        el(
            "meta",
            {
                "http-equiv": "Content-Security-Policy",
                "content": f"default-src 'none'; style-src 'sha256-{style}'",
            },
        ),
        el("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        el("title", None, f"Backtest of {report.draft['name']} {report.draft['version']}"),
        el("style", None, Html(STYLE)),
    )
    known = list(notes(report))
    body = el(
        "body",
        None,
        el("h1", None, f"Backtest of {report.draft['name']} {report.draft['version']}"),
        el("p", {"class": "over", "role": "alert"}, problem) if problem else None,
        el("pre", None, "\n".join(summary(report))),
        el("h2", None, "What is not known") if known else None,
        el("ul", None, (el("li", None, each) for each in known)) if known else None,
        (table(head, rows, title.capitalize()) for title, head, rows in sections(report) if rows),
    )
    return "<!doctype html>\n" + el("html", {"lang": "en"}, head, body) + "\n"
