"""Addresses of machines (IP, MAC), told from versions, sections and other dotted numbers."""

import ipaddress
import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from detectors.privacy.findings import Span, verified

# What must not stand before is looked up after the first character: re skips faster to a known one.
_IPV4 = re.compile(
    r"[0-9](?<![A-Za-z0-9_.-].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![A-Za-z0-9_]|\.[0-9])", re.DOTALL
)
# From the first colon on: what stands before a group of four, or of three.
_IPV6 = re.compile(
    "".join((
        r":(?:",
        r"(?P<four>(?<=[0-9A-Fa-f]{4}:)(?:(?<![A-Za-z0-9_:.].{5})|(?<=[G-Zg-z\u0080-\U0010ffff]:.{5})))",
        r"|(?<=[0-9A-Fa-f]{3}:)(?:(?<![A-Za-z0-9_:.].{4})|(?<=[G-Zg-z\u0080-\U0010ffff]:.{4}))",
        r")[0-9A-Fa-f]{0,4}+(?::[0-9A-Fa-f]{0,4}+){1,6}(?![A-Za-z0-9_:])",
    )),
    re.DOTALL,
)  # fmt: skip
# From the first separator on: re skips to it faster than to a digit.
_MAC = re.compile(
    r"([:-])(?<=[0-9A-Fa-f]{2}.)(?:(?<![A-Za-z0-9_:-]...)|(?<=[\u0080-\U0010ffff]:...))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![A-Za-z0-9_:-])"
)
_HARDWARE = re.compile(
    r"(?<![A-Za-z])(?:mac(?:[ -]?addr(?:ess)?)?|bssid|ether|hw[ -]?addr|(?:hardware|physical) address"
    r"|link/ether|bluetooth)[\s\"':=.#-]{0,4}(?:is\s)?\Z",
    re.IGNORECASE,
)

