"""Tells the value of a secret from what stands in its place: placeholders, references, code, words."""

import math
import re
from collections import Counter
from typing import Final

from detectors.privacy.code import is_call, is_chain

_STOP: Final = (
    r"your|my|the|a|an|some|example|sample|dummy|fake|test|placeholder|changeme|change|me|redacted|secret|password|passwd|pass|pwd"
    r"|key|token|api|user|username|here|value|string|text|enter|insert|none|null|nil|true|false|undefined|empty|todo|tbd"
    r"|required|optional|masked|hidden|removed|put|in|this|new|old|client|access|auth|db|database|admin|bearer|basic"
)
# Only what *is* a placeholder: a stop word or a variable inside a password does not make it one.
_PLACEHOLDER = re.compile(
    r"(?:(?:\$env:\w{1,64}|\$\{\{?[^}]{0,128}\}?\}?|\{\{?[^}]{0,128}\}?\}?|%[A-Za-z_]\w{0,64}%|\$__\w{1,16}\{[^}]{0,128}\}|\$\([^)]{0,128}\)?)[:@/.,_-]?)+"
    r"|(?-i:\$_?(?:[A-Z][A-Z0-9_]*|[a-z_]+[0-9]{0,2}(?:[A-Z][a-z]{2,})*[0-9]{0,2}))(?:\[[^\]]*\]?|->.*|\\n)?"
    r"|(?:%(?:\(\w{1,64}\))?[sdr][:@/.,_-]?)+"  # of a format
    # Of a statement in SQL, of a string in Ruby.
    r"|[:@](?:[A-Za-z_]+|(?:p|arg|param|val(?:ue)?|pwd?|pass(?:w(?:or)?d)?|hash|token|secret|key)_?[0-9]{1,2})"
    r"|#\{[^}]*\}?"
    r"|(?:your|my|some|the)(?:[_ -][A-Za-z]+)+|<[^>]*>?|\[[^\]]*\]?|[\"']?`[^`]*`?[\"']?"
    rf"|[*•●.x_X-]+\d{{0,3}}|(?:{_STOP})(?:[\W_]*(?:{_STOP}))*(?:[_-]\d{{1,4}})?",
    re.IGNORECASE,
)
# The name of a place where the secret lies, and the keys that AWS prints in its documentation.
_REFERENCE = re.compile(
    r"arn:aws[\w-]*:.*|(?:op|vault|ref\+\w+|secretref|keyvault|ssm|sm|awssm|gcpsm|akv|keychain|bw|pass|sops)"
    r":/{0,2}[a-z][\w./#:@-]*|projects/[^/]+/secrets/.*|/?(?:run|var)/.*|@Microsoft\.KeyVault\(.*"
    r"|(?-i:[A-Za-z0-9/+]*EXAMPLE(?:KEY|TOKEN)?)|!(?:Ref|Sub|GetAtt|Join|secret|env|ENV|env_var|include|file|vault)"
)
_CODE = re.compile(
    r"\(*[A-Za-z_][\w.]*\((?:[^()]|\([^()]*\)?)*\)*|\(+[A-Za-z_]\w*(?:\.\w+)+|process\.env\b[\w.\[\]\"']*|os\.environ\b[\w.\[\]\"'()]*|getenv\b.*"
    r"|https?://.*|[~.]?/[\w.~/-]*|[A-Z][a-z]+\[.*|[A-Za-z_]\w*\[[\w\"'.\[\]()-]*"
)
_ATTRIBUTE = re.compile(r"(?:[A-Za-z_]\w*(?:\.|->|::))+[A-Za-z_]\w*(?:\(.*|\[.*)?")
_VERSION = re.compile(
    r"(?:[~^v]|[<>=]=?)?[0-9]{1,4}(?:\.[0-9x*]{1,5}){1,3}"
    r"(?:[-+.]?(?:alpha|beta|rc|dev|pre|post|snapshot|next|canary|preview|a|b)?[.-]?[0-9]*){0,3}",
    re.IGNORECASE,
)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[a-z]+(?:[_-][a-z0-9]+)+|[A-Za-z]+(?:_[A-Za-z0-9]+)+|[a-z]+(?:[A-Z][a-z0-9]+)+")
_WORDS = re.compile(r"[^\W\d_]?[a-z\u00df-\uffff. _-]+(?:[A-Z][a-z]+)*[A-Z]{0,3}|[A-Z._ -]+")
# Letters, digits and a sign that no word has.
_MIXED = re.compile(r"(?!\S*(?:://|\]\()|\w+==?)(?=\S*[A-Za-z])(?=\S*[0-9])(?=\S*[!@#$%^&*?+=])\S{8,}\Z")
_PATH = re.compile(r"[~.]?(?:/[\w.~-]+){2,}/?|[A-Za-z]:(?:\\{1,2}[\w.~ -]+){2,}")
_RULE = re.compile(
    r"[|:+=-]+|[a-z_]{2,}:\S+|[a-z_]+(?:\|[a-z_]+(?::[\w,.]+)?)+"
    r"|\^.*\$|.*\(\?[=!:].*"  # min:12, a regular expression
    r"|(?:\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[0-7]{3}))+"  # characters that cannot be shown
    r"|\w{1,3}\}\)[;{,.)].*|\(\)=>.*|[\w$]{1,3}(?:&&|\|\|)\(.*"  # minified
)
# Of a regular expression.
_OF_PATTERN = re.compile(r"\[\^?[a-zA-Z0-9]-[a-zA-Z0-9]|[0-9]\}[|(\[]|\\[dws][+*{]")
_TIME = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9][T_ ][0-2][0-9]:[0-5][0-9].*")
# What a cell beside such a name says: how it is kept or made, how long it is, what it costs.
_SAID = re.compile(
    r"(?<![A-Za-z])(?:x?sha|md|aes|rsa|hs|rs|es|ps|pbkdf|bcrypt|scrypt|argon|hmac|jw[tesk]|3?des|ecdsa|ed|x(?=25519|448|509)|hkdf|chacha|blake"
    r"|crc|rc|base|utf|oauth|saml|scram|ntlm|tls|ssl|kdf|pkcs|aead|gcm|cbc|kerberos)[-_]?[0-9]{1,5}(?:id?|v[0-9]|[a-z]-[0-9]+)?(?![A-Za-z0-9])"
    r"|(?<![A-Za-z])(?:bcrypt|scrypt|jwt|hmac|uuid|sha|rsa|totp|oauth)(?![A-Za-z])"
    r"|[A-Za-z](?:2fa|2step|2factor|mfa)(?![a-z])"
    r"|[0-9][-_+ ]{0,2}(?:char(?:acter)?s?|strings?|digits?|letters?|symbols?|bits?|bytes?"
    r"|words?|hours?|days?|min(?:ute)?s?|sec(?:ond)?s?|weeks?|months?|years?|[kmgt]i?b)(?![A-Za-z])"
    r"|\A[~<>$€£]{0,2}[0-9][0-9.,]*\s?(?:usd|eur|gbp|chf|cents?|€|£|\$|%)|\A[$€£]\s?[0-9.,]+\Z"
    r"|\A[0-9]{4}-[01][0-9]-[0-3][0-9](?![0-9])|\A/?\^[\[(.\\]",
    re.IGNORECASE,
)
_JOINED = re.compile(r"\s*\+\s")  # what follows a string to which another is added
_CASES = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
# Two letters that follow each other in hardly any language that is written in Latin letters.
_RARE_PAIR = re.compile(
    r"(?=q[^u]|[jvx][b-df-hj-np-tvwxz]|[b-df-hj-np-tvwxz][jqx]|[bfghkmpvw]z|z[bcdfghjkmnpqrstvx])",
    re.IGNORECASE,
)
# Runs of one kind; a capital belongs to the word that it begins.
_RUNS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^A-Za-z0-9]+")
_ALPHANUMERIC = re.compile(r"[A-Za-z0-9]{4,}")
_KEYWORD = re.compile(
    r"(?<![A-Za-z])(?:null|else|return|var|let|const|this|function|void|typeof|undefined|true|false|case|if|new)(?![A-Za-z])"
)
_KINDS = tuple(map(re.compile, ("[A-Z]", "[a-z]", "[0-9]", "[^A-Za-z0-9]")))
_ODD = re.compile(r"[!@#$%^&*?~+]")
# Of a template: it is closed, and has a name in it.
_FIELD = re.compile(r"\{\{|\{%|\{[\w.\[\]!:-]*=?(?:![rsa])?(?::[^{}]{0,24})?\}|<[\w .:/|-]+>|\[[\w .-]+\]")
_LONGEST_SCRIBBLE: Final = 64
_SHORTEST_NOISE: Final = 12
_MOST_CHANGES: Final = 5
"""Runs of letters or digits in what is made by chance, at least."""
SHORTEST_PASSWORD: Final = 6
"""Characters of one without quotes."""
_SHORTEST_LETTERS: Final = 16
_SHORTEST_SCRAMBLED: Final = 10


