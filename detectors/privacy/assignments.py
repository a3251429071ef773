"""Values assigned to the name of a secret: in a sentence, a form, a program, JSON, YAML."""

import re
from collections.abc import Iterator
from typing import Final

from detectors.privacy.code import (
    is_argument,
    is_field,
    is_operand,
    is_statement,
    is_unclosed,
    is_variable,
)
from detectors.privacy.extents import ENDS, UNSPACED, first_field, shown, whole
from detectors.privacy.findings import Finding, Span, verified
from detectors.privacy.labels import ENGLISH, PASSWORDS, PINS, Label, labels
from detectors.privacy.listed import OPENING, REST, VALUE, listed
from detectors.privacy.meanings import (
    is_count,
    is_figure_of_speech,
    is_message,
    is_of_other_name,
    is_of_user,
    is_paper,
    is_said_of,
    is_verb,
)
from detectors.privacy.pins import said_pin
from detectors.privacy.secret_values import (
    SHORTEST_PASSWORD,
    is_mixed,
    is_name,
    is_noise,
    is_password,
    is_placeholder,
    is_proven,
    is_scribbled,
    is_uuid,
    looks_random,
)
from detectors.privacy.signs import (
    GAP,
    LOCAL_SIGNS,
    OF,
    OPENED,
    PREFIX,
    SIGN,
    TAG,
    TYPED,
    WHOSE,
    is_cell,
    is_tag,
)

_ASSIGNMENT = re.compile(
    rf"{REST}(?P<close>\\*[\"'`]?)\]?[*_]{{0,2}}{GAP}(?:(?:\([^()\n]{{1,32}}\)|\[[^\[\]\n]{{0,32}}\])\s?)?{TYPED}?{WHOSE}{{0,2}}{OF}?"
    rf"\s?{SIGN}[*_]{{0,2}}{GAP}(?:\\+(?=[\"'`](?!\\)))??(?:(?:bearer|basic)\s{{1,3}}+)?{TAG}{OPENED}{PREFIX}"
    rf"(?:{VALUE}|(?P<odd>[,;\"'`]\S{{7,255}}))",
    re.IGNORECASE,
)
# Where the verb comes last, it says that a value stood before it.
_VERB = re.compile(r"[\"'`]?\s(?:है|हैं|ہے|است|هست|হয়|da|dir)(?!\w)")

_LONGEST_LINE: Final = 200
# Of a single secret: what else is said of it is none.
_VALUE_KEYS: Final = frozenset({
    "value", "plain", "plaintext", "current", "old", "new", "previous", "primary", "secondary", "default",
    "prod", "production", "dev", "test", "staging", "root", "admin", "user", "secret", "password", "key",
})  # fmt: skip

_CONNECTION = re.compile(
    r"[\w ]=[^;=\n\"]{1,80};\s*[A-Za-z][\w ]{1,20}=|(?:host|user|dbname|port|server)=\S{1,80}\s"
    r"|[?&]\w{1,20}=[^\s&]{1,80}&"
)
_BRACKETS: Final = {")": "(", "]": "[", "}": "{", ">": "<"}
_DIGITS = re.compile(r"[0-9]{4,32}")
_SHORTEST_SECRET: Final = 12
_NOTHING_MORE: Final = ("", "&")
"""After a value: the end of the text, the next parameter of a link."""
# Where to go on reading is nobody's secret: nextPageToken.
_PLACE = re.compile(r"(?:page|next|continuation|sync|cursor|resume|pagination)[_ -]?\Z", re.IGNORECASE)
_AMOUNT = re.compile(r"-?[0-9_]+\.[0-9_]+")
_PIN = re.compile(r"[0-9]{4,8}")
_LONGEST_ENDING: Final = 4
"""Letters that a name takes on in its language: парол-ь, şifre-miz."""


