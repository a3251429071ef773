"""What at the end of an unfinished text may be the beginning of a finding.

A finder looks at whole texts. While a text grows, what it will find is not there yet: this says from where on
a value may stand that more text would show or change. It is wide of the mark on the safe side: it knows the
shapes that values have (numbers, tokens, what follows a name such as `password`), not the finders themselves.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from detectors.deobfuscation.characters import ALIKE, INVISIBLE, MARKS, STYLES, members
from detectors.privacy.findings import Span, ascii_twins, lower
from detectors.privacy.labels import CARD_CODE_SIGNS, Label, labels
from detectors.privacy.tables import SIGNS
from detectors.privacy.views import decoded

REACH: Final = 256
"""Characters after a name within which its value begins, at most."""
FORGOTTEN: Final = 8_448
"""Characters after which a name announces nothing any more."""

# Scripts that have no blanks between words.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u9fff\uac00-\ud7a3"
_TOKEN: Final = re.compile(rf"[^\s{_UNSPACED}]+|[{_UNSPACED}]+")
_UNSPACED_WORD: Final = re.compile(rf"[{_UNSPACED}]+")
_UNSPACED_LOCAL: Final = 16
"""Characters of such a script that an e-mail address begins with, at most."""
_LONG_WORD: Final = 8
_LONG_TOKEN: Final = 16
_GLUED: Final = 300
"""Characters of such a script that a token may run on into, for a pattern that takes all letters."""
_DIGIT: Final = re.compile(r"\d")
_BETWEEN: Final = re.compile(r"\W+\Z|(?:[A-Z]|ext(?:ension)?\.?|exp[.:]{0,2}|cid:?)\Z", re.IGNORECASE)
# An address of a machine, or a version: what follows within so many characters says which.
_DOTTED: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]).{0,15}\Z", re.DOTALL)
_DOTTED_LONGEST: Final = 32
_SHORT: Final = 5
"""Letters that stand before a number and belong to it, at most, with a blank between."""
# A number of which the sentence goes on to say whose it is.
_OWN: Final = re.compile(
    r"[+(]{0,2}[0-9](?:[ ()./-]{0,3}[0-9]){6,16}\s"
    r"(?:(?:i|is|ist|es|est|é|è)|(?:is|ist|est|es|é|è)\s[^\W\d]{0,5}"
    r"(?:\s[^\W\d]{0,14}){0,2})?\Z",
    re.IGNORECASE,
)
_OWN_LONGEST: Final = 104
_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){0,32}[ -]?\Z")
_IBAN_LONGEST: Final = 72
_KEY_LABEL = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?"
_KEY_BEGIN: Final = re.compile(
    rf"-----BEGIN (?:[A-Z0-9 ]{{0,48}}\Z|{_KEY_LABEL}-{{0,5}}(?!.*-----END {_KEY_LABEL}-----))", re.DOTALL
)
# Backwards, as a search would try every character.
_CODES_REVERSED: Final = re.compile(r"[0-9A-Fa-fxX\\\s,:;-]{20,}")
_BASE64_REVERSED: Final = re.compile(r"={0,2}(?:[A-Za-z0-9+/_-]*\n\r?)+[A-Za-z0-9+/_-]{16,}")
_SPACED_REVERSED: Final = re.compile(
    r"[A-Za-z]?(?:[ \t\n.\-_*/|~+\u00b7\u2022]{1,3}[A-Za-z](?![A-Za-z0-9])){3,}"
)
# Letter by letter, whatever it is: also a single letter may be the first of a value.
_APART_REVERSED: Final = tuple(
    re.compile(rf"(?:[^\n](?P<sign>{signs})(?:[^\n](?P=sign)){{0,255}})?[A-Za-z0-9+(](?![A-Za-z0-9])")
    for signs in (r"[ \t\n.\-_/*|~\u00b7\u2022]", "  | ,")
)
_PLACES: Final = 3
"""From where the last of these letters is looked for: so much of what stands between two may have come."""
_LINES: Final = {
    "echo": 400, "printf": 400, "net use": 400, "net1 use": 400, "net user": 400, "net1 user": 400,
    "identified": 400, "wifi:": 600, "authorization": 1_200, "cookie": 8_448, " -b ": 8_448,
}  # fmt: skip
"""Their values may stand anywhere in the line, up to so many characters on."""
_BRIEF: Final = (
    *CARD_CODE_SIGNS, "bearer", "basic", "_auth", '"auth"', "chpasswd", "sqlplus", "sqlldr", "oracle:thin",
    "convertto-secure", "community", ".login(", "credential(", "credentials(", "authentication(",
    "basicauth(", "mysqli(", "mysqli_connect(", "pdo(", "getconnection(", "oracle.connect(",
)  # fmt: skip
_INSERT: Final = "insert into"
"""What it puts into a table may stand far behind the names of its columns."""
_INSERT_END: Final = re.compile(r"\);|\n[ \t]*\n")
_MARKS: Final = (*_LINES, *_BRIEF, _INSERT)
# Of command line tools: what stands before the option is no value.
_OPTION: Final = re.compile(r"\s(?:-[uapwcxbk]|--(?:user|auth|proxy-user|password|api))", re.IGNORECASE)
LONGEST_NAME: Final = 32
"""Characters of a name, at most, and of what it must not be a part of."""
_WORDS_TO_VALUE: Final = 9
_BEHIND: Final = 36
"""Characters after a value that still say what it is."""
_QUOTE: Final = re.compile("[\"'`]")
_QUOTED: Final = 2 * REACH
_LONGEST_BLOCK: Final = 2_304
# A list or an object of secrets.
_BLOCK: Final = re.compile(
    r"[\w-]{0,24}\\*[\"'`]?\]?\s?(?::|=>?)\s{0,3}"
    r"(?:[\[({][^\])}]*\Z|\r?\n(?:[ \t]*(?:-\s|[ \t][\w.-]+:)[^\n]*\n)*[^\n]*\Z)"
)
# The name of a column, and the table below it.
_COLUMN: Final = re.compile(
    rf"(?:(?<=[|,;\t\n\"'`])|\A)[ \t\"'`*]{{0,2}}(?:\w{{1,12}}[ .-]){{0,2}}\w{{0,12}}?"
    rf"(?:{'|'.join(SIGNS)})\w{{0,12}}"
    r"[ \t\"'`*]{0,2}(?=[|,;\t\r\n])"
)
_TABLE: Final = re.compile(
    r"(?:[ \t]?[|,;\t][\w .()*`\"'/\\-]{0,40}){0,16}\r?(?:\n(?:[^\n]*[|,;\t][^\n]*\n)*[^\n]{0,256})?\Z"
)
_ESCAPED: Final = "escaped column"
"""One of a table in a string, as of JSON: its lines end with an escape."""
_STRING_END: Final = re.compile(r"(?<!\\)\"")
_LEET_SIGNS: Final = frozenset("0345789@$61!|")
_LEET: Final = str.maketrans("0345789@$61!|", "oeastbgasgiii")
_SPACED_WORD: Final = re.compile(
    r"(?<![\w'])[A-Za-z](?:[ \t.\-_*/|~+\u00b7\u2022]{1,3}[A-Za-z](?![A-Za-z0-9'])){3,}"
)
_DISGUISED: Final = frozenset(map(chr, STYLES)) | members(INVISIBLE) | members(MARKS)
_HIDING: Final = _DISGUISED | frozenset(map(chr, ALIKE))
_ESCAPE: Final = re.compile(r"[%&\\=\x1b]")
# Fewer digits than five, apart from letters, are no number of anybody; an IP address has four, and a number
# plate before its letters.
_RISKY: Final = re.compile(
    r"\d(?:\W{0,6}\d){4}|[A-Za-z_]\d|\d[A-Za-z_]|\d{4}[ -][A-Z]|\d\.\d{1,3}\.\d"
    r"|(?<![A-Za-z0-9])[A-Za-z0-9+(](?P<sign>[ \t\n.\-_/*|~\u00b7\u2022]|  |, )(?:[^\n](?P=sign)){3}"
    r"|@|%[0-9A-Fa-f]|&[#A-Za-z]|=[2-7]|\\[xuU01]|://|\S{15}|-----"
)


# An address that is spelt out, and its beginning: jane (at) example (dot) com, jane AT example DOT com.
_AT_SIGN = r"(?:[\[({<]\s?(?:at|@|ät|arroba|chiocciola)\s?[\])}>]|(?-i:\bAT\b))"
_SPELT: Final = re.compile(
    r"[\w.+-]{1,64}+(?:\s(?-i:AT?)?\Z|\s?[\[({<]\s?(?:\w{1,9}|@)?\s?\Z"
    rf"|\s?{_AT_SIGN}(?:[\s\[({{<.]{{0,3}}[\w-]{{1,63}}[\])}}>]?){{0,8}}[\s\[({{<.]{{0,3}}\Z)",
    re.IGNORECASE,
)
_SPELT_LONGEST: Final = 512
_SPELT_SIGN: Final = re.compile(_AT_SIGN, re.IGNORECASE)


def is_calm(text: str) -> bool:
    """Say whether a piece of text that no name announces holds nothing that a finder could find."""
    if _RISKY.search(text) or _SPELT_SIGN.search(text):
        return False
    return text.isascii() or _DISGUISED.isdisjoint(text)


def names(text: str) -> list[Label]:
    """Return the words that announce a value, also those in disguise, in their order."""
    lowered = lower(text)
    found = dict.fromkeys(_names(lowered))
    for match in _SPACED_WORD.finditer(text):
        found[Label("", *match.span())] = None
    if not _LEET_SIGNS.isdisjoint(text):
        # What is read in place of a word in disguise covers the word, too.
        in_leet = (name for name in _names(lowered.translate(_LEET)) if name not in found)
        found |= dict.fromkeys([name._replace(end=name.start) for name in in_leet])
    hides = _ESCAPE.search(text) or not _HIDING.isdisjoint(text)
    if hides and (view := decoded(ascii_twins(text))):
        for word, start, end in _names(lower(view.text)):
            name = Label(word, view.starts[start], view.ends[end - 1])
            found[name._replace(name=_ESCAPED) if word == "column" and name not in found else name] = None
    return sorted(found, key=lambda name: name.end)


def _names(lowered: str) -> Iterator[Label]:
    yield from labels(lowered)
    for word in _MARKS:
        position = lowered.find(word)
        while position >= 0:
            yield Label(word, position, position + len(word))
            position = lowered.find(word, position + 1)
    for match in _COLUMN.finditer(lowered):
        yield Label("column", *match.span())
    for match in _OPTION.finditer(lowered):
        yield Label("", *match.span())


def announced_from(text: str, announcing: Iterable[Label]) -> int:
    """Return from where on a value may stand in `text` that one of the names in it announces."""
    ends = (name.end for name in announcing if _announces(name, text))
    return min(ends, default=len(text))


def _announces(name: Label, text: str) -> bool:
    """Say whether what follows the name up to the end may be the value of it, or lead to one."""
    length = len(text) - name.end
    if name.name == "column":
        return length < _LONGEST_BLOCK and _TABLE.match(text, name.end) is not None
    if name.name == _ESCAPED:
        return length < _LONGEST_BLOCK and not _STRING_END.search(text, name.end)
    if name.name == _INSERT:
        return length < _LONGEST_BLOCK and not _INSERT_END.search(text, name.end)
    if length < _BEHIND or length >= FORGOTTEN:
        return length < _BEHIND
    after = text[name.end :]
    if length < _LINES.get(name.name, 0) and "\n" not in after:
        return True
    most = 3 if name.name in _BRIEF else _WORDS_TO_VALUE
    if length < REACH and len(after.split(None, most)) <= most:
        return True
    if length < _QUOTED and (quote := _QUOTE.search(after, 0, REACH)):
        rest = after[quote.end() :]
        if quote[0] not in rest and "\n" not in rest:
            return True
    return length < _LONGEST_BLOCK and _BLOCK.match(after) is not None


def open_from(text: str) -> int:
    """Return from where on an unfinished text may hold a value by its shape: its length if nowhere."""
    twin = ascii_twins(text)
    cut = min(_numbers_from(twin), len(text))
    iban = _IBAN.search(twin, max(0, len(twin) - _IBAN_LONGEST))
    if iban:
        cut = min(cut, iban.start())
    if dotted := _DOTTED.search(twin, max(0, len(twin) - _DOTTED_LONGEST)):
        cut = min(cut, dotted.start())
    if own := _OWN.search(twin, max(0, len(twin) - _OWN_LONGEST)):
        cut = min(cut, own.start())
    if spelt := _SPELT.search(twin, max(0, len(twin) - _SPELT_LONGEST)):
        cut = min(cut, spelt.start())
    if "-----BEGIN " in twin and (key := _KEY_BEGIN.search(twin)):
        cut = min(cut, key.start())
    backwards = twin[::-1]
    for pattern in (_CODES_REVERSED, _BASE64_REVERSED, _SPACED_REVERSED):
        if match := pattern.match(backwards):
            cut = min(cut, len(text) - match.end())
    return min(cut, len(text) - _apart(backwards))


def _apart(backwards: str) -> int:
    """Return how many characters at the end may be the beginning of what is written letter by letter.

    A blank may be what stands between two letters, or a part of that: the longest way to read it counts.
    """
    ends = (
        match.end()
        for pattern in _APART_REVERSED
        for skipped in range(_PLACES)
        if (match := pattern.match(backwards, skipped)) and not any(map(str.isalnum, backwards[:skipped]))
    )
    return max(ends, default=0)


def _numbers_from(text: str) -> int:
    """Return where the last word begins, or the numbers that it follows, or the short word before."""
    tokens = [match.span() for match in _TOKEN.finditer(text)]
    index = len(tokens)
    cut = len(text)
    if tokens and tokens[-1][1] == len(text) and not _is_finished(text, tokens[-1]):
        index -= 1
        start, end = tokens[-1]
        unspaced = _UNSPACED_WORD.match(text, start)
        cut = max(start, end - _UNSPACED_LOCAL) if unspaced else start
        if not unspaced and index and tokens[index - 1][1] == start:  # a local part of two scripts
            cut = max(tokens[index - 1][0], start - _UNSPACED_LOCAL)
    first = len(tokens)
    while first and tokens[first - 1][1] == (tokens[first][0] if first < len(tokens) else len(text)):
        first -= 1
        start, end = tokens[first]
        is_long = end - start >= _LONG_TOKEN and not _UNSPACED_WORD.match(text, start)
        if is_long and len(text) - end < _GLUED:
            cut = min(cut, start)
    first = index
    while first and _is_numeric(text, tokens[first - 1]):
        first -= 1
    if first < index:
        cut = min(cut, tokens[first][0])
    if first and tokens[first - 1][1] - tokens[first - 1][0] <= _SHORT:
        cut = min(cut, tokens[first - 1][0])
    return cut


def _is_finished(text: str, token: Span) -> bool:
    """Say whether a word at the end is one of a script without blanks, and long enough to end a number."""
    return token[1] - token[0] >= _LONG_WORD and _UNSPACED_WORD.match(text, token[0]) is not None


def _is_numeric(text: str, token: Span) -> bool:
    return _DIGIT.search(text, *token) is not None or _BETWEEN.match(text, *token) is not None
