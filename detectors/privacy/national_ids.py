"""Identity numbers of persons, taken only where a word announces them.

Where a number has check digits they must be right (python-stdnum knows them); where it has none, the word
must stand directly before it.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from importlib import import_module
from itertools import accumulate, chain
from typing import Final, NamedTuple

from detectors.privacy.findings import Finding, Span, lower, verified

_REACH: Final = 48
"""Characters after the announcing word within which the number is looked for."""


class _Place(NamedTuple):
    end: int
    """Where the word ends."""
    direct: bool
    """Nothing may stand between it and the number."""


class _Scheme(NamedTuple):
    kind: str
    words: tuple[str, ...]
    """What announces the number, in lower case."""
    number: re.Pattern[str]
    check: str
    """Module of python-stdnum that knows the check digits; empty where there are none."""
    fewest: int = 6
    """Digits, at least, where there are no check digits."""


def _scheme(words: str, number: str, check: str, kind: str = "NATIONAL_ID", fewest: int = 6) -> _Scheme:
    """`words` are separated by a vertical bar; what has dots in it is written without them, too."""
    parts = words.split("|")
    parts += [part.replace(".", "") for part in parts if "." in part] + [
        p[:-1] for p in parts if p.endswith(".")
    ]
    # Against ASCII only: scripts without blanks write words and numbers together.
    whole = re.compile(rf"(?<![A-Za-z0-9_])(?:{number})(?![A-Za-z0-9_])", re.IGNORECASE)
    return _Scheme(kind, tuple(dict.fromkeys(parts + _in_code(parts))), whole, check, fewest)


def _in_code(words: list[str]) -> list[str]:
    """Return the words as they are names of fields: passport_number, passportNumber, driverlicense."""
    known = [word for word in words if word.isascii() and word.replace(" ", "").isalpha()]
    joined = [word.replace(" ", "") for word in known]
    numbered = [
        word + of for word in joined if word != "account" for of in ("number", "no", "nr", "num", "nummer")
    ]
    return [word.replace(" ", "_") for word in known] + joined + numbered


_CHECKED: Final = (
    _scheme("ssn|social security", r"[0-9]{3}([ .-]?)[0-9]{2}\1[0-9]{4}", "us.ssn", kind="US_SSN"),
    _scheme("itin|taxpayer|tin", r"9[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{4}", "us.itin"),
    _scheme("cpf|pix", r"[0-9]{3}\.?[0-9]{3}\.?[0-9]{3}-?[0-9]{2}", "br.cpf"),
    _scheme("sin|social insurance|nas|assurance sociale", r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{3}", "luhn"),  # of Canada
    _scheme(
        "idnr|steuer-id|steuerid|steueridentifikationsnummer|identifikationsnummer|tax id|tin",
        r"[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}", "de.idnr"
    ),
    _scheme(
        "d.n.i.|n.i.f.|documento|identidad|identificación|identificacion|identificado|identificada|titular",
        r"[0-9]{1,2}\.?[0-9]{3}\.?[0-9]{3}[ -]?[A-Z]", "es.dni",
    ),
    _scheme("n.i.e.|n.i.f.|documento|identidad|identificación|identificacion|residencia", r"[XYZ][ -]?[0-9]{7}[ -]?[A-Z]", "es.nie"),
    _scheme("nir|n° ss|nº ss|securite sociale|sécurité sociale|sécu|secu|insee|carte vitale", r"[12](?: ?[0-9]){14}", "fr.nir"),
    _scheme("numéro fiscal|numero fiscal|spi", r"[0-3][0-9](?: ?[0-9]){11}", "fr.nif"),
    _scheme("nhs", r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}", "gb.nhs"),
    _scheme("utr|unique taxpayer", r"[0-9]{5} ?[0-9]{5}", "gb.utr"),
    _scheme("aadhaar|aadhar|आधार", r"[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}", "in_.aadhaar"),
    _scheme("pan|permanent account|पैन", r"[A-Z]{5}[0-9]{4}[A-Z]", "in_.pan"),
    _scheme("gstin|gst", r"[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][0-9A-Z]Z[0-9A-Z]", "in_.gstin"),
    _scheme("epic|voter|मतदाता", r"[A-Z]{3}[0-9]{7}", "in_.epic"),
    _scheme(
        "codice fiscale|cod. fisc.|cod. fiscale|cod.fiscale|fiscal code|c.f.", r"[A-Z]{6}[0-9]{2}[A-Z][0-9]{2}[A-Z][0-9]{3}[A-Z]", "it.codicefiscale"
    ),
    _scheme("bsn|burgerservicenummer|sofinummer", r"[0-9]{9}", "nl.bsn"),
    _scheme("pesel", r"[0-9]{11}", "pl.pesel"),
    _scheme("nif|contribuinte", r"[0-9]{3} ?[0-9]{3} ?[0-9]{3}", "pt.nif"),
    _scheme("cartão de cidadão|cartao de cidadao|cc", r"[0-9]{8} ?[0-9] ?[A-Z0-9]{2}[0-9]", "pt.cc"),
    _scheme("身份证|身份證|身分证|证件号|证件號|證件號|resident identity|identity card|id card", r"[0-9]{17}[0-9X]", "cn.ric"),
    _scheme("주민등록|주민번호|외국인등록|rrn|resident registration", r"[0-9]{6}-?[0-9]{7}", "kr.rrn"),
    _scheme("マイナンバー|個人番号|my number", r"[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}", "jp.in_"),
    _scheme("curp", r"[A-Z]{4}[0-9]{6}[A-Z]{6}[0-9A-Z]{2}", "mx.curp"),
    _scheme("rfc", r"[A-Z]{4}-?[0-9]{6}-?[A-Z0-9]{3}", "mx.rfc"),
    _scheme("cuit|cuil", r"[0-9]{2}-?[0-9]{8}-?[0-9]", "ar.cuit"),
    _scheme("rut|run:|run n", r"[0-9]{1,2}\.?[0-9]{3}\.?[0-9]{3}-?[0-9K]", "cl.rut"),
    _scheme("cédula|cedula|c.i.", r"[0-9]{9}-?[0-9]", "ec.ci"),
    _scheme("personnummer|personal identity number", r"(?:[0-9]{2})?[0-9]{6}[-+ ]?[0-9]{4}", "se.personnummer"),
    _scheme("fødselsnummer|fodselsnummer|personnummer", r"[0-9]{6} ?[0-9]{5}", "no.fodselsnummer"),
    _scheme("cpr", r"[0-9]{6}-?[0-9]{4}", "dk.cpr"),
    _scheme("hetu|henkilötunnus|henkilotunnus", r"[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-Z]", "fi.hetu"),
    _scheme("kennitala", r"[0-9]{6}-?[0-9]{4}", "is_.kennitala"),
    _scheme(
        "rijksregister|registre national|niss|insz|numéro national", r"[0-9]{2}\.?[0-9]{2}\.?[0-9]{2}-?[0-9]{3}\.?-?[0-9]{2}", "be.nn"
    ),
    _scheme("ahv|avs|sozialversicherung|oasi", r"756\.?[0-9]{4}\.?[0-9]{4}\.?[0-9]{2}", "ch.ssn"),
    _scheme("svnr|sozialversicherung|versicherungsnummer", r"[0-9]{4} ?[0-9]{6}", "at.vnr"),
    _scheme("rodné číslo|rodne cislo|rč|birth number", r"[0-9]{6}/?[0-9]{3,4}", "cz.rc"),
    _scheme("cnp|cod numeric personal", r"[1-9][0-9]{12}", "ro.cnp"),
    _scheme("egn|егн", r"[0-9]{10}", "bg.egn"),
    _scheme("oib", r"[0-9]{11}", "hr.oib"),
    _scheme("emšo|emso|jmbg", r"[0-9]{13}", "si.emso"),
    _scheme("isikukood", r"[1-6][0-9]{10}", "ee.ik"),
    _scheme("asmens kodas", r"[1-6][0-9]{10}", "lt.asmens"),
    _scheme("amka|αμκα", r"[0-9]{11}", "gr.amka"),
    _scheme("kimlik|kimliğim|t.c. no|tckn", r"[1-9][0-9]{10}", "tr.tckimlik"),
    _scheme("teudat zehut|תעודת זהות|ת.ז.|israeli id", r"[0-9]{8,9}", "il.idnr"),
    _scheme("pps|ppsn", r"[0-9]{7}[A-W][A-IW]?", "ie.pps"),
    _scheme("инн|inn", r"[0-9]{12}", "ru.inn"),
    _scheme("рнокпп|іпн|rntrc", r"[0-9]{10}", "ua.rntrc"),
    _scheme("nik|ktp", r"[0-9]{16}", "id.nik"),
    _scheme("nric|mykad|kad pengenalan", r"[0-9]{6}-?[0-9]{2}-?[0-9]{4}", "my.nric"),
    _scheme("cnic", r"[0-9]{5}-?[0-9]{7}-?[0-9]", "pk.cnic"),
    _scheme("ประชาชน|thai id", r"[1-8][ -]?[0-9]{4}[ -]?[0-9]{5}[ -]?[0-9]{2}[ -]?[0-9]", "th.pin"),
    _scheme("tfn|tax file", r"[0-9]{3} ?[0-9]{3} ?[0-9]{2,3}", "au.tfn"),
    _scheme("ird", r"[0-9]{2,3}-?[0-9]{3}-?[0-9]{3}", "nz.ird"),
    _scheme("cups", r"ES(?:[ -]?[0-9]){16}[ -]?[A-Z]{2}(?:[ -]?[0-9][FPRCXYZ])?", "es.cups"),  # where energy is delivered
    _scheme("catastral", r"[0-9A-Z]{20}", "es.referenciacatastral"),
    _scheme(
        "c.c.c.|código cuenta|codigo cuenta|cuenta|conta|account", r"[0-9]{4}([ -]?)[0-9]{4}\1[0-9]{2}\1[0-9]{10}", "es.ccc",
        "BANK_ACCOUNT",
    ),
    _scheme("rsa id|sa id|south african id|identity number|id number", r"[0-9]{13}", "za.idnr"),
)  # fmt: skip
# Without check digits, or with such as are often wrong by a keystroke: the word alone says what it is.
_ANNOUNCED: Final = (
    _scheme("national insurance|nino|ni number|ni no", r"[A-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]", ""),
    _scheme(
        "sozialversicherungsnummer|sozialversicherungsnr|rentenversicherungsnummer|rentenversicherungsnr|versicherungsnummer|rvnr|svnr|sv-nr|sv-nummer",
        r"[0-9]{2} ?[0-9]{6} ?[A-Z] ?[0-9]{3}", "",
    ),
    _scheme(
        "personalausweis|personalausweisnummer|personalausweisnr|perso-nr|ausweis|ausweisnummer|ausweisnr",
        r"(?=[A-Z]{0,4}(?:[0-9][A-Z]{0,4}){5})[0-9A-Z]{9,10}", "", fewest=5,
    ),
    _scheme("carte d'identité|carte nationale d'identité|carte d’identité|cni", r"[0-9]{12}", ""),
    _scheme(
        "carta d'identità|carta d'identita|carta d’identità|carta di identità|carta identità|documento d'identità",
        r"[A-Z]{2} ?[0-9]{5} ?[A-Z]{2}|[A-Z]{2} ?[0-9]{7}", "", fewest=5,
    ),
    _scheme("r.g.|registro geral", r"[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9X]|[0-9]{8}-[0-9X]|[0-9]{9}", ""),
    _scheme("pis|pasep|pis/pasep|nis|nit", r"[0-9]{3}\.?[0-9]{5}\.?[0-9]{2}-?[0-9]", ""),
    _scheme("título de eleitor|titulo de eleitor|título eleitoral", r"[0-9]{4} ?[0-9]{4} ?[0-9]{4}", ""),
    _scheme("dowód|dowodu|dowod|dowodu osobistego|dowód osobisty", r"[A-Z]{3} ?[0-9]{6}", ""),
    _scheme("снилс|snils", r"[0-9]{3}-?[0-9]{3}-?[0-9]{3}[ -]?[0-9]{2}", ""),
    _scheme("الهوية|هوية|هويتي|السجل المدني|الإقامة|الاقامة|إقامة", r"[12][0-9]{9}", ""),
    _scheme("القومي|الرقم الوطني", r"[0-9]{10,14}", ""),
    _scheme("الهوية|هوية|emirates id", r"784-?[0-9]{4}-?[0-9]{7}-?[0-9]", ""),
    _scheme("身分證|身分證字號|統一編號", r"[A-Z][12][0-9]{8}", ""),
    _scheme("基礎年金番号|年金番号", r"[0-9]{4}-?[0-9]{6}", ""),
    _scheme(  # number plates of Spain
        "matrícula|matricula|placa|license plate|licence plate|number plate",
        r"(?-i:[0-9]{4}[ -]?[BCDFGHJKLMNPRSTVWXYZ]{3}|[A-Z]{1,2}-[0-9]{4}-[A-Z]{1,2})", "", fewest=4,
    ),
    _scheme(
        "passport|reisepass|passeport|pasaporte|passaporto|passaporte|paspoort|paszport|paszportu|pasaport|passnummer|паспорт|护照|護照"
        "|パスポート|旅券|여권|جواز سفر|جواز السفر|جوازي|पासपोर्ट|หนังสือเดินทาง|พาสปอร์ต",
        r"(?:[A-Z]{0,3}[0-9]{6,9}[A-Z]?|(?=(?:[A-Z]{0,4}[0-9]){5})[A-Z0-9]{8,9})", "", "PASSPORT",
    ),
    _scheme("паспорт", r"[0-9]{2} ?[0-9]{2} ?(?:(?:№|n)\s?)?[0-9]{6}", "", "PASSPORT"),
    _scheme(
        "driver's license|driver’s license|drivers license|driver license|driving licence|driving license|driver's licence|driver licence"
        "|dl#|dl:|dl no|dl number|license no|licence no|license number|licence number|state id|führerschein|führerscheinnummer|permis de conduire|permiso de conducir|permiso de conducción|licencia de conducir|carné de conducir"
        "|carnet de conducir|patente di guida|rijbewijs|prawo jazdy|prawa jazdy",
        r"(?=(?:[A-Z-]{0,4}[0-9]){5})[A-Z]{0,2}[0-9]{1,4}(?:-?[0-9A-Z]{2,6}){1,4}(?:-?[A-Z])?", "", "DRIVER_LICENSE", fewest=5,
    ),
    _scheme("patente", r"[A-Z]{2}[0-9]{7}[A-Z]|U1[0-9A-Z]{7}[A-Z]", "", "DRIVER_LICENSE", fewest=4),
    _scheme("cnh|carteira de motorista|carteira de habilitação", r"[0-9]{11}", "", "DRIVER_LICENSE"),
    _scheme("ehliyet|sürücü belgesi", r"[0-9]{6}", "", "DRIVER_LICENSE"),
    _scheme("водительское удостоверение|водительские права", r"[0-9]{2} ?[0-9A-ZА-Я]{2} ?[0-9]{6}", "", "DRIVER_LICENSE"),
    _scheme("免許証|驾驶证|駕駛證", r"[0-9]{12}|[0-9]{18}", "", "DRIVER_LICENSE"),
    _scheme("운전면허|면허번호", r"[0-9]{2}-?[0-9]{2}-?[0-9]{6}-?[0-9]{2}", "", "DRIVER_LICENSE"),
    _scheme("medicare", r"[2-6][0-9]{3}[ -]?[0-9]{5}[ -]?[0-9]", "", "MEDICAL_ID"),
    _scheme(
        "medical record|mrn|nº hc|n.h.c.|nºss|la ss|patient id|patient number|patient no|health insurance|medicare|nhc|historia clínica|historia clinica|nº historia"
        "|número de historia|numero de historia|n.º historia|nass|nuss|naf|cip|cipa|afiliación|afiliacion|seguridad social|seg. social|seg social"
        "|º s.s.|º s.s|tarjeta sanitaria|nºcol|nº col|colegiado|versichertennummer|versichertennr|krankenversichertennummer|krankenversicherung"
        "|krankenversicherungsnummer|kvnr|patientennummer|tessera sanitaria|carte vitale|cartão sus|cns|保険証|被保険者番号|의료보험|건강보험",
        r"(?:(?-i:[A-Z]{1,10})[ _-]?|[A-Z]{1,10}[_-]?)?[0-9]{2,12}(?:[ /.-]?[0-9]{2,12}){0,4}(?:-?[A-Z]{1,3})?", "", "MEDICAL_ID",
    ),
    _scheme(
        "account number|account no|acct|acc no|acc number|a/c|bank account|routing|kontonummer|kto|kto.|ktonr|numéro de compte|número de cuenta|cuenta bancaria"
        "|cuenta corriente|iban|账号|帳號|계좌|口座番号|رقم الحساب|खाता|บัญชี",
        r"(?:[A-Z]{4})?[0-9]{2,4}(?:[ -]?[0-9]{2,12}){1,5}[A-Z]?|[0-9]{3}-[0-9]-[0-9]{5}-[0-9]", "", "BANK_ACCOUNT",
    ),
    _scheme("konta|rachunku|rachunek|konto", r"[0-9]{2}(?: ?[0-9]{4}){6}", "", "BANK_ACCOUNT"),
    # Twelve digits are an account of a cloud.
    _scheme("account|cuenta|conto|konto|compte", r"(?![0-9]{12}(?![0-9]))(?:[A-Z]{4})?[0-9]{4}(?:[ -]?[0-9]{2,12}){2,5}[A-Z]?", "", "BANK_ACCOUNT"),
    _scheme("счёт|счет|р/с|счёта|счета", r"[0-9]{20}|[0-9]{5} ?[0-9]{3} ?[0-9] ?[0-9]{4} ?[0-9]{7}", "", "BANK_ACCOUNT"),
)  # fmt: skip
_SCHEMES: Final = _CHECKED + _ANNOUNCED
_WORDS: Final = {
    word: tuple(scheme for scheme in _SCHEMES if word in scheme.words)
    for word in dict.fromkeys(word for scheme in _SCHEMES for word in scheme.words)
}
_TOKEN = re.compile(r"[a-z0-9]+")


def _by_token(words: Iterable[str]) -> dict[str, list[str]]:
    """Return the words by what they begin with: a token in ASCII, or one letter, where none parts words."""
    found: dict[str, list[str]] = {}
    for word in words:
        token = _TOKEN.match(word)
        found.setdefault(token[0] if token else word[0], []).append(word)
    return found


_BY_TOKEN: Final = _by_token(_WORDS)
_RANK: Final = {word: rank for rank, word in enumerate(_WORDS)}
"""Of what overlaps the first gives the kind."""
# These mean something else in a sentence: sin embargo, a tin. In small letters they must stand directly before.
_AMBIGUOUS: Final = frozenset({
    "sin", "nas", "tin", "pan", "cc", "inn", "nik", "rut", "gst", "ird", "pps", "epic", "ktp", "documento", "titular",
})  # fmt: skip
_LONGEST: Final = max(map(len, _WORDS))
# Five of six characters in a row are digits in all of them, or begin with letters as a code does. From the
# first digit on: re skips to it faster than to a letter.
_LIKELY = re.compile(r"[0-9](?:(?:[ ./-]?[0-9A-Za-z]){5}|(?<=[A-Z]{3}.)[0-9])")
_LETTERS: Final = 6

# What may stand between a word and the number that it announces without a check digit.
_DIRECT = re.compile(
    r"[\u0400-\u0dff]{0,4}[\s:#.='\"()_-]{0,4}"
    r"(?:(?:id|card|and|y|number|no|nr|nº|n°|n\.º|n|№|num|núm|nro|número|numero|numéro|nummer|numer|ending in"
    r"|is|ist|es|est|è|é|was|hat die|porte le|de|der|la|del|el|le|to|s\.s\.|nazionale|elettronica|osobisty|osobistego"
    r"|español|española|italiano|français|deutscher|british|numarası|numaram|belgesi|и|номер|серия|رقم|الوطنية|هو"
    r"|नंबर|संख्या|คือ|เลขที่|หมายเลข|ธนาคาร|号码|号|號碼|字號|번호|番号|是|号は|は|은|는)"
    r"(?![A-Za-z])[\s:#.='\"()_-]{0,4}){0,4}\Z",
    re.IGNORECASE,
)
# Parts so long belong to a row of numbers.
_LONG_PART = re.compile(r"[0-9]{9,}")
_IN_ROW: Final = 2


def national_ids(text: str) -> Iterator[Finding]:
    """Yield the identity numbers that stand within 48 characters after their name; they may overlap."""
    starts = [match.start() for match in _LIKELY.finditer(text)]
    if not starts:
        return
    announced: dict[_Scheme, list[_Place]] = {}
    for word, end in _announcing(text, starts):
        direct = word in _AMBIGUOUS and not text[end - len(word) : end].isupper()
        for scheme in _WORDS[word]:
            announced.setdefault(scheme, []).append(_Place(end, direct or not scheme.check))
    for scheme, places in announced.items():
        for start, end in verified(_candidates(scheme, text, places), partial(_is_valid, scheme, text)):
            yield Finding(scheme.kind, start, end)


def _announcing(text: str, starts: list[int]) -> Iterator[tuple[str, int]]:
    """Yield the words, with their ends, that stand so near before what may be a number that they may be meant."""
    # All those parts of the text at once: to look for a hundred words in each costs more.
    windows: list[Span] = []
    for start in starts:
        first = max(0, start - _LETTERS - _REACH - _LONGEST)
        if windows and first <= windows[-1][1]:
            windows[-1] = windows[-1][0], start
        else:
            windows.append((first, start))
    parts = lower("\n".join(text[first:last] for first, last in windows))
    origins = list(accumulate((last - first + 1 for first, last in windows), initial=0))
    tokens = set(_TOKEN.findall(parts))
    if not parts.isascii():
        tokens |= set(parts)
    words = chain.from_iterable(_BY_TOKEN[token] for token in _BY_TOKEN.keys() & tokens)
    for word in sorted(words, key=_RANK.__getitem__):
        position = parts.find(word)
        while position >= 0:
            window = bisect_right(origins, position) - 1
            start = position - origins[window] + windows[window][0]
            if _is_whole(text, start, start + len(word)) and not text.endswith("::", 0, start):
                yield word, start + len(word)
            position = parts.find(word, position + len(word))


def _is_whole(text: str, start: int, end: int) -> bool:
    """Say whether a word of ASCII letters is no part of a longer one."""
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (_is_letter(before) and text[start].isascii()) and not (
        _is_letter(after) and text[end - 1].isascii()
    )


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _candidates(scheme: _Scheme, text: str, places: list[_Place]) -> Iterator[Span]:
    for end, direct in places:
        if text.startswith("(", end) and text[end - 1].isalpha():
            continue  # sin(046454286) is a call
        for match in scheme.number.finditer(text, end, end + _REACH):
            if not direct or _DIRECT.fullmatch(text, end, match.start()):
                yield match.span()


def _is_valid(scheme: _Scheme, text: str, span: Span) -> bool:
    number = text[slice(*span)]
    if scheme.check:
        return _checker(scheme.check)(number.replace(".", "") if scheme.check.startswith("es") else number)
    return sum(map(str.isdigit, number)) >= scheme.fewest and not _is_row(number)


def _is_row(number: str) -> bool:
    """Say whether long numbers stand side by side, and none is the one of a bank beside that of an account."""
    parts = _LONG_PART.findall(number)
    return len(parts) >= _IN_ROW and (len(parts) > _IN_ROW or not any(map(_checker("us.rtn"), parts)))


@cache
def _checker(name: str) -> Callable[[str], bool]:
    """Return the check of a module of python-stdnum, loaded when the first text asks for it."""
    is_valid: Callable[[str], bool] = import_module(f"stdnum.{name}").is_valid
    if name == "us.ssn":
        return lambda number: is_valid(number.replace(" ", "-").replace(".", "-"))
    if name == "luhn":
        return lambda number: is_valid("".join(filter(str.isdigit, number)))
    return is_valid