def assigned(text: str, lowered: str) -> Iterator[Finding]:
    """Yield the values assigned to names of passwords, keys and tokens; they may overlap."""
    matches: dict[Span, tuple[Label, re.Match[str]]] = {}
    read: dict[str, int] = {}
    for label in labels(lowered):
        if match := _ASSIGNMENT.match(text, label.end):
            span = _whole_span(text, label, match)
            # A word that merely follows is no candidate: of those only so many are looked at.
            value = text[slice(*span)]
            is_told = _sign(label, match, span) or _looks_chosen(value) or is_of_user(text, label, value)
            if value and is_told:
                matches.setdefault(span, (label, match))
        if label.name in PINS and (pin := said_pin(text, label)):
            yield Finding("PASSWORD", *pin)
        # What lies in a block has been read with it.
        if label.start >= read.get(label.name, 0) and (opening := OPENING.match(text, label.end)):
            for item in listed(text, opening):
                read[label.name] = item.end()
                if _is_item(text, label, opening, item):
                    yield Finding(_kind(label), *_value_span(item, 0))
    for span in verified(matches, lambda span: _is_secret(text, *matches[span], span)):
        yield Finding(_kind(matches[span][0]), *span)


def _kind(label: Label) -> str:
    return "PASSWORD" if label.name in PASSWORDS else "SECRET"


def _sign(label: Label, match: re.Match[str], span: Span) -> str:
    """Return what stands between the name and the value; empty where they merely follow each other."""
    sign = match["sign"].lower()
    if not sign:
        verb = _VERB.match(match.string, span[1])
        return verb[0] if verb else ""
    return "" if sign in LOCAL_SIGNS and label.name in ENGLISH else sign


def _value_span(match: re.Match[str], name: int) -> Span:
    """Return where the value stands, without what ends the sentence, bracket or parameter it is in."""
    start, value = match.start("bare"), match["bare"]
    if value is None:
        return match.span("escaped" if match["quoted"] is None else "quoted")
    if "&" in value:
        value = first_field(match.string, name, value, match["sign"])
    if is_tag(match["sign"]):  # <password>...</password>
        value = value.partition("<")[0]
    if value.isascii() or not value[0].isascii():
        value = value.rstrip(".:\\")
    else:
        value = UNSPACED.split(value, maxsplit=1)[0]
        without = value.rstrip(ENDS)  # one that is short without what closes the quote is kept with it
        value = without if len(without) >= SHORTEST_PASSWORD else value
    while value and value[-1] in _BRACKETS and value.count(value[-1]) > value.count(_BRACKETS[value[-1]]):
        value = value[:-1].rstrip(".:\\")
    return start, start + len(value.rstrip("\\"))


def _whole_span(text: str, label: Label, match: re.Match[str]) -> Span:
    """Return where the value stands, also one with signs in it that commonly end a value."""
    start = match.start("quote") if _goes_on_behind_quote(match) else match.start("odd")
    if start >= 0:
        behind = whole(text, (start, start + 1), has_sign=False)
        if match["odd"] is not None or behind[1] > match.end():
            return behind
    span = _value_span(match, label.start)
    if match["bare"] is None or label.name in PINS or is_tag(match["sign"]):
        return span
    if label.name not in PASSWORDS:
        following = text[span[1] : span[1] + 1]
        if following in _NOTHING_MORE or following.isspace():
            return span
        longer = whole(text, span, has_sign=False)
        return longer if is_noise(text[slice(*longer)], _SHORTEST_SECRET) else span
    has_sign = label.name != "pass" and bool(_sign(label, match, span))
    if text[match.end() : match.end() + 1] in {",", ";", '"', "'", "`"}:
        return whole(text, span, has_sign=has_sign)
    return span


def _goes_on_behind_quote(match: re.Match[str]) -> bool:
    """Say whether what seems to be a value in quotes is one with quotes in it: 'Qr7'dke39."""
    if match["quoted"] is None or " " in match["quoted"]:
        return False
    return match.string[match.end() : match.end() + 1].isalnum()