# What is numbered with dots: releases, and the parts of documents.
_UP_TO: Final = (
    r"(?:[\s.:=(#*-]{0,5}(?:numbers?|no|nr|from|to|before|after|since|until|through|and|or|than|below|above|up|prior|von|bis|de|à|a"
    r"|[0-9]+(?:\.[0-9]+){0,5}(?:[-+][\w.]{1,12})?)?[\s,.:=(*-]{1,5}){0,4}[\s.:=(]{0,3}\Z"
)
_VERSIONED = re.compile(
    r"(?:(?<![A-Za-z])(?:vers?i?[oó]n(?:e|en|es|i|s)?|versão|版本|バージョン|버전|versie|versi|wersj[aęi]|verze|verzi[aó]"
    r"|верси[яию]|версі[яїю]|sürümü?|έκδοση|الإصدار|إصدار|संस्करण|phiên bản|"
    r"release[sd]?|build|firmware|ver|rev|v"
    rf"|drivers?|kernel|iso|rfc|oid|spec)|#){_UP_TO}",
    re.IGNORECASE,
)
_PLACED = re.compile(
    r"(?:(?<![A-Za-z])(?:sections?|sect?|§{1,2}|figures?|fig|tables?|chapters?|clauses?|paragraphs?|para|appendix|annex|items?|steps?"
    r"|rules?|articles?|art|requirements?|req|control|sub(?:section|clause|chapter|item)s?|criteri(?:on|a)|goals?|exercises?|problems?"
    r"|lemmas?|theorems?|corollary|propositions?|definitions?|equations?|eqs?|listings?|notes?|tests?|objectives?"
    r"|(?:page|case)(?=\s\Z)|examples?|tasks?|questions?|answers?|parts?|phases?|wbs|outline|index|abschnitt|abbildung|abb|kapitel|tabelle|capítulo|sección"
    rf"|seção|figura|tabla|chapitre|figuur|раздел|рис|глава|第|章|节|図|表)|§){_UP_TO}",
    re.IGNORECASE,
)
_PRODUCT = re.compile(
    r"(?:[A-Za-z)]/|[=<>!~]=\s?|[<~^]\s?|(?<!\n)>\s?|[a-z0-9]@)\Z"
)  # Chrome/1.2.3.4, foo==1.2.3.4, foo@1.2.3.4
_LINKED = re.compile(r"(?:://|</?[A-Za-z][^<>\n]{0,60}>)\Z")  # http://1.2.3.4, <b>1.2.3.4</b>
# ssh -p 22 ann@1.2.3.4, root@1.2.3.4, ftp://ann@1.2.3.4, sip:100@1.2.3.4
_LOGIN = re.compile(
    r"(?:(?<![\w.-])(?:ssh|scp|sftp|mosh|rsync|sshfs|sshpass|ssh-copy-id|autossh|rsh|ftp|telnet|psql|mysql)\s"
    r"(?:[^\n;&|]{0,60}?\s)?[\w.-]{1,32}|(?:://|sip:)[^\s/@]{1,64}"
    r"|(?<![\w.@/-])(?:root|admin|administrator|ubuntu|debian|centos|ec2-user|pi|deploy))@\Z",
    re.IGNORECASE,
)
# ann@1.2.3.4:/tmp, ann@1.2.3.4's password
_LOGGED_IN = re.compile(r":[~/.]|'s\spassword|:\s(?:permission|connection)", re.IGNORECASE)
_PINNED = re.compile(
    r"@sha256|-(?:rc|alpha|beta|dev|SNAPSHOT|RELEASE|[0-9]+\.)|\.(?:Final|RELEASE|[a-z]{2,4}\b)"
)
# What speaks of releases, or is the sign of a reference, near four small numbers.
_RELEASED = re.compile(
    r"(?<![A-Za-z])(?:fix(?:ed|es)?|updat(?:e|es|ed|ing)|upgrad(?:e|es|ed|ing)|bump(?:s|ed)?|backport(?:s|ed)?|downgrad(?:e|ed)"
    r"|releas(?:e|es|ed)|notes|changelog|patch(?:es|ed)?|deprecated|introduced|regression|since)(?![A-Za-z])",
    re.IGNORECASE,
)
# Signs of the same, that addresses have beside them as well: `remote_addr`, and the name of a package.
_MARKED = re.compile(
    r"[`_]|(?<![A-Za-z])(?:packages?|librar(?:y|ies)|plugins?|tagged|semver|dependenc(?:y|ies))(?![A-Za-z])"
    r"|(?<![\w-])(?:(?:(?:mysql|mariadb|postgres(?:ql)?|redis|mongodb|nginx|apache|openssl|openssh|chrome|firefox|safari|edge|windows"
    r"|android|ios|macos|docker|php|kafka)\s)|(?:lib|python|node|ruby|perl|rust|golang|java|linux)[\w-]{0,24}\s\(?|[\w]{1,24}(?:-[\w]{1,24}){1,4}\s\()\Z",
    re.IGNORECASE,
)
# Of a program that serves nobody and is no everyday word, whose release follows; an address goes on as a
# path, or as a line of a log.
_PROGRAM = re.compile(
    r"(?<![\w-])(?:rsync|git|gcc|clang|cmake|bash|zsh|vim|emacs|ffmpeg|libav|sqlite|zlib|gnupg|gpg|imagemagick|ghostscript|busybox"
    r"|glibc|musl|qemu|virtualbox|terraform|log4j2?|acrobat(?:\sreader)?|adobe\sreader|flash\splayer|photoshop|itunes|vlc|gimp"
    r"|libreoffice|7-?zip|winrar|webkit|matlab|autocad)\s\(?\Z",
    re.IGNORECASE,
)
_REACHED = re.compile(r"[:/]|\s-\s|\s\[")
_OF_PROGRAM: Final = 99
"""The largest part of such a release."""
_FIRST_OF_PROGRAM: Final = 19
"""The largest first part of one."""
_ROW_BEFORE = re.compile(r"[0-9][\s,]\Z")
_ROW_AFTER = re.compile(r"[\s,]-?[0-9.]")
_CELL_BEFORE = re.compile(r"[0-9][.,][0-9]+\s?\|\s?\Z")
_CELL_AFTER = re.compile(r"\s?\|\s?[0-9]")
# Of a log: the method of a request follows the address.
_HEADING = re.compile(
    r"\s(?!(?:GET|POST|PUT|HEAD|DELETE|PATCH|OPTIONS|CONNECT|TCP|UDP)\s)(?:[A-ZÀ-Þ]|\((?:19|20)[0-9]{2}-[01][0-9])"
)
_OF_PACKAGE = re.compile(
    r"(?:[-+~][\w.+~-]{0,24})?\)\s[\w-]{1,24};\surgency="
)  # apt (1.2.3.4) unstable; urgency=low
_REACH: Final = 48
_REACH_AFTER: Final = 16
_LARGEST_SMALL: Final = 39
_LARGEST_PART: Final = 100
"""The parts of a document are not counted beyond that."""
# What says that four numbers are an address, whatever else stands beside them.
_OF_HOST = re.compile(
    r"(?:(?<![A-Za-z])|(?<=[a-z])(?-i:(?=[A-Z])))(?:ip(?:v4|s|[ _-]?addr(?:ess)?)?"
    r"|inet|addr(?:ess(?:es)?|s)?|adress\w{0,3}"
    r"|direcci[oó]n|endereço|indirizzo|adres\w?|host(?:s|name)?|servers?|clients?|src|dst|peers?|gateway|dns|nameservers?"
    r"|ping|ssh|telnet|traceroute|whois|nslookup|remote"
    r"|visitors?|login|proxy|router|machine|subnet|forwarded[ _-]for"
    r"|connect\w{0,4}|block(?:ed)?|ban(?:ned)?|attack\w{0,3})(?![A-Za-z])[^\n]{0,32}\Z"
    r"|адрес|地址|アドレス|주소|位址|(?<!>)://\Z|@\Z",
    re.IGNORECASE,
)


