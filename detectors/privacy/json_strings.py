"""Findings in JSON, cut so that it stays JSON without them.

A value may end where its string ends, and what looks like one may reach from one string into the next:
"password: " at the end of a sentence is followed by the quote that closes it. A string may hold JSON, too.
"""

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from detectors.privacy.findings import Finding, Span
from detectors.privacy.json_numbers import is_json

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
# What stands for one character, a pair of surrogates included.
_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\.|[^\\]", re.DOTALL
)
_NUMBER = re.compile(r"[-+.0-9eE]+")
_LONGEST_ESCAPE: Final = 6


def within_strings(text: str, findings: list[Finding]) -> list[Finding]:
    """Return findings as they are, or in a text that is JSON without what is not within its strings.

    Both are sorted and free of overlaps. Half of an escape counts as the whole. Takes linear time.
    """
    near = [finding for finding in findings if _is_near_sign(text, finding)]
    if not near or not is_json(text):
        return findings
    parts = _parts(text, [(finding.start, finding.end) for finding in near])
    cut = [Finding(near[index].kind, *span) for index, span in parts]
    return sorted([*cut, *set(findings).difference(near)], key=lambda finding: finding.start)


def _is_near_sign(text: str, finding: Finding) -> bool:
    start, end = finding.start, finding.end
    return (
        text.find('"', max(0, start - 1), end + 1) >= 0
        or text.find("\\", max(0, start - _LONGEST_ESCAPE), end) >= 0
    )


def _parts(text: str, spans: list[Span]) -> Iterator[tuple[int, Span]]:
    """Yield the parts of spans that lie within strings of a text that is JSON, or are numbers in it."""
    index, touched = 0, set[int]()
    for match in _STRING.finditer(text):
        first, last = match.span(1)
        while index < len(spans) and spans[index][1] <= first:
            index += 1
        inside: dict[int, Span] = {}
        for number in range(index, len(spans)):
            start, end = spans[number]
            if start >= last:
                break
            inside[number] = max(start, first) - first, min(end, last) - first
        touched.update(inside)
        if inside:
            yield from ((number, (first + a, first + b)) for number, (a, b) in _of_string(match[1], inside))
    for number, span in enumerate(spans):
        if number not in touched and _NUMBER.fullmatch(text, *span):
            yield number, span


def _of_string(written: str, spans: dict[int, Span]) -> Iterator[tuple[int, Span]]:
    """Yield the parts of spans in a string as it is written, with the strings within it kept whole."""
    starts = [match.start() for match in _CHARACTER.finditer(written)]
    said = json.loads(f'"{written}"', strict=False)
    inner = {
        number: (bisect_right(starts, start) - 1, bisect_left(starts, end))
        for number, (start, end) in spans.items()
        if start < end
    }
    parts: Iterable[tuple[int, Span]] = inner.items()
    if len(said) == len(starts) and is_json(said):
        numbers = list(inner)
        parts = ((numbers[index], span) for index, span in _parts(said, list(inner.values())))
    starts.append(len(written))
    for number, (first, last) in parts:
        yield number, (starts[first], starts[last])
