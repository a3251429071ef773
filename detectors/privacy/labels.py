"""What people call a password, a key or a token, in the languages of the traffic.

Each name is given as it begins: longer forms (passwords, tokenized, лозинката) are the rest of the word.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from detectors.privacy.gates import Gates

_ENGLISH: Final = (
    "password", "passwd", "passphrase", "passcode", "pass_word", "pass-word", "pass word", "pass", "pwd",
    "pswd", "pw", "pin", "community string",
)  # fmt: skip
# By something that all of them have: in scripts beside Latin those of ASCII come first.
_PASSWORDS: Final = {
    "pass": (
        *(name for name in _ENGLISH if name.startswith("pass")), "passwort", "passwört", "passord",
        "mot de passe", "palavra-passe",
    ),
    "pw": ("pw", "pwd"),
    "pswd": ("pswd",),
    "pin": ("pin",),
    "community s": ("community string",),
    "kennwort": ("kennwort",),
    "zugangsc": ("zugangscode",),
    "mdp": ("mdp",),
    "contras": ("contrase", "contrasinal"),
    "clave": ("clave",),
    "senha": ("senha",),
    "paro": ("parol", "parool"),
    "woord": ("wachtwoord", "wagwoord"),
    "enord": ("losenord",),
    "gskode": ("adgangskode",),
    "salas": ("salasana",),
    "slo": ("haslo", "heslo", "geslo"),
    "z": ("lozink", "zaporka", "pasahitz", "slaptazod", "jelszav"),
    "sifre": ("sifre",),
    "mat khau": ("mat khau",),
    "kata ": ("kata laluan", "kata sandi"),
    "sandi": ("sandi",),
    "siri": ("nenosiri", "neno la siri"),
    "lykilo": ("lykilord",),
    "cyfrin": ("cyfrinair",),
    "pasfho": ("pasfhocal",),
    "fjalek": ("fjalekalim",),
    "ö": ("lösenord",),
    "ł": ("hasło",),
    "ó": ("jelszó",),
    "ă": ("parolă",),
    "ş": ("şifre", "şifrə"),
    "ž": ("slaptažod",),
    "õ": ("salasõna",),
    "ð": ("lykilorð", "aðgangsorð"),
    "ë": ("fjalëkalim",),
    "ậ": ("mật khẩu",),
    "о": ("парол", "лозинк", "код доступа"),
    "пин": ("пин",),
    "п": ("құпиясөз", "құпия сөз", "купуя сөз"),
    "ү": ("нууц үг",),
    "ι": ("κωδικό", "κωδικο", "συνθηματικ"),
    "ა": ("პაროლ",),
    "ա": ("գաղտնաբառ",),
    "码": ("密码",),
    "碼": ("密碼",),
    "口": ("口令",),
    "ス": ("パスワード", "パスコード"),
    "証": ("暗証番号",),
    "호": ("비밀번호", "암호"),
    "र": ("पासवर्ड", "पारण शब्द", "पास वर्ड"),
    "ट": ("कूटशब्द", "कूट शब्द"),
    "ग": ("गुप्त शब्द", "गुप्त कोड", "गोप्य शब्द"),
    "स": ("संकेतशब्द", "संकेत शब्द"),
    "স": ("পাসওয়ার্ড", "পাসওয়ার্ড"),
    "গ": ("গোপন নম্বর", "গুপ্তসংকেত", "গোপন শব্দ"),
    "ட": ("கடவுச்சொல்", "கடவுச் சொல்"),
    "స": ("సంకేతపదం", "పాస్‌వర్డ్", "పాస్వర్డ్"),
    "ર": ("પાસવર્ડ",),
    "ਰ": ("ਪਾਸਵਰਡ",),
    "ಸ": ("ಪಾಸ್‌ವರ್ಡ್", "ಪಾಸ್ವರ್ಡ್"),
    "ಗ": ("ಗುಪ್ತಪದ",),
    "സ": ("പാസ്‌വേഡ്", "പാസ്വേഡ്", "പാസ്‌വേർഡ്", "രഹസ്യവാക്ക്"),
    "ප": ("මුරපද",),
    "ร": ("รหัสผ่าน", "รหัสลับ"),
    "ຜ": ("ລະຫັດຜ່ານ",),
    "စ": ("စကားဝှက်",),
    "ស": ("ពាក្យសម្ងាត់", "លេខសម្ងាត់"),
    "የ": ("የይለፍ ቃል",),
    "ر": (
        "كلمة المرور", "كلمة السر", "الرقم السري", "كلمه السر", "رمز عبور", "رمز ورود", "کلمه عبور",
        "کلمه رمز", "گذرواژه", "گذر واژه", "پسورد", "پاس ورڈ", "پاسورڈ", "پاسورد",
    ),
    "خ": ("خفیہ کوڈ",),
    "ס": ("סיסמה", "סיסמא", "סיסמת", "ססמה", "ססמא"),
}  # fmt: skip
CARD_CODE_NAMES: Final = (
    r"cvv2?(?:/cvc2?)?|cvc2?(?:/cvv2?)?|(?:card )?security codes?(?: \(cv[vc]2?\))?"
    r"|card[ _-](?:security|verification)[ _-](?:code|value|number)|card code|card_?cv[vc]|csc"
    r"|kartenprüf(?:nummer|ziffer)|prüfziffer|sicherheitscode|c[oó]digo de segur(?:idad|ança|anca)"
    r"|cryptogramme(?: visuel)?|code de sécurité|codice di sicurezza|beveiligingscode|kod zabezpieczający"
    r"|güvenlik kodu|код безопасности|安全码|安全碼|セキュリティコード|보안\s?코드"
)
"""What announces the code of a payment card, as a regular expression."""
CARD_CODE_SIGNS: Final = (
    "cvv", "cvc", "csc", "card code", "security code", "security_code", "security-code", "verification",
    "kartenprüf", "prüfziffer", "sicherheitscode", "segur", "cryptogramme", "code de sécurité",
    "codice di sicurezza", "beveiligingscode", "zabezpiecz", "güvenlik kodu", "код безопасности", "安全",
    "セキュリティ", "보안",
)  # fmt: skip
"""In small letters: a text that has such a code has one of these before it."""
# A key of a map, of a keyboard or of a door is no secret.
_KEY_KINDS: Final = tuple(
    what + by
    for what in (
        "api", "access", "private", "account", "auth", "client", "signing", "encryption", "secret",
        "subscription", "license", "master", "storage", "app", "application", "service", "webhook", "shared",
    )
    for by in ("", "_", "-", " ")
)  # fmt: skip
_SECRETS: Final = {
    "secret": ("secret",),
    "token": ("token",),
    "credent": ("credential",),
    "key": ("key",),
    "chiave": ("chiave",),
    "chave": ("chave",),
    "z": ("klucz",),
    "anahtar": ("anahtar",),
    "llave": ("llave",),
    "sleutel": ("sleutel",),
    "ø": ("nøgle", "nøkkel"),
    "ó": ("khóa api", "khóa bí mật"),
    "ค": ("คีย์",),
    "cheie": ("cheie",),
    "segre": ("segredo", "segreto"),
    "ü": ("schlüssel",),
    "é": ("clé",),
    "í": ("klíč",),
    "к": ("ключ", "токен", "секретн"),
    "ι": ("κλειδί", "κλειδι"),
    "密": ("密钥", "密鑰", "秘密鍵"),
    "令": ("令牌",),
    "ー": ("トークン", "apiキー", "アクセスキー", "シークレットキー", "シークレット"),
    "키": ("비밀키", "비밀 키", "api 키", "api키", "액세스 키"),
    "토": ("토큰",),
    "ت": ("مفتاح",),
    "ک": ("کلید", "توکن"),
    "מ": ("מפתח",),
    "ट": ("टोकन",),
}  # fmt: skip

PASSWORDS: Final = frozenset[str]().union(*_PASSWORDS.values())
ENGLISH: Final = frozenset((*_ENGLISH, "secret", "token", "credential", "key"))
PINS: Final = frozenset({"pin", "пин"})
# Also a part of many other words: opinion, napwit; thousandi.
_WHOLE: Final = frozenset({"pw", *PINS})
_BEGINS: Final = frozenset({"mdp", "parol", "sandi"})


class Label(NamedTuple):
    """A name of a secret, and where it stands in the text."""

    name: str
    start: int
    end: int


def _groups(ascii_only: bool) -> Iterator[tuple[str, ...]]:
    """Yield the names that have something in common; of those that begin alike the longest first."""
    for hint in dict.fromkeys((*_PASSWORDS, *_SECRETS)):
        if hint.isascii() is ascii_only:
            names = dict.fromkeys(_PASSWORDS.get(hint, ()) + _SECRETS.get(hint, ()))
            yield tuple(sorted(names, key=lambda name: -len(name)))


_GROUPS: Final = (*_groups(ascii_only=True), *_groups(ascii_only=False))
_GROUP_OF: Final = {name: number for number, names in enumerate(_GROUPS) for name in names}
_GATES: Final = Gates.of_strings(_GROUP_OF)


def labels(lowered: str) -> Iterator[Label]:
    """Yield the names of secrets in a text in lower case; of those that begin alike the longest."""
    names = _GATES.open(lowered)
    for group in sorted({_GROUP_OF[name] for name in names}):
        yield from _places(lowered, [name for name in _GROUPS[group] if name in names])


def _places(lowered: str, names: Iterable[str]) -> Iterator[Label]:
    seen: set[int] = set()
    for name in names:
        position = lowered.find(name)
        while position >= 0:
            end = position + len(name)
            if position not in seen and _is_named(lowered, name, position, end):
                seen.add(position)
                yield Label(name, position, end)
            position = lowered.find(name, end)


def _is_named(lowered: str, name: str, start: int, end: int) -> bool:
    if name == "key":
        return lowered.endswith(_KEY_KINDS, 0, start)
    before = lowered[start - 1 : start].isalpha()
    return not (before and name in _BEGINS) and not (
        name in _WHOLE and (before or lowered[end : end + 1].isalnum())
    )
