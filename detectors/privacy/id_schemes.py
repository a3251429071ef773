"""Numbers of persons, papers and accounts: how each is written, and the words that announce it."""

import re
from typing import Final, NamedTuple


class Scheme(NamedTuple):
    """A number, what announces it and what confirms it."""

    kind: str
    words: tuple[str, ...]
    """What announces the number, in lower case."""
    number: re.Pattern[str]
    check: str
    """Module of python-stdnum that knows the check digits; empty where there are none."""
    fewest: int = 6
    """Digits, at least, where there are no check digits."""


def _scheme(words: str, number: str, check: str, kind: str = "NATIONAL_ID", fewest: int = 6) -> Scheme:
    """`words` are separated by a vertical bar; what has dots in it is written without them, too."""
    parts = words.split("|")
    parts += [part.replace(".", "") for part in parts if "." in part] + [
        p[:-1] for p in parts if p.endswith(".")
    ]
    # Against ASCII only: scripts without blanks write words and numbers together.
    whole = re.compile(rf"(?<![A-Za-z0-9_])(?:{number})(?![A-Za-z0-9_])", re.IGNORECASE)
    return Scheme(kind, tuple(dict.fromkeys(parts + _in_code(parts))), whole, check, fewest)


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
    _scheme("r.g.|registro geral", r"[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9X]", ""),
    # As rg is a command, too.
    _scheme("registro geral|meu rg|seu rg|rg:|rg nº|rg n°|rg n.º|rg número|rg é", r"[0-9]{8}-?[0-9X]", ""),
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
        "|dl#|dl no|dl number|führerschein|führerscheinnummer|permis de conduire|permiso de conducir|permiso de conducción|licencia de conducir|carné de conducir"
        "|carnet de conducir|patente di guida|rijbewijs|prawo jazdy|prawa jazdy",
        r"(?=(?:[A-Z-]{0,4}[0-9]){5})[A-Z]{0,2}[0-9]{1,4}(?:-?[0-9A-Z]{2,6}){1,4}(?:-?[A-Z])?", "", "DRIVER_LICENSE", fewest=5,
    ),
    # Of a program and a state, too.
    _scheme(
        "license no|licence no|license number|licence number|state id|dl:", r"[A-Z]{1,2}[0-9]{2,9}(?:-?[0-9]{2,6}){0,4}", "", "DRIVER_LICENSE", fewest=5,
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
    _scheme(  # of banks in Britain
        "sort code|sort-code|sort code and account number|sort code/account number|sort code & account number|sort code no",
        r"[0-9]{2}([ -]?)[0-9]{2}\1[0-9]{2}(?:[ /,]{1,3}[0-9]{8})?", "", "BANK_ACCOUNT",
    ),
    _scheme("konta|rachunku|rachunek|konto", r"[0-9]{2}(?: ?[0-9]{4}){6}", "", "BANK_ACCOUNT"),
    # Twelve digits are an account of a cloud.
    _scheme("account|cuenta|conto|konto|compte", r"(?![0-9]{12}(?![0-9]))(?:[A-Z]{4})?[0-9]{4}(?:[ -]?[0-9]{2,12}){2,5}[A-Z]?", "", "BANK_ACCOUNT"),
    _scheme("счёт|счет|р/с|счёта|счета", r"[0-9]{20}|[0-9]{5} ?[0-9]{3} ?[0-9] ?[0-9]{4} ?[0-9]{7}", "", "BANK_ACCOUNT"),
)  # fmt: skip
SCHEMES: Final = _CHECKED + _ANNOUNCED
"""Of those that a word announces, the first gives the kind."""
