"""Passwords in commands and in the files of tools, where no sign stands between a name and its value.

For an example of each form see the tests.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from detectors.privacy.findings import Finding
from detectors.privacy.gates import Gates
from detectors.privacy.headers import is_basic
from detectors.privacy.secret_values import (
    has_letters_and_digits,
    is_name,
    is_password,
    is_placeholder,
    is_proven,
)

_ARGUMENT: Final = r"(?:'([^'\n]{2,128})'|\"([^\"\n]{2,128})\"|([^\s\"'<$%{\\-][^\s\"'\\]{2,127}))"
_WHICH: Final = (
    r"(?:[_-]?(?:value|key|secret|token|password|string|default|dev|test|staging|prod|production"
    r"|[0-9]{1,2})){0,2}"
)
"""What the name of a secret goes on with, where it is not of something said of one: its age, its file."""
_QUOTED: Final = r"(?:N?'([^'\n]{3,128})'|\"([^\"\n]{3,128})\")"


class _Command(NamedTuple):
    sign: str
    """What all of them have: a text without it is not searched."""
    hints: tuple[str, ...]
    """In lower case: of these strings the text has one, and the pattern begins with it."""
    pattern: re.Pattern[str]
    """The last group that took part is the password."""
    before: re.Pattern[str] | None
    """What ends where the pattern begins."""
    is_value: Callable[[str], bool] | None
    """What tells a password from a word, where words stand in its place as well."""


def _command(
    sign: str, hints: str, *parts: str, before: str = "", is_value: Callable[[str], bool] | None = None
) -> _Command:
    context = re.compile(rf"(?:{before})\Z", re.IGNORECASE) if before else None
    pattern = re.compile("".join(parts), re.IGNORECASE)
    return _Command(sign, tuple(hints.split("|")), pattern, context, is_value)


def _is_chosen(value: str) -> bool:
    """Say whether a string has letters and digits, and is no name in a program and no rule."""
    chosen = has_letters_and_digits(value) and not is_name(value)
    return chosen and is_password(value, quoted=True, literal=True, connection=False)


_COMMANDS: Final = (
    _command(
        " -", "curl|http|wget|xh ",
        r"(?<![\w-])(?:curl|http|https|wget|xh)\b[^\n|;]{0,200}?\s(?:-u|--user|-a|--auth|--proxy-user)[ =]?",
        r"[\"']?[^\s:\"']{1,64}:([^\s\"'\\]{1,128})",
    ),
    _command(
        "-", "-pass|-token|-secret|-api|-auth|-http-pass",
        r"(?:(?<!\S)|(?<=\s-))-(?:password|passwd|pass|passphrase|token|secret|api-?key|auth-token|http-password)",
        r"[ =]",
        _ARGUMENT,
    ),
    _command(
        " -", "mysql|mariadb|mongo",
        r"\b(?:mysql(?:dump|admin)?|mariadb|mongo(?:sh)?)\b[^\n|;]{0,120}?\s-p",
        r"(?:'([^'\n]{3,128})'|\"([^\"\n]{3,128})\"|([^\s\"'<$\\]{3,127}))",
    ),
    _command(
        " -",
        "sshpass|docker login|podman login|helm registry login|az login|redis-cli|ldapsearch|useradd|usermod"
        "|mongo",
        r"\b(?:sshpass|(?:docker|podman|helm registry|az) login|redis-cli|ldapsearch|useradd|usermod"
        r"|mongo\w{0,8})\b",
        r"[^\n|;]{0,120}?\s(?:-p|-a|-w|--password)[ =]?", _ARGUMENT,
    ),
    _command(
        " -", "zip |7z |7za |rar |sqlcmd|bcp |htpasswd|keytool|ssh-keygen",
        r"(?:(?:un)?zip|7za?|(?:un)?rar|sqlcmd|bcp|htpasswd|keytool|ssh-keygen)\b[^\n|;]{0,120}?\s",
        r"(?:-P|-N|-passw?d?|-storepass|-b(?:B|c|m)?\s\S{1,128}\s\S{1,64})\s{1,3}", _ARGUMENT,
        before=r"(?<![\w-])(?:un)?",
    ),
    _command(
        " -", "7z |7za |rar ",
        r"(?:7za?|rar)\s(?:a|x|e|t)\s[^\n|;]{0,120}?-h?p", _ARGUMENT,
    ),
    _command(
        "%", "smbclient|rpcclient|net ads|wmic",
        r"[^\n|;]{0,120}?\s-U\s?[\"']?[^\s%\"']{1,64}%([^\s\"']{3,128})",
    ),
    _command(
        ":", "freerdp|rdesktop|cmdkey|runas",
        r"(?:freerdp|rdesktop|cmdkey|runas)\b[^\n|;]{0,160}?\s/p(?:ass)?:", _ARGUMENT,
    ),
    _command(  # of many tools: --admin-password, --sftp-pass
        " -", "-pass",
        r"-(?:password|passwd|pass|passphrase)[ =]", _ARGUMENT,
        before=r"(?<!\S)--?(?!no|ask|reset|change|show|random|generate|skip|require|forgot|use|print|prompt)"
        r"[A-Za-z]{1,20}(?:-[A-Za-z]{1,20}){0,3}",
    ),
    _command(" -", "openssl ", r"openssl\s(?:enc|aes|des)[^\n|;]{0,120}?\s-[kK]\s", _ARGUMENT),
    _command(":", "-passin pass:|-passout pass:", r"-pass(?:in|out)\spass:", _ARGUMENT),
    _command(" ", "nmcli", r"nmcli\b[^\n|;]{0,120}?\spassword\s", _ARGUMENT),
    _command(
        " ", "aws configure set",
        r"aws\sconfigure\sset\s(?:aws_secret_access_key|aws_session_token)\s", _ARGUMENT,
    ),
    _command(" -", "snmp", r"\bsnmp\w{2,12}\b[^\n|;]{0,120}?\s-(?:c|A|X)[ =]?", _ARGUMENT),
    _command(" ", "convertto-secure", r"ConvertTo-SecureString\s(?:[^\n]{0,60}?-String\s)?\s{0,3}", _QUOTED),
    _command(
        "|", "passwd --stdin|sudo -s",
        before=r"\becho\s{1,3}(?:-n\s)?(?:'([^'\n]{2,128})'|\"([^\"\n]{2,128})\"|([^\s\"'<$%{\\-][^\s\"'\\]{2,127}))"
        r"\s{0,3}\|\s{0,3}(?:sudo\s)?",
    ),
    _command(
        "(", "auth=(|auth = (|basicauth(|digestauth(|basiccredentials(|basic_auth(",
        r"(?:auth\s?=\s?|(?:Basic_?|Digest)(?:Auth|Credentials))\(\s{0,3}[\"'][^\"'\n]{1,64}[\"']\s?,\s{0,9}",
        r"(?:'([^'\n]{3,128})'|\"([^\"\n]{3,128})\")",
    ),
    _command(  # netrc
        " ", "login ",
        r"login\s{1,8}\S{1,64}\s{1,8}password\s{1,8}", _ARGUMENT,
        before=r"(?:machine\s{1,8}\S{1,128}|default)\s{1,8}",
    ),
    _command(
        " ", "identified ",
        r"\bidentified\s(?:with\s[\w\"']{1,40}\s)?(?:by|as)\s{1,3}(?:password\s)?", _QUOTED,
    ),
    _command(
        " ", "identified by ",
        r"identified\sby\s{1,3}([^\s\"'<$%{\\;-][^\s\"'\\;]{2,127})", before=r"\buser\s\S{1,64}\s",
    ),
    _command(
        " ", "password",
        r"password\s{0,3}[=(]?\s{0,3}", _QUOTED,
        before=r"\b(?:role|user|login|with|encrypted|for\s\S{1,64})\s[^\n;'\"]{0,80}?(?<!\w)",
    ),
    _command(
        " ", "net user |net1 user ",
        r"\bnet1?\suser\s(?:\"[^\"\n]{1,64}\"|[^\s/]{1,64})\s{1,3}(?!/|\*)", _ARGUMENT,
        r"(?=\s{0,3}(?:/|\Z|\n|[;&|]))",
    ),
    _command(
        "\\", "net use ",
        r"\bnet\suse\s[^\n/]{1,120}?\s((?=[^\s\\]*[0-9!@#$%^&])[^\s\\/:*]{4,64})\s{1,3}/user:",
    ),
    _command(":", "chpasswd", r"chpasswd\s{0,3}<<<\s{0,3}[\"']?[^\s:\"']{1,64}:([^\s\"']{3,128})"),
    _command(
        "|", "chpasswd",
        before=r"(?:echo|printf)\s(?:-[ne]{1,2}\s)?[\"']?[^\s:\"']{1,64}:([^\n\"'|]{3,128}?)(?:\\n)?[\"']?\s{0,3}\|"
        r"\s{0,3}(?:sudo\s)?",
    ),
    _command(
        ";", "wifi:",
        r"\bWIFI:(?:[STHREAI]{1,3}:(?:\\.|[^;\\\n]){0,64};){0,5}P:((?:\\.|[^;\\\n]){4,64});",
    ),
    _command(
        " ", "community ",
        r"community\s{1,3}(?!string|name|of|and)", _ARGUMENT,
        before=r"\b(?:snmp-server|snmpset|snmp)\s(?:host\s\S{1,64}\s(?:version\s\S{1,3}\s)?)?|\br[ow]",
    ),
    _command(
        "@", "sqlplus|sqlldr|oracle:thin",
        r"(?:\b(?:sqlplus|sqlldr)\s(?:-\w{1,2}\s){0,3}[\"']?|oracle:thin:)[\w$#]{1,32}/([^\s/@\"']{3,64})@",
    ),
    _command(
        " ", "setx ",
        rf"setx\s(?:/m\s)?\w{{0,32}}(?:key|token|secret|passw(?:or)?d|pwd){_WHICH}\s{{1,3}}", _ARGUMENT,
    ),
    _command(  # the third of what is needed to connect
        "(", "mysqli(|mysqli_connect(|pdo(|getconnection(",
        r"\w{3,16}\(\s?(?:[^,()\n]|\([^()\n]*\)){1,160},\s?[\"'][^\"'\n]{1,64}[\"'],\s?", _QUOTED,
    ),
    _command(
        "(",
        "networkcredential(|oracle.connect(|passwordcredentials(|passwordauthentication(|basicauth(",
        r"[.\w]{5,24}\(\s?[\"'][^\"'\n]{1,64}[\"'],\s?", _QUOTED,
    ),
    _command(  # an address is no text to be shown
        "(", ".login(", r"\.login\(\s?[\"'][^\"'\s@]{1,64}@[^\"'\s@]{1,64}[\"'],\s?", _QUOTED,
    ),
    _command(
        "(", ".login(", r"\.login\(\s?[\"'][^\"'\s]{1,64}[\"'],\s?", _QUOTED, is_value=_is_chosen,
    ),
    _command(  # .password("..."), setPassword("...")
        "(", "password(|passwd(|pwd(", r"\w{3,8}\(\s?", _QUOTED, r"\s?[,)]",
        before=r"(?<![A-Za-z_])(?:set_?|with_?|db_?|user_?|root_?)?", is_value=_is_chosen,
    ),
    _command(  # define("DB_PASSWORD", "...")
        "(", "password\"|password'|passwd\"|passwd'|pwd\"|pwd'",
        r"\w{3,8}[\"']\s?,\s?", _QUOTED, r"\s?[,)]", before=r"\(\s?[\"'][\w.-]{0,32}", is_value=_is_chosen,
    ),
    _command("{", "password{\"|passwd{\"|pwd{\"", r"\w{3,8}\{", _QUOTED, r"\}", is_value=_is_chosen),
    _command(  # of Terraform
        "{", "variable \"",
        rf"variable\s\"[\w-]{{0,40}}(?:passw(?:or)?d|secret|token|key){_WHICH}\"\s?\{{",
        r"[^{}]{0,300}?\bdefault\s{0,20}=\s{0,20}",
        _QUOTED, is_value=_is_chosen,
    ),
    _command(  # creds: admin / ..., user/password: ann / ...
        "/", "cred|login|zugangsdaten|identifiants|/pass|/ pass|/pw|contraseña:|mot de passe :",
        r"(?:creds|credentials|login(?: data)?|zugangsdaten|identifiants|credenciales|credenziali|(?:/\s?)?"
        r"(?:pass(?:w(?:or)?d)?|pwd?|passwort|contraseña|mot de passe))(?:\s?:\s{0,2}|\s{1,2})",
        r"[\"'`]?[\w.@+-]{2,64}[\"'`]?\s?/\s?[\"'`]?([^\s\"'`]{6,64})",
        before=r"(?<![A-Za-z])(?:(?:user(?:name)?|benutzer(?:name)?|login|usuario|utilisateur|utente)\s?"
        r"(?:(?:and|und|y|et|e)\s)?)?", is_value=is_proven,
    ),
    _command(
        "@", "@tcp(|@unix(", before=r"(?<![^\s\"'`=(])[\w.-]{1,64}:([^\s:@/\"'`]{3,64})"
    ),
)  # fmt: skip
_SIGNS: Final = tuple(dict.fromkeys(command.sign for command in _COMMANDS))
_BY_HINT: Final = tuple(
    (hint, command)
    for command in sorted(_COMMANDS, key=lambda command: _SIGNS.index(command.sign))
    for hint in command.hints
)
_AUTH: Final = ('"auth"', "_auth")
_GATES: Final = Gates.of_strings(dict.fromkeys((*(hint for hint, _ in _BY_HINT), *_AUTH)))
_OPTION = re.compile(r"\s--?[A-Za-z]")
_REACH: Final = 240
"""Characters before a pattern in which its context is looked for."""
# The name and the password of a registry, in base64.
_REGISTRY = re.compile(
    r"(?:\"auth\"\s{0,3}:\s{0,3}\"|(?<![A-Za-z])_auth\s{0,2}=\s{0,2}\"?)([A-Za-z0-9+/]{8,512}={0,2})"
)
# Known to everybody.
_COMMON: Final = frozenset({"public", "private"})


def command_passwords(text: str, lowered: str) -> Iterator[Finding]:
    """Yield the passwords in commands and configuration files; they may overlap."""
    hints = _GATES.open(lowered)
    if not hints:
        return
    signs = {sign for sign in _SIGNS if sign in text}
    if " -" in signs and not _OPTION.search(text):
        signs.remove(" -")
    for hint, command in _BY_HINT:
        if hint in hints and command.sign in signs:
            yield from _passwords(text, lowered, hint, command)
    if not hints.isdisjoint(_AUTH):
        for match in _REGISTRY.finditer(text):
            if is_basic(match[1]):
                yield Finding("SECRET", *match.span(1))


def _passwords(text: str, lowered: str, hint: str, command: _Command) -> Iterator[Finding]:
    # By find and match, as a search would try every character.
    position = lowered.find(hint)
    while position >= 0:
        match = command.pattern.match(text, position)
        before = match and command.before and command.before.search(text, max(0, position - _REACH), position)
        if match and (before or not command.before):
            found = match if match.lastindex or not before else before
            group = found.lastindex or 0
            known = command.is_value is None or command.is_value(found[group])
            if known and not is_placeholder(found[group]) and found[group].lower() not in _COMMON:
                yield Finding("PASSWORD", *found.span(group))
        position = lowered.find(hint, position + 1)
