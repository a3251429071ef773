"""Which language a text is in, by CLD2 (https://github.com/CLD2Owners/cld2); ISO 639-1."""

import re
from typing import Final

import pycld2

READ: Final = 500
"""Characters of a text that are looked at: more change the answer for one text in a thousand."""

_NAMES: Final = {"iw": "he", "jw": "jv", "mo": "ro", "nb": "no", "nn": "no", "sh": "sr"}
"""Of CLD2, where ISO 639-1 has another; the two written forms of Norwegian are one."""
# Which of two that are alike it is, CLD2 guesses: where a hint makes it say the other, it does not know.
_ALIKE: Final = {
    "ca": ("es", "fr", "it"), "gl": ("pt", "es", "it"), "oc": ("es", "fr", "pt"), "co": ("it",),
    "ia": ("it", "es"), "ie": ("it", "ro"), "rm": ("it", "ro"), "la": ("it", "es"), "eu": ("ro",),
    "ms": ("id",), "ln": ("ht",), "ny": ("sw",), "sk": ("cs", "pl"), "no": ("sv",), "da": ("sv",),
    "af": ("nl",), "fy": ("nl",), "lb": ("de",), "az": ("tr",), "tk": ("tr",), "sr": ("uk", "ru"),
    "mk": ("ru",), "bg": ("ru",), "be": ("ru", "uk"),
}  # fmt: skip
# Written by so many fewer that a short text is nearly always in the one that is alike.
_SELDOM: Final = frozenset({"aa", "br", "co", "fj", "ia", "ie", "la", "ms", "oc", "rm", "vo"})
_SHORT: Final = 60
"""Characters of a short text, less than."""
# Of too few words to tell, the script may be enough.
_SCRIPTS: Final = (
    ("ko", "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"),
    ("ja", "\u3041-\u30ff\uff66-\uff9f"),
    ("zh", "\u3400-\u4dbf\u4e00-\u9fff"),
    ("th", "\u0e00-\u0e7f"),
    ("el", "\u0370-\u03ff"),
    ("he", "\u0590-\u05ff"),
    ("hy", "\u0530-\u058f"),
    ("ka", "\u10a0-\u10ff"),
    ("ta", "\u0b80-\u0bff"),
    ("te", "\u0c00-\u0c7f"),
    ("kn", "\u0c80-\u0cff"),
    ("ml", "\u0d00-\u0d7f"),
    ("si", "\u0d80-\u0dff"),
    ("lo", "\u0e80-\u0eff"),
    ("km", "\u1780-\u17ff"),
)
_LETTERS: Final = tuple((language, re.compile(f"[{letters}]")) for language, letters in _SCRIPTS)
_ANY_LETTER: Final = re.compile(r"[^\W\d_]")


def language(text: str) -> str:
    """Return the language of the beginning of a text; empty where it is in none, or not surely in one."""
    head = text[:READ]
    is_sure, name = _detected(head)
    name = _NAMES.get(name, name)
    if is_sure and len(name) == 2 and name not in ("un", "xx"):
        return "" if _is_guessed(head, name) else name
    return "" if head.isascii() else _by_script(head)


def _detected(head: str, hint: str | None = None) -> tuple[bool, str]:
    """Return whether CLD2 is sure, and the language it names."""
    try:
        is_sure, _, found = pycld2.detect(head, hintLanguage=hint)
    except (pycld2.error, UnicodeEncodeError):  # control characters, half surrogates
        is_sure, _, found = pycld2.detect("".join(filter(str.isprintable, head)), hintLanguage=hint)
    return bool(is_sure), str(found[0][1]).partition("-")[0]


def _is_guessed(head: str, name: str) -> bool:
    """Say whether a text may as well be in a language that many more people write."""
    if name in _SELDOM and len(head) < _SHORT:
        return True
    return any(_detected(head, hint)[1] == hint for hint in _ALIKE.get(name, ()))


def _by_script(text: str) -> str:
    """Return the language that alone uses the script of a text; half of its letters at least are of it."""
    letters = len(_ANY_LETTER.findall(text))
    for name, script in _LETTERS:
        if (count := len(script.findall(text))) and 2 * count >= letters:
            return name
    return ""