def is_mixed(value: str) -> bool:
    """Say whether a value has letters, digits and a sign, as nothing but a password has."""
    return _MIXED.match(value) is not None


def has_letters_and_digits(value: str) -> bool:
    """Say whether a value without a blank is of letters and digits, as more than a word is."""
    return re.fullmatch(r"(?=.*[^\W\d])(?=.*\d)\S{6,}", value) is not None


def is_placeholder(value: str) -> bool:
    """Say whether a value stands for one that is not there, or names the place where it is."""
    if value[:1] in "<[{(`" and is_scribbled(value):
        return False
    value = value.rstrip(".!?:,`)" if value.endswith("`,") else ".!?:,")
    return any(pattern.fullmatch(value) for pattern in (_PLACEHOLDER, _REFERENCE, _VERSION, _TIME))


def is_scribbled(value: str) -> bool:
    """Say whether letters, digits and signs change places as in nothing that means something."""
    if not 8 <= len(value) <= _LONGEST_SCRIBBLE or not value.isascii() or _FIELD.match(value):
        return False
    runs = _RUNS.findall(value)
    letters = sum(map(str.isalpha, value))
    if len(runs) < len(value) / 2.2 or letters < 2 or not (re.search("[0-9]", value) or len(set(value)) > 9):
        return False
    return _ODD.search(value) is not None or any(
        len(_RUNS.findall(part)) >= max(4, len(part) / 2.5) for part in _ALPHANUMERIC.findall(value)
    )