def _is_secret(text: str, label: Label, match: re.Match[str], span: Span) -> bool:
    value, rest, odd = shown(text, span), match["rest"], match["odd"] is not None
    quoted = match["bare"] is None and not odd
    if not is_proven(value) if is_cell(match["sign"]) else odd and not is_scribbled(value):
        return False
    if is_said_of(rest) and label.name not in PINS:
        return False
    if label.name in PINS:
        return _is_pin(value, match)
    if is_placeholder(value) or is_of_other_name(text, label) or (match["quote"] == "`" and " " in value):
        return False
    if _means_other(text, label, match, span) or (is_message(value) if quoted else is_field(value)):
        return False
    if match["close"] and not quoted and not _DIGITS.fullmatch(value) and not is_tag(match["sign"]):
        return False  # after a key in quotes a value has quotes, too, or is a variable or another object
    sign = _sign(label, match, span)
    if label.name not in PASSWORDS:
        known = looks_random(value, _SHORTEST_SECRET) or is_noise(value, _SHORTEST_SECRET)
        return bool(sign) and known and not _is_of_session(text, label, value)
    if not sign:  # "log in with password Qr7!dke#39"
        apart = text[span[0] - 1].isspace() or text[span[0] - 1] in "\"'`"
        ending = rest.isalpha() and len(rest) <= _LONGEST_ENDING and label.name not in ENGLISH
        return apart and (not rest or ending) and (_looks_chosen(value) or is_of_user(text, label, value))
    if label.name == "pass" and (" " in value or not _is_whole(text, label, rest) or sign == "-"):
        return False
    connection = _CONNECTION.search(_line(text, span)) and (quoted or not is_argument(text, label.start))
    literal = quoted or is_unclosed(value, text[span[1] : span[1] + _LONGEST_LINE].partition("\n")[0])
    return is_password(value, quoted=quoted, literal=literal, connection=bool(connection))


def _looks_chosen(value: str) -> bool:
    """Say whether nothing but a password looks so, also where it merely follows."""
    return is_mixed(value) or (is_scribbled(value) and not (value.islower() or value.isupper()))


def _means_other(text: str, label: Label, match: re.Match[str], span: Span) -> bool:
    """Say whether the name is a part of a program or of a sentence, where it is no secret's."""
    start, value, before = label.start, text[slice(*span)], text[max(0, label.start - 100) : label.start]
    between = text[label.end : max(label.end, match.start("sign"))]
    if is_figure_of_speech(before.lower(), label.name, len(before), between):
        return True
    if match["bare"] and is_variable(value, label, text, match["rest"], match["sign"]):
        return True
    if match["bare"] and match["sign"] == "=" and is_operand(text, value, span[1]):
        return True
    if label.name != "pass":
        return False
    if match["sign"].lower() in {"", "to"} and is_verb(before.lower(), len(before)):
        return True
    statement = not match["sign"] and is_statement(text, start, label.end, value)
    return statement or is_paper(before.lower(), len(before)) or is_count(_line(text, span), value)


def _is_of_session(text: str, label: Label, value: str) -> bool:
    """Say whether a token tells a session, a row or a trace from others, or where to go on reading."""
    if label.name not in {"token", "credential"}:
        return False
    npm = text.endswith("_auth", 0, label.start)
    return (is_uuid(value) and not npm) or bool(_PLACE.search(text, max(0, label.start - 16), label.start))


def _is_whole(text: str, label: Label, rest: str) -> bool:
    """Say whether it is a pass of itself: of a match, a race, an encoder; passed, passenger, compass."""
    return not (label.start and text[label.start - 1].isalpha()) and not rest[:1].isalpha()


def _is_pin(value: str, match: re.Match[str]) -> bool:
    """Say whether digits are a PIN; a "PIN code" of six is a postal one, "pin =" is one of a chip."""
    if not _PIN.fullmatch(value) or match["sign"] in {"", "=", "-", ":="}:
        return False
    return len(value) == 4 or (
        match.string[match.start() - 3 : match.start()] in {"PIN", "ПИН"} and not match["rest"]
    )


def _line(text: str, span: Span) -> str:
    start = text.rfind("\n", 0, span[0]) + 1
    return text[max(start, span[0] - 200) : span[1] + 32]


def _is_item(text: str, label: Label, opening: re.Match[str], item: re.Match[str]) -> bool:
    value, rest = shown(text, _value_span(item, 0)), opening["rest"]
    if item["bare"] and (is_field(value) or (opening["sign"] == " =" and value.strip("()[*").isidentifier())):
        return False
    if label.name in PINS:
        return len(value) == 4 and _PIN.fullmatch(value) is not None and opening["sign"] == ":"
    if is_said_of(rest) or (label.name == "pass" and not _is_whole(text, label, rest)):
        return False
    # Of one secret more may be said: its value alone is meant. What has a name is one of several.
    if item["key"] is not None and not rest.lower().endswith("s") and item["key"].lower() not in _VALUE_KEYS:
        return False
    if is_placeholder(value) or is_name(value) or _AMOUNT.fullmatch(value):
        return False
    if label.name not in PASSWORDS:
        return looks_random(value, 12)
    quoted = item["bare"] is None
    return " " not in value and is_password(value, quoted=quoted, literal=quoted, connection=False)
