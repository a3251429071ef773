"""Phone numbers: in international form, in the usual form of a region, or announced by a word."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import phonenumbers

from detectors.privacy.findings import Span, verified
from detectors.privacy.things import is_of_stock

REGIONS: Final = ("US", "GB")
"""Numbering plans in which a number without a country code is looked up, where no word announces it."""

ANNOUNCED_REGIONS: Final = ("US", "CN", "IN", "BR", "MX", "ES", "PT", "PL", "IT", "RU", "KR", "JP")
"""Numbering plans in which digits without a break are looked up that a word announces directly. Of fixed
length only: where numbers have four to thirteen digits, nearly everything that is counted is one."""

_REACH: Final = 40
"""Characters before a number within which a word announces it."""

_EXTENSION_FORM: Final = r"[ ,;]{0,2}(?:x|ext(?:ension)?\.?|#) ?[0-9]{1,5}"
# From the first digit on: re skips to it fast. What stands before it is looked at for the few that fit.
_NUMBER = re.compile(
    r"[0-9](?<![0-9.,@#/_-].)(?>(?:[ ()./-]{0,3}+[0-9]){6,16})"
    rf"(?:{_EXTENSION_FORM}(?![0-9]))?(?![0-9_]|[A-Za-z]+[0-9_]|[eE][+-][0-9])"
)
_BEFORE = re.compile(
    r"(?:(?<![0-9.,@#/+_-])(?<![0-9.][eE])|(?<=[A-Za-z]\.)(?=\+)|(?<=,)(?=\+[1-9]))"
    r"(?:\((?=\+?\d{1,5}\)))?\+?(?:\((?=\d{1,5}\)))?"  # a bracket only around a prefix
)
_LONGEST_BEFORE: Final = 2
# Two numbers, one after the other: 915824237 / 684895449.
_PAIRED = re.compile(
    r"([0-9](?<![0-9].)[ .-]?(?:[0-9][ .-]?){8,10})/(?= ?(?:[0-9][ .-]?){9,11}(?![0-9]))", re.DOTALL
)
_EXTENSION = re.compile(rf"{_EXTENSION_FORM}\Z")
_LOCAL = re.compile(
    r"(?!(?:1[ .-])?\d{3}(?:\.\d{3}-|-\d{3}\.))"  # 252.227-7013 is a clause
    r"(?:1[ .-])?\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}|\(\d{3}\)\d{3}-\d{4}"
    r"|\(?0\d{2,4}\)?[ -]\d{3,4}[ -]?\d{3,6}",
    re.ASCII,
)
# (0171) 1234567: nothing else has a prefix in brackets.
_PREFIXED = re.compile(r"\(0\d{2,4}\)[ /-]{0,2}\d{3,8}(?:[ -]\d{2,5}){0,2}", re.ASCII)
_PREFIXED_REGIONS: Final = ("DE", "AT", "GB", "IN", "ID", "ZA")
_STRICT = re.compile(r"(?:1[.-])?\d{3}[.-]\d{3}[.-]\d{4}|\+\d.*", re.ASCII)
_SEPARATED = re.compile(rf"{_LOCAL.pattern}|\(?\+\d.*", re.ASCII)
# As people write them down, by country; digits alone, or in groups like these, are no size or amount.
_GROUPED = re.compile(
    r"\d{3}[ .-]\d{4}|\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}|\(\d{3}\)\d{3}-\d{4}"  # 123 4567, 259.735.7502
    r"|\(?0\d{1,5}\)?(?: / |[ ./-]{1,2})\d{2,8}(?:[ ./-]{1,2}\d{2,8}){0,3}(?:-\d)?"  # (0)20 7946 0958
    r"|0[1-9]\d{7,10}|0 \d{3}(?: \d{2,4}){2,3}"  # 01711234567, 0 532 123 45 67
    r"|\(0\d{1,4}\) ?\d{5,8}|\d{3}[ .-]\d{7}"  # 415-5552671
    r"|\d{2}(?:[ -]\d{2}){3,4}|\d{2}(?:\.\d{2}){4}|\d{3}(?:[ .-]\d{3}){2}"  # France, Spain
    r"|\d{3}(?:[ .-]\d{2}){3}|\d{2}[ .-]\d{3}[ .-]\d{2}[ .-]\d{2}"  # Spain, Poland
    r"|\d{3}[ -]\d{4}[ -]\d{4}|\d{5}[ -]\d{5}|3\d\d[ -]\d{6,7}"  # China, India, Italy
    r"|\(?\d{2}\)? ?9?\d{4}-\d{4}|8[ -]?\(?\d{3}\)?[ -]?\d{3}[ -]?\d{2}[ -]?\d{2}",  # Brazil, Russia
    re.ASCII,
)
# What is counted in words of its own is none: my number of users, мой номер заказа.
_MINE: Final = (
    r"(?:(?<![A-Za-z])(?:my|our|meine|unsere|mon|notre|mi|mio|meu|nuestro|mijn|mitt|mój)\s"
    r"(?:(?:new|neue|nouveau|nuevo)\s)?(?:number|nummer|num[eé]ro|número|numer)(?![A-Za-z]|\s(?:of|one|de|da|di|der|des|for)\b)"
    r"|(?:мой|наш)\sномер(?!\w|\s[а-я]{3,})|(?:내|제|저희)\s?(?:번호|연락처)|我的(?:号码|號碼)|私の番号)"
)
_WORD = re.compile(
    r"(?=[^\W\d_])"  # most of what stands before a number is none
    r"(?:(?<![A-Za-z])(?:(?:tele)?phones?|t[eé]l|(?<!tool )(?<!function )(?<!system )call(?:ing)?"
    r"|mobile|cell|fax|whatsapp|sms|dial"
    r"|telefon[aeo]?|telefono|tel[eé]fono|t[eé]l[eé]phone|handy|m[oó]vil|celular|cellulare|portable|telefoon"
    r"|mobil|mobiel|mobilnummer|puhelin|telemóvel)(?![A-Za-zà-ÿ])"
    r"|(?<![A-Za-z])(?:ph(?:one)?[ .]{0,2}(?:no|num|nr)?[.:#]|mob(?:[.:]| ?no\b)"
    r"|contact (?:me|no|nr|num(?:ber)?)(?![A-Za-z])"
    r"|(?:text|txt|ring|reach|ping) me(?: (?:on|at))?(?![A-Za-z])|handynummer|telefonnummer)"
    rf"|{_MINE}"
    r"|(?<![A-Za-z])(?:telepon|telp\.?|nomor hp|no\.? hp|mobilnr|mobiltelefon|telefonszám|te?lf(?:no)?s?"
    r"|tfnos?|fon|(?<!precio )(?<!importe )(?<!coste )(?<!costo )(?<!valor )(?<!monto )(?<!plazo )fijo"
    r"|bizum|cont[aá]ct(?:ame|enos|anos|eme)"
    r"|tel[eé]fonos|ll[aá]m[ae](?:me|nos|d|lo| al)|appele[zr](?:-(?:moi|nous|le))?|appelle-moi"
    r"|rappele[zr]|joignable|chiama(?:mi|te|temi|re)|ligue (?:para|no)|liga-me|bel(?:t u)? (?:me|mij|ons)"
    r"|telefoonnummer|mobiele nummer|rufnummer|durchwahl|telefonnr|zadzwoń|dzwoń|kom[oó]rk[ai]"
    r"|telefonu(?:m|muz|nuz)?|hubungi|cep (?:tel\w{0,8}|no)|erreich(?:bar|en|st|t)?(?:\s\w{2,5}){0,3}\sunter"
    r"|ruf(?:en|t)?(?:\ssie)?\s(?:mich|uns|ihn)(?:\s\w{2,6}){0,2}\s(?:an|unter))(?![A-Za-z])"
    r"|điện thoại|di động|(?<!\w)s?đt(?!\w)|τηλέφωνο|τηλ\.|κινητό"
    r"|телефон\w{0,3}|тел\.|моб\.|звон\w{2,4}|电话|手机|電話|手機|携帯|微信|同号|拨打|致电|连络|連絡先|전화|휴대폰|연락처|โทร|เบอร์|फ़ोन|फोन|मोबाइल|हाट्सएप|कॉल|هاتف|جوال|موبايل|واتساب|اتصل|טלפון)",
    re.IGNORECASE,
)
# 01711234567 ist meine Handynummer
_SAID_AFTER = re.compile(
    r"\s(?:is|ist|est|es|é|è)\s(?:my|meine?|mon|mi|mio|meu|o meu|il mio)\s"
    r"(?:(?:new|cell|mobile|phone|neue)\s)?(?:number|phone|cell|mobile|(?:handy|telefon|mobil)?nummer|handy|num[eé]ro|número|portable|m[oó]vil|celular"
    r"|cellulare|tel[eé]fono|t[eé]l[eé]phone|telefone)(?![A-Za-z])",
    re.IGNORECASE,
)
# A label of a form says it all.
_LABEL = re.compile(
    r"(?:(?:tele)?phones?|t[eé]l|fax|telefon[aeo]?|telefoon|telepon|puhelin"
    r"|handynummer|mobilnummer|telefonnummer|rufnummer|telefoonnummer|te?lf(?:no)?|tfno|tel[eé]fonos"
    r"|điện thoại|τηλέφωνο"
    r"|tel[eé]fono|t[eé]l[eé]phone|телефон|тел\.|电话|電話|전화|연락처)"
    r"(?: ?(?:number|no|nr|номер|号码|번호))?\.?\s{0,2}[:=]\s{0,2}\Z",
    re.IGNORECASE,
)
# Between the word and its number, where nothing else is counted in between.
_DIRECT = re.compile(
    r"[\s:#.=()\"'\-号碼码番號は是为為의로번]{0,4}(?:(?:me|us|him|her|them|now|back|today|at|on|is|no|nr|number|num|the|ist|es|est|è|al|au|op|pod|para|kom"
    r"|numéro|número|numero|nummer|numer|numaram|numarası|номер|नंबर|नम्बर|رقم|الرقم|على)(?![A-Za-z])[\s:.=]{0,3}){0,4}"
    # Another one may stand before it.
    r"(?:[+(]{0,2}[0-9][0-9 ().-]{6,18}(?:[/,;]|\s(?:y|o|e|u|und|oder|or|and|et|ou)\s)\s?){0,2}\Z",
    re.IGNORECASE,
)
# Call me about order ...
_ABOUT = re.compile(
    r"(?<!\w)(?:about|regarding|concerning|wegen|zu|pour|por|sobre|per|over|w sprawie|по|soal)\s"
    r"(?:(?:the|my|der|la|le|el|il|o|a)\s|l['’])?"
    r"(?:order|ticket|invoice|case|bestellung|rechnung|vorgang|commande|dossier|facture|pedido|factura|fatura|ordine|fattura"
    r"|bestelling|factuur|zamówienia|faktury|заказу|счёту|pesanan|faktur)\s{0,2}[:#№]?\s?\Z",
    re.IGNORECASE,
)
# As people are, servers can be reached at an address.
_OF_SERVERS = re.compile(r"erreich|joignable|reach|ping", re.IGNORECASE)
_DOTTED = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)
_CHINESE_MOBILE = re.compile(r"1[3-9]\d{9}", re.ASCII)
_SMALL_GROUPS = re.compile(
    r"(?=(?:\D?\d){7,11}\Z)\(?\d{2,4}\)?(?:[ .-]\d{2,4}){1,3}|\d{2}[ .-]\d{6}", re.ASCII
)
_UNIT = re.compile(
    r"\s?(?:px|pixels?|dpi|mm|cm|km|kg|[kmgt]i?b|bytes?|tokens?|rows?|items?|times|users?|people|units?|wide|high|%|€|\$|usd|eur"
    r"|rup(?:ien|ees?|ias)|points?|punkte|puntos|punti|pontos|dollars?|euros?|pesos|r(?:o|u)u?bles?|rubel|yen|yuan|won|reais"
    r"|kronor|kroner|złotych|forint|lei|lira|toman)(?!\w)",
    re.IGNORECASE,
)
_PRICE = re.compile(
    r"(?<!\w)(?:kostete?n?|coûte\w{0,3}|cuestan?|custam?|costa|costs?|kosztuje|kost|priced?|worth|prix|preis|precio|preço"
    r"|prezzo|cena|стоит|sold|verkauft\w?|vendus?|vendidos?)(?!\w)",
    re.IGNORECASE,
)
_REVISION = re.compile(r"-[A-Z]{1,3}(?![A-Za-z])")  # 800-555-0199-A
_DECIMAL = re.compile(r"\+(?:\d{4,}\.\d+|\d{1,3}\.\d{13,})", re.ASCII)  # no country's code and number
_DATE = re.compile(r"(?:19|20)\d\d[./-]\d{1,2}[./-]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d")
_CALL = re.compile(r"[A-Za-z0-9_\]]\(\s?\Z")
_ROW = re.compile(r"[0-9][ \t]{1,2}\Z")
_ROW_SIGNS: Final = frozenset("0123456789 ")
_UUID_PART = re.compile(r"-[0-9A-Fa-f]{4}-")


def phones(text: str) -> Iterator[Span]:
    """Yield the spans of phone numbers, with their extension."""
    spans = (span for span in _numbers(text) if _may_be_phone(text, *span))
    return verified(spans, partial(_is_phone, text))


def _numbers(text: str) -> Iterator[Span]:
    if "/" in text:
        text = _PAIRED.sub(r"\1|", text)
    position = 0
    while match := _NUMBER.search(text, position):
        start, position = match.span()
        first = _first(text, start)
        if first < 0:
            position = start + 1
        else:
            yield first, position


def _first(text: str, start: int) -> int:
    """Return where the plus or the bracket before a number stands; -1 where it is a part of another."""
    for first in range(max(0, start - _LONGEST_BEFORE), start + 1):
        match = _BEFORE.match(text, first)
        if match and match.end() == start:
            return first
    return -1


def _may_be_phone(text: str, start: int, end: int) -> bool:
    """Say at little cost whether a number is worth a closer look: a long table holds hardly any."""
    candidate = text[start:end]
    if len(set(filter(str.isdigit, candidate))) == 1:  # 000 000 0000
        return False
    if form := _form_in_word(text, start, end):
        return form.fullmatch(_EXTENSION.sub("", candidate)) is not None
    return (
        candidate.startswith(("+", "(+", "00"))
        or _LOCAL.fullmatch(_EXTENSION.sub("", candidate)) is not None
        or _PREFIXED.fullmatch(candidate) is not None
        or _WORD.search(text, max(0, start - _REACH), start) is not None
        or _SAID_AFTER.match(text, end) is not None
    )


def _form_in_word(text: str, start: int, end: int) -> re.Pattern[str] | None:
    """Return the form of a number that letters stand beside without a blank; None where there are none."""
    if _is_letter(text[max(0, start - 1) : start]):
        return _STRICT
    return _SEPARATED if _is_letter(text[end : end + 1]) else None


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _is_phone(text: str, span: Span) -> bool:
    start, end = span
    candidate = text[start:end]
    if _is_code(text, start, end) or _DATE.match(candidate) or _DECIMAL.fullmatch(candidate):
        return False
    if form := _form_in_word(text, start, end):
        # Only what cannot be part of a name: office630-555-0142, +49 30 1234567x.
        number = _EXTENSION.sub("", candidate)
        if not form.fullmatch(number) or _UNIT.match(text, end):
            return False
        abroad = number.lstrip("(").startswith("+") and form is _SEPARATED
        return (
            _parses(number, None, phonenumbers.is_possible_number) if abroad else _is_valid(number, REGIONS)
        )
    if candidate.startswith(("+", "(+")):
        return _parses(candidate, None, phonenumbers.is_possible_number)
    if candidate.startswith("00") and _parses("+" + candidate[2:], None, phonenumbers.is_valid_number):
        return True
    if (
        is_of_stock(text, start)
        or _ABOUT.search(text, max(0, start - _REACH), start)
        or _REVISION.match(text, end)
    ):
        return False
    number = _EXTENSION.sub("", candidate)
    if _LOCAL.fullmatch(number) and _is_valid(number, REGIONS) and not _is_in_row(text, start, candidate):
        return True
    if _PREFIXED.fullmatch(number) and _is_valid(number, _PREFIXED_REGIONS):
        return True
    if _SAID_AFTER.match(text, end) and (_GROUPED.fullmatch(number) or _is_valid(number, ANNOUNCED_REGIONS)):
        return True
    return _is_announced(text, start, candidate)


def _is_code(text: str, start: int, end: int) -> bool:
    """Say whether the number is an argument of a call or the first part of a UUID."""
    return bool(_CALL.search(text, max(0, start - 3), start) or _UUID_PART.match(text, end))


def _is_in_row(text: str, start: int, candidate: str) -> bool:
    """Say whether the number is the end of a row of numbers."""
    return not set(candidate) - _ROW_SIGNS and _ROW.search(text, max(0, start - 3), start) is not None


def _is_announced(text: str, start: int, candidate: str) -> bool:
    before = text[max(0, start - _REACH) : start]
    words = list(_WORD.finditer(before))
    if not words:
        return False
    number = _EXTENSION.sub("", candidate)
    if _UNIT.match(text, start + len(candidate)) or _PRICE.search(before, words[-1].end()):
        return False
    if _OF_SERVERS.match(words[-1][0]) and _DOTTED.fullmatch(number):
        return False
    if not 7 <= sum(map(str.isdigit, number)) <= 15:  # E.164
        return False
    if _GROUPED.fullmatch(number) or _LABEL.fullmatch(before, words[-1].start()):
        return True
    if _CHINESE_MOBILE.fullmatch(number):
        return True
    if not _DIRECT.match(before, words[-1].end()):
        return False
    if _SMALL_GROUPS.fullmatch(number):
        return True
    # Digits without a break: whatever else is counted looks the same.
    return number.isdecimal() and _is_valid(number, ANNOUNCED_REGIONS)


def _is_valid(candidate: str, regions: tuple[str, ...]) -> bool:
    return any(_parses(candidate, region, phonenumbers.is_valid_number) for region in regions)


def _parses(candidate: str, region: str | None, accept: Callable[[phonenumbers.PhoneNumber], bool]) -> bool:
    try:
        return accept(phonenumbers.parse(candidate, region))
    except phonenumbers.NumberParseException:
        return False