def ip_addresses(text: str, *, old: bool = True, new: bool = True) -> Iterator[Span]:
    """Yield the spans of IP addresses; of version 4 if `old`, and of version 6 if `new`."""
    spans = [match.span() for match in _IPV4.finditer(text)] if old else []
    for match in _IPV6.finditer(text) if new else ():
        spans.append((match.start() - (3 if match["four"] is None else 4), match.end()))
    return verified(spans, partial(_is_ip_address, text))


def mac_addresses(text: str) -> Iterator[Span]:
    """Yield the spans of hardware addresses."""
    spans = ((match.start() - 2, match.end()) for match in _MAC.finditer(text))
    return (span for span in spans if _is_of_device(text, span))


def _is_of_device(text: str, span: Span) -> bool:
    octets = text[slice(*span)].lower().replace("-", ":")
    # The lowest bit of the first octet marks a group of devices (IEEE 802); RFC 7042 has some for documents.
    if int(octets[:2], 16) & 1 or octets.startswith(("00:00:00:00", "00:00:5e:00:53")):
        return False
    # Without a letter it is a time, or a date and a time, more often than an address.
    named = _HARDWARE.search(text, max(0, span[0] - 32), span[0])
    return named is not None or any(map(str.isalpha, octets))


def _is_ip_address(text: str, span: Span) -> bool:
    try:
        address = ipaddress.ip_address(text[slice(*span)])
    except ValueError:
        return False
    # Those of private networks and of documentation stand for nobody, nor do whole networks.
    if text.endswith("::", *span) and text.startswith("/", span[1]):
        return False
    if not address.is_global or address.is_multicast or not any(map(str.isdigit, text[slice(*span)])):
        return False
    return address.version == 6 or not _is_number(text, *span)


def _is_number(text: str, start: int, end: int) -> bool:
    """Say whether four numbers with dots are a version, or a place in a document."""
    before = text[max(0, start - 64) : start]
    linked = _LINKED.search(before) or text[start - 1 : start] + text[end : end + 1] == "<>"
    parts = set(map(int, text[start:end].split(".")))
    largest = max(parts)
    if _is_login(text, start, end):
        return False
    if _PRODUCT.search(text, max(0, start - 3), start) or _VERSIONED.search(before):
        return not linked
    if largest < _LARGEST_PART and _PLACED.search(before):
        return not linked
    if _PINNED.match(text, end) or _OF_PACKAGE.match(text, end):
        return True
    if _ROW_BEFORE.search(text, max(0, start - 3), start) and _ROW_AFTER.match(text, end):
        return True
    if _CELL_BEFORE.search(before) and _CELL_AFTER.match(text, end):
        return True
    if largest <= _OF_PROGRAM and _is_of_program(text, start, end):
        return True
    return largest <= _LARGEST_SMALL and len(parts) > 1 and _is_release(text, start, end)


def _is_of_program(text: str, start: int, end: int) -> bool:
    near = text[max(0, start - _REACH) : start]
    if int(text[start : text.index(".", start)]) > _FIRST_OF_PROGRAM or _REACHED.match(text, end):
        return False
    return _PROGRAM.search(near) is not None and not _OF_HOST.search(near)


def _is_login(text: str, start: int, end: int) -> bool:
    """Say whether somebody is at the address: the @ before it is that of no package."""
    if text[start - 1 : start] != "@":
        return False
    return bool(_LOGIN.search(text, max(0, start - 100), start) or _LOGGED_IN.match(text, end))


def _is_release(text: str, start: int, end: int) -> bool:
    begins_line = not text[max(0, start - 80) : start].rpartition("\n")[2].strip(" \t#*")
    near = text[max(0, start - _REACH) : start], text[end : end + _REACH_AFTER]
    if (begins_line and _HEADING.match(text, end)) or any(map(_RELEASED.search, near)):
        return True
    return any(map(_MARKED.search, near)) and not _OF_HOST.search(near[0])
