"""Credentials: keys of known form, private keys, and values assigned to a name such as `password`."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from detectors.privacy.findings import Finding, Span, lower, verified
from detectors.privacy.providers import provider_tokens
from detectors.privacy.views import found_in, views

_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# What belongs to a key that was cut off: lines of base64, headers such as "Proc-Type: 4,ENCRYPTED", line
# breaks that are themselves escaped.
_KEY_BODY = re.compile(
    r"(?:(?:\s|\\[nr])*(?:[A-Za-z0-9+/=]{16,}+|[A-Za-z-]{4,20}: [\w,.-]{1,80}(?=\s|\\n|\Z)))*"
    r"(?:(?:\s|\\[nr])*[A-Za-z0-9+/=]{1,64}(?=\s*\Z|\\n|\"))?"
)

# In lower case, each as it begins: longer forms (passwords, tokenized) are the rest of the name.
_PASSWORDS: Final = (
    "password", "passwd", "passphrase", "passcode", "pwd", "pswd", "passwort", "kennwort",
    "mot de passe", "mdp", "contraseña", "contrasena", "clave", "senha", "parola", "wachtwoord", "lösenord",
    "losenord", "adgangskode", "passord",
    "salasana", "hasło", "haslo", "heslo", "jelszó", "parolă", "şifre",
    "sifre", "пароль", "пароля", "паролем", "密码", "密碼", "口令", "パスワード", "暗証番号", "비밀번호",
    "암호",
    "पासवर्ड", "รหัสผ่าน", "mật khẩu", "mat khau", "kata sandi", "كلمة المرور", "كلمة السر", "סיסמה", "סיסמא",
    "pass",  # the last: it also begins some of the others
)  # fmt: skip
_SECRETS: Final = (
    "secret",
    "token",
    "credential",
    "密钥",
    "密鑰",
    "令牌",
    "秘密鍵",
    "トークン",
    "비밀키",
    "토큰",
    "key",
)
_NAMES: Final = tuple(dict.fromkeys(_PASSWORDS + _SECRETS))
_ASCII_NAMES: Final = tuple(name for name in _NAMES if name.isascii())
# A key of a map, of a keyboard or of a door is no secret.
_KEY_KINDS: Final = tuple(
    what + by
    for what in ("api", "access", "private", "account", "auth", "client", "signing", "encryption")
    for by in ("", "_", "-", " ")
)
_VALUE: Final = (
    r"(?:(?P<quote>[\"'`])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\\n]){1,255}?)(?P=quote)"
    r"|(?P<bare>[^\s\"'`,;]{1,256}))"
)
_ASSIGNMENT = re.compile(
    r"(?P<rest>[A-Za-z0-9_-]{0,24}+)(?P<close>\\*[\"'`]?)\]?[*_]{0,2}\s{0,3}+(?:\([^()\n]{1,32}\)\s?)?"
    r"(?:(?:for|of|to|de|do|del|della|di|du|für|для|till|van|voor)\s(?:[\w.@-]{1,24}\s?){1,4}?"
    r"(?=\s?[:=]|\s?\bis\b|\sto\b))?"
    r"\s?(?P<sign>:=|=>|==?|:|\b(?:is|was|ist|lautet|est|es|é|è|jest|je|är|er|to|la|là|такой|такая)\b"
    r"|คือ|是|为|為|は|는|은"
    r"|—|\u2013|-{1,2}>|-(?=\s)|>(?=[^<\n]{4,64}</)|\|(?=\s)|)"
    rf"[*_]{{0,2}}\s{{0,3}}+(?:\\+(?=[\"'`]))?(?:(?:bearer|basic)\s{{1,3}}+)?{_VALUE}",
    re.IGNORECASE,
)
# {"name": "password", "value": "..."}, and the same in YAML.
_NAMED = re.compile(
    r"name[\"']?\s{0,2}[:=]\s{0,2}[\"']?[A-Za-z0-9_-]{0,24}(?:passw(?:or)?d|secret|token|api[_-]?key|pwd)"
    r"[\"']?[\s,;]{1,40}[\"']?value[\"']?\s{0,2}[:=]\s{0,2}"
    r"(?:[\"'](?P<a>[^\"'\n\\]{4,255})[\"']|(?P<b>[^\s\"',;}{\\]{4,255}))",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?<!\w)(?:bearer|basic)\s{1,3}+(?P<value>[\w.~+/=-]{16,4096})", re.IGNORECASE)
# Options of command line tools; for an example of each see the tests.
_ARGUMENT: Final = r"(?:'([^'\n]{2,128})'|\"([^\"\n]{2,128})\"|([^\s\"'<$%{\\-][^\s\"'\\]{2,127}))"
_OPTION = re.compile(
    r"(?<![\w-])(?:curl|http|https|wget|xh)\b[^\n|;]{0,200}?\s(?:-u|--user|-a|--auth|--proxy-user)[ =]?"
    r"[\"']?[^\s:\"']{1,64}:([^\s\"'\\]{1,128})"
    r"|(?<!\S)--?(?:password|passwd|pass|passphrase|token|secret|api-?key|auth-token|http-password)[ =]"
    + _ARGUMENT
    + r"|\b(?:mysql(?:dump|admin)?|mariadb|mongo(?:sh)?)\b[^\n|;]{0,120}?\s-p([^\s\"'<$\\]{3,127})"
    r"|\b(?:sshpass|(?:docker|podman|helm registry) login|redis-cli|ldapsearch)\b[^\n|;]{0,120}?\s"
    r"(?:-p|-a|-w|--password)[ =]?" + _ARGUMENT,
    re.IGNORECASE,
)
_TOOLS: Final = (
    "curl", "http", "wget", "xh ", "--pass", "--token", "--secret", "--api", "--auth", "-passw", "mysql",
    "mariadb", "mongo", "sshpass", "docker login", "podman login", "registry login", "redis-cli",
    "ldapsearch",
)  # fmt: skip

# What names a secret or says something of it, but is none: secretName, token_endpoint, private_key_algorithm.
_NOT_A_VALUE = re.compile(
    r"(?:name|names|id|ids|ref|refs|reference|algorithm|alg|type|types|kind|method|methods|url|uri|endpoint|path|file"
    r"|filename|dir|folder|count|counts|limit|limits|length|len|size|max|min|ttl|expiry|expires|expiration|age|policy"
    r"|format|hash|hint|field|column|label|prompt|reset|manager|store|provider|version|index|usage|used|budget|number|arn"
    r"|encoder|decoder|izer|ization|ized|izationid|ring|board|word|words|space|code|pair|set|map)s?\Z",
    re.IGNORECASE,
)
_STOP: Final = (
    r"your|my|the|a|an|some|example|sample|dummy|fake|test|placeholder|changeme|change|me|redacted|secret|password|passwd|pass|pwd"
    r"|key|token|api|user|username|here|value|string|text|enter|insert|none|null|nil|true|false|undefined|empty|todo|tbd"
    r"|required|optional|masked|hidden|removed|put|in|this|new|old|client|access|auth|db|database|admin"
)
# Only what *is* a placeholder: a stop word inside a password does not make it one.
_PLACEHOLDER = re.compile(
    r"\$\{.*\}?|(?-i:\$_?(?:[A-Z][A-Z0-9_]*|[a-z_]+[0-9]{0,2}(?:[A-Z][a-z]{2,})*[0-9]{0,2}))(?:\[.*|->.*|\\n)?"
    r"|(?:your|my|some|the)(?:[_ -][A-Za-z]+)+|%[A-Za-z_]\w*%|<[^>]*>?|\{\{?[^}]*\}?\}?|\[[^\]]*\]?"
    rf"|[*•●.x_X-]+\d{{0,3}}|(?:{_STOP})(?:[\W_]*(?:{_STOP}))*(?:[_-]\d{{1,4}})?|\$\(.*|`.*",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"[A-Za-z_]\w*\((?:[^()]*\))?|process\.env.*|os\.environ.*|getenv.*|https?://.*|[~.]?/[\w.~/-]*"
)
_ATTRIBUTE = re.compile(r"(?:[A-Za-z_]\w*(?:\.|->|::))+[A-Za-z_]\w*(?:\(.*|\[.*)?")
_NUMBER = re.compile(r"[0-9]{4,32}")
_IDENTIFIER = re.compile(r"[a-z]+(?:[_-][a-z0-9]+)+|[A-Za-z]+(?:_[A-Za-z0-9]+)+|[a-z]+(?:[A-Z][a-z0-9]+)+")
_WORDS = re.compile(r"[^\W\d_]?[a-z\u00df-\uffff. _-]+(?:[A-Z][a-z]+)*[A-Z]{0,3}|[A-Z._ -]+")
# Letters, digits and a sign that no word has.
_MIXED = re.compile(r"(?=\S*[A-Za-z])(?=\S*[0-9])(?=\S*[!@#$%^&*?+=])\S{8,}\Z")
_CONNECTION = re.compile(r"[\w ]=[^;=\n\"]{1,80};\s*[A-Za-z][\w ]{1,20}=")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3000-\u9fff\uac00-\ud7a3]")
_BRACKETS: Final = {")": "(", "]": "[", "}": "{", ">": "<"}


def find(text: str) -> list[Finding]:
    """Return the credentials in the first `SCAN_LIMIT` characters, sorted and free of overlaps.

    Also what is written in disguise: see `detectors.privacy.views`.
    """
    return found_in(credentials, views(text))


def credentials(text: str) -> list[Finding]:
    """Return the credentials of a text as it stands; they may overlap."""
    found = list(provider_tokens(text))
    if "-----BEGIN " in text:
        found += [Finding("PRIVATE_KEY", *span) for span in _private_keys(text)]
    lowered = lower(text)
    found += _assigned(text, lowered)
    if "bearer" in lowered or "basic" in lowered:
        bearers = (match.span("value") for match in _BEARER.finditer(text))
        found += [
            Finding("BEARER_TOKEN", *span)
            for span in verified(bearers, lambda span: _looks_random(text[slice(*span)], 16))
        ]
    if "value" in lowered and "name" in lowered:
        named = (match.span(match.lastgroup or 0) for match in _NAMED.finditer(text))
        found += [Finding("SECRET", *span) for span in named if not _is_placeholder(text[slice(*span)])]
    if any(hint in lowered for hint in _TOOLS):
        found += _options(text)
    return found


def _private_keys(text: str) -> Iterator[Span]:
    position = 0
    while begin := _KEY_BEGIN.search(text, position):
        end = _KEY_END.search(text, begin.end())
        # Without an end the key may have been cut off: as far as it looks like one.
        body = _KEY_BODY.match(text, begin.end())
        assert body is not None  # it matches nothing, too
        position = end.end() if end and not _KEY_BEGIN.search(text, begin.end(), end.start()) else body.end()
        if position > begin.end():
            yield begin.start(), position
        position = max(position, begin.end())


def _assigned(text: str, lowered: str) -> Iterator[Finding]:
    matches: dict[Span, tuple[str, re.Match[str]]] = {}
    for name in _ASCII_NAMES if text.isascii() else _NAMES:
        position = lowered.find(name)
        while position >= 0:
            named = name != "key" or lowered.endswith(_KEY_KINDS, 0, position)
            position += len(name)
            if named and (match := _ASSIGNMENT.match(text, position)):
                span = _value_span(match, position - len(name))
                # A word that merely follows is no candidate: of those only so many are looked at.
                if match["sign"] or _MIXED.match(text[slice(*span)]):
                    matches.setdefault(span, (name, match))
            position = lowered.find(name, position)
    for span in verified(matches, lambda span: _is_secret(text, *matches[span], span)):
        yield Finding("PASSWORD" if matches[span][0] in _PASSWORDS else "SECRET", *span)


def _value_span(match: re.Match[str], name: int) -> Span:
    """Return where the value stands, without what ends the sentence, bracket or parameter it is in."""
    if match["quoted"] is not None:
        return match.span("quoted")
    start, value = match.start("bare"), match["bare"]
    if name and match.string[name - 1] in "?&":
        value = value.partition("&")[0]
    if match["sign"] == ">":  # <password>...</password>
        value = value.partition("<")[0]
    if value.isascii() or not value[0].isascii():
        value = value.rstrip(".:\\")
    else:  # the sentence goes on without a blank, in a script that has none
        value = _UNSPACED.split(value, maxsplit=1)[0]
    while value and value[-1] in _BRACKETS and value.count(value[-1]) > value.count(_BRACKETS[value[-1]]):
        value = value[:-1].rstrip(".:\\")
    return start, start + len(value)


def _is_secret(text: str, name: str, match: re.Match[str], span: Span) -> bool:
    value = text[slice(*span)]
    if _NOT_A_VALUE.search(match["rest"]) or _is_placeholder(value):
        return False
    if match["close"] and match["quoted"] is None and not _NUMBER.fullmatch(value):
        return False  # after a key in quotes a value has quotes, too, or is a variable or another object
    if name not in _PASSWORDS:
        return bool(match["sign"]) and _looks_random(value, 12)
    if not match["sign"]:  # "log in with password Qr7!dke#39"
        apart = text[span[0] - 1].isspace() or text[span[0] - 1] in "\"'`"
        return apart and not match["rest"] and _MIXED.match(value) is not None
    # A pass of a match, a race, an encoder; passed, passenger, compass.
    start = match.start() - len(name)
    whole = not (start and text[start - 1].isalpha()) and not match["rest"][:1].isalpha()
    if name == "pass" and (" " in value or not whole or match["sign"] == "-"):
        return False
    return _is_password(value, quoted=match["quoted"] is not None, line=_line(text, span))


def _line(text: str, span: Span) -> str:
    start = text.rfind("\n", 0, span[0]) + 1
    return text[max(start, span[0] - 200) : span[1] + 32]


def _is_password(value: str, *, quoted: bool, line: str) -> bool:
    """People choose short ones, digits alone, words alone: those only where nothing else can be meant."""
    if not quoted and _is_code(value):
        return False
    if len(value) < (4 if quoted else 6) or _entropy(value) < 1.5:
        return False
    if _has_sign(value):
        return True
    # Letters alone: in a connection string, with hyphens as a passphrase, or too mixed to be a word.
    return bool(_CONNECTION.search(line)) or value.count("-") >= 2 or not _WORDS.fullmatch(value)


def _is_placeholder(value: str) -> bool:
    return _PLACEHOLDER.fullmatch(value.rstrip(".!?:,")) is not None


def _is_code(value: str) -> bool:
    return _CODE.fullmatch(value) is not None or _ATTRIBUTE.fullmatch(value) is not None


def _looks_random(value: str, shortest: int) -> bool:
    """Say whether a value is long, has letters and digits, and repeats little."""
    value = value.rstrip(".!?:")[:256]
    if len(value) < shortest or _is_placeholder(value) or _is_code(value):
        return False
    if _IDENTIFIER.fullmatch(value) and not _is_noise(value):
        return False
    return any(map(str.isalpha, value)) and any(map(str.isdigit, value)) and _entropy(value) >= 2.0


def _is_noise(value: str) -> bool:
    """Say whether a value of the form of a name is none: letters and digits change places in its parts."""
    parts = re.split(r"[_-]", value)
    return any(len(re.findall(r"[0-9]+|[A-Za-z]+", part)) >= 4 for part in parts)


def _options(text: str) -> Iterator[Finding]:
    for match in _OPTION.finditer(text):
        value = match.lastindex or 0
        if not _is_placeholder(match[value]):
            yield Finding("PASSWORD", *match.span(value))


def _has_sign(value: str) -> bool:
    return any(not character.isalpha() and character not in "_-. " for character in value.rstrip(".!?:"))


def _entropy(value: str) -> float:
    """Return the Shannon entropy of the characters, in bits per character."""
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values())
