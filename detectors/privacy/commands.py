"""Passwords in commands and in the files of tools, where no sign stands between a name and its value.

For an example of each form see the tests.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from detectors.privacy.findings import Finding
from detectors.privacy.headers import is_basic
from detectors.privacy.secret_values import is_placeholder

_ARGUMENT: Final = r"(?:'([^'\n]{2,128})'|\"([^\"\n]{2,128})\"|([^\s\"'<$%{\\-][^\s\"'\\]{2,127}))"
_QUOTED: Final = r"(?:N?'([^'\n]{3,128})'|\"([^\"\n]{3,128})\")"


class _Command(NamedTuple):
    sign: str
    """What all of them have: a text without it is not searched."""
    hints: tuple[str, ...]
    """In lower case: of these strings the text has one."""
    pattern: re.Pattern[str]
    """The last group that took part is the password."""


def _command(sign: str, hints: str, *parts: str) -> _Command:
    return _Command(sign, tuple(hints.split("|")), re.compile("".join(parts), re.IGNORECASE))


_COMMANDS: Final = (
    _command(
        " -", "curl|http|wget|xh ",
        r"(?<![\w-])(?:curl|http|https|wget|xh)\b[^\n|;]{0,200}?\s(?:-u|--user|-a|--auth|--proxy-user)[ =]?",
        r"[\"']?[^\s:\"']{1,64}:([^\s\"'\\]{1,128})",
    ),
    _command(
        "-", "-pass|-token|-secret|-api|-auth",
        r"(?<!\S)--?(?:password|passwd|pass|passphrase|token|secret|api-?key|auth-token|http-password)[ =]",
        _ARGUMENT,
    ),
    _command(
        " -", "mysql|mariadb|mongo",
        r"\b(?:mysql(?:dump|admin)?|mariadb|mongo(?:sh)?)\b[^\n|;]{0,120}?\s-p([^\s\"'<$\\]{3,127})",
    ),
    _command(
        " -", "sshpass|r login|n login|y login|redis-cli|ldapsearch|useradd|usermod",
        r"\b(?:sshpass|(?:docker|podman|helm registry) login|redis-cli|ldapsearch|useradd|usermod)\b",
        r"[^\n|;]{0,120}?\s(?:-p|-a|-w|--password)[ =]?", _ARGUMENT,
    ),
    _command(" -", "snmp", r"\bsnmp\w{2,12}\b[^\n|;]{0,120}?\s-(?:c|A|X)[ =]?", _ARGUMENT),
    _command(" ", "convertto-secure", r"ConvertTo-SecureString\s(?:[^\n]{0,60}?-String\s)?\s{0,3}", _QUOTED),
    _command(
        "|", "--stdin|sudo -s",
        r"\becho\s{1,3}(?:-n\s)?", _ARGUMENT, r"\s{0,3}\|\s{0,3}(?:sudo\s)?(?:passwd\s--stdin|sudo\s-S)\b",
    ),
    _command(  # netrc
        " ", "login ",
        r"\b(?:machine\s{1,8}\S{1,128}|default)\s{1,8}login\s{1,8}\S{1,64}\s{1,8}password\s{1,8}", _ARGUMENT,
    ),
    _command(
        " ", "identified ",
        r"\bidentified\s(?:with\s[\w\"']{1,40}\s)?(?:by|as)\s{1,3}(?:password\s)?", _QUOTED,
        r"|\buser\s\S{1,64}\sidentified\sby\s{1,3}([^\s\"'<$%{\\;-][^\s\"'\\;]{2,127})",
    ),
    _command(
        " ", "password",
        r"\b(?:role|user|login|with|encrypted|for\s\S{1,64})\s[^\n;'\"]{0,80}?\bpassword\s{0,3}[=(]?\s{0,3}",
        _QUOTED,
    ),
    _command(
        " ", "net user ",
        r"\bnet1?\suser\s(?:\"[^\"\n]{1,64}\"|[^\s/]{1,64})\s{1,3}(?!/|\*)", _ARGUMENT,
        r"(?=\s{0,3}(?:/|\Z|\n|[;&|]))",
    ),
    _command(
        "\\", "net use ",
        r"\bnet\suse\s[^\n/]{1,120}?\s((?=[^\s\\]*[0-9!@#$%^&])[^\s\\/:*]{4,64})\s{1,3}/user:",
    ),
    _command(
        ":", "chpasswd",
        r"(?:echo|printf)\s(?:-[ne]{1,2}\s)?[\"']?[^\s:\"']{1,64}:([^\n\"'|]{3,128}?)(?:\\n)?[\"']?\s{0,3}\|"
        r"\s{0,3}(?:sudo\s)?chpasswd",
        r"|chpasswd\s{0,3}<<<\s{0,3}[\"']?[^\s:\"']{1,64}:([^\s\"']{3,128})",
    ),
    _command(
        ";", "wifi:",
        r"\bWIFI:(?:[STHREAI]{1,3}:(?:\\.|[^;\\\n]){0,64};){0,5}P:((?:\\.|[^;\\\n]){4,64});",
    ),
    _command(
        " ", "community ",
        r"\b(?:snmp-server|snmpset|snmp)\s(?:host\s\S{1,64}\s(?:version\s\S{1,3}\s)?)?community\s{1,3}"
        r"(?!string|name|of|and)", _ARGUMENT,
        r"|\br[ow]community6?\s{1,3}", _ARGUMENT,
    ),
    _command(
        "@", "sqlplus|oracle:thin",
        r"(?:\b(?:sqlplus|sqlldr|expdp|impdp)\s(?:-\w{1,2}\s){0,3}[\"']?|oracle:thin:)",
        r"[\w$#]{1,32}/([^\s/@\"']{3,64})@",
    ),
    _command("@", "@tcp(|@unix(", r"(?<![^\s\"'`=(])[\w.-]{1,64}:([^\s:@/\"'`]{3,64})@(?:tcp|unix)\("),
)  # fmt: skip
# The name and the password of a registry, in base64.
_REGISTRY = re.compile(
    r"(?:\"auth\"\s{0,3}:\s{0,3}\"|(?<![A-Za-z])_auth\s{0,2}=\s{0,2}\"?)([A-Za-z0-9+/]{8,512}={0,2})"
)
# Known to everybody.
_COMMON: Final = frozenset({"public", "private"})


def command_passwords(text: str, lowered: str) -> Iterator[Finding]:
    """Yield the passwords in commands and configuration files; they may overlap."""
    for sign, hints, pattern in _COMMANDS:
        if sign in text:
            for hint in hints:
                if hint in lowered:
                    yield from _passwords(text, pattern)
                    break
    if '"auth"' in lowered or "_auth" in lowered:
        for match in _REGISTRY.finditer(text):
            if is_basic(match[1]):
                yield Finding("SECRET", *match.span(1))


def _passwords(text: str, pattern: re.Pattern[str]) -> Iterator[Finding]:
    for match in pattern.finditer(text):
        group = match.lastindex or 0
        if not is_placeholder(match[group]) and match[group].lower() not in _COMMON:
            yield Finding("PASSWORD", *match.span(group))