def is_said(value: str) -> bool:
    """Say whether a value describes a secret: an algorithm, a size, a time, a price."""
    return _SAID.search(value) is not None and not is_noise(value, _SHORTEST_NOISE)


def is_proven(value: str) -> bool:
    """Say whether a value is a secret by its looks, where a name beside it may be about anything."""
    return (is_mixed(value) or is_scribbled(value) or _changes(value) >= _MOST_CHANGES) and not is_said(value)


def _changes(value: str) -> int:
    """Return the most runs of one kind in what has no sign within."""
    return max((len(_RUNS.findall(part)) for part in _ALPHANUMERIC.findall(value)), default=0)


def is_noise(value: str, shortest: int) -> bool:
    """Say whether a value is scribbled, long, and of three of capitals, small letters, digits and signs."""
    kinds = sum(pattern.search(value) is not None for pattern in _KINDS)
    if len(value) < shortest or kinds < 3 or not is_scribbled(value) or _OF_PATTERN.search(value):
        return False
    return not (is_call(value) or is_chain(value) or _KEYWORD.search(value))


def is_code(value: str) -> bool:
    """Say whether a value is an expression that yields the secret."""
    return any(pattern.fullmatch(value) for pattern in (_CODE, _ATTRIBUTE)) or is_chain(value)


def is_name(value: str) -> bool:
    """Say whether a value has the form of a name in code: db_password_1, accessToken2."""
    return _IDENTIFIER.fullmatch(value) is not None and not _is_noise(value)


def is_uuid(value: str) -> bool:
    """Say whether a value has the form of an id that anybody may know."""
    return _UUID.fullmatch(value) is not None


def is_password(value: str, *, quoted: bool, literal: bool, connection: bool) -> bool:
    """Say whether a value after the name of a password is one; `literal`: it cannot be code.

    People choose short ones, digits alone, words alone: those only where nothing else can be meant, as in
    a connection string.
    """
    if not literal and (is_call(value) or (is_code(value) and not is_scribbled(value))):
        return False
    if _RULE.fullmatch(value) or _JOINED.match(value) or _PATH.fullmatch(value):
        return False
    if len(value) < (4 if quoted else SHORTEST_PASSWORD) or _entropy(value) < 1.5:
        return False
    word = value.strip("()").rstrip(".!?:")
    if any(not character.isalpha() and character not in "_-. " for character in word):
        return True
    # Letters alone: in a connection string, with hyphens as a passphrase, or too mixed to be a word.
    mixed = not _WORDS.fullmatch(word) or (len(word) >= _SHORTEST_SCRAMBLED and _is_scrambled(word))
    return connection or value.count("-") >= 2 or mixed


def looks_random(value: str, shortest: int) -> bool:
    """Say whether a value is long and no word: letters and digits, or letters as no language has them."""
    value = value.rstrip(".!?:")[:256]
    if len(value) < shortest or is_placeholder(value) or is_code(value):
        return False
    if is_name(value) or _OF_PATTERN.search(value):
        return False
    if value.isalpha():
        return len(value) >= max(shortest, _SHORTEST_LETTERS) and _is_scrambled(value)
    return any(map(str.isalpha, value)) and any(map(str.isdigit, value)) and _entropy(value) >= 2.0


def _is_noise(value: str) -> bool:
    """Say whether a value of the form of a name is none: letters and digits change places in its parts."""
    parts = re.split(r"[_-]", value)
    return any(len(re.findall(r"[0-9]+|[A-Za-z]+", part)) >= 4 for part in parts)


def _is_scrambled(letters: str) -> bool:
    """Say whether cases change as in no name of code, or letters follow each other as in no word."""
    if not letters.isascii() or _entropy(letters) < 3.0:
        return False
    parts = _CASES.findall(letters)
    if len(parts) > len(letters) / 2.7:
        return True
    vowels = sum(letter in "aeiouy" for letter in letters.lower())
    return vowels < len(letters) / 6 or len(_RARE_PAIR.findall(letters)) >= 3


def _entropy(value: str) -> float:
    """Return the Shannon entropy of the characters, in bits per character."""
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values())
