"""Makes members of classes of values by chance: phones, accounts, addresses, tokens, keys, passwords."""

import base64
import ipaddress
import json
import random
import string
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote

import phonenumbers

_ALPHANUMERIC: Final = string.ascii_letters + string.digits
_REGIONS: Final = {
    "US": "Phone: ", "GB": "Phone: ", "DE": "Telefon: ", "AT": "Handynummer: ", "FR": "Téléphone: ",
    "FI": "Puhelin: ",
    "NL": "Telefoon: ", "GR": "Τηλέφωνο: ", "TR": "Telefon: ", "RU": "Телефон: ", "IN": "मोबाइल: ",
    "CN": "电话: ",
    "JP": "電話: ", "KR": "전화: ", "TH": "โทร: ", "VN": "Điện thoại: ", "ID": "Telepon: ",
    "BR": "Celular: ",
}  # fmt: skip
CARRIERS: Final = (
    "Hi, this is it: {} and that is all.", "Hallo, hier steht es: {} – mehr weiß ich nicht.",
    "这是我记下的：{}，谢谢。",
    "请看{}谢谢", "これは{}です", "안녕하세요, {}입니다.", "สวัสดีครับ{}ครับ", "مرحبا، هذا ما لدي: {}، شكرا.",
    '{{"note": "{}", "n": 3}}', "| 1 | {} |", "- {}\n- other", "> Hi,\n> {}\n>\n> Bye", "<b>{}</b>",
    "id,who,what\n1,bob,{}\n2,ann,x", "items:\n  - {}\n  - b", "a,{},b", "It is {}.",
)  # fmt: skip
DISGUISES: Final[dict[str, Callable[[str], str]]] = {
    "percent": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "signs in percent": lambda value: quote(value, safe=""),
    "entities": lambda value: "".join(f"&#{ord(sign)};" for sign in value),
    "escapes": lambda value: "".join(f"\\u{ord(sign):04x}" for sign in value),
    "escapes in JSON": lambda value: "".join(f"\\\\u{ord(sign):04x}" for sign in value),
    "zero width": lambda value: f"{value[:3]}\u200b{value[3:-2]}\u00ad{value[-2:]}",
    "full width": lambda value: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in value),
}


def _signs(chance: random.Random, alphabet: str, count: int) -> str:
    return "".join(chance.choices(alphabet, k=count))


def phone(chance: random.Random) -> str:
    """Return a valid number, in the form of its country behind its word, or in the international one."""
    region = chance.choice(sorted(_REGIONS))
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    assert number is not None
    if chance.random() < 0.5:
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    form = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    return f"{_REGIONS[region]}{form}"


def iban(chance: random.Random) -> str:
    """Return one with its check digits, in groups or not, of countries with letters in their accounts."""
    country, letters, rest = chance.choice((("GB", 4, 14), ("LV", 4, 13), ("NL", 4, 10), ("RO", 4, 16)))
    account = _signs(chance, string.ascii_uppercase, letters)
    alphabet = string.digits if country in {"GB", "NL"} else string.ascii_uppercase + string.digits
    account += _signs(chance, alphabet, rest)
    digits = "".join(str(int(sign, 36)) for sign in f"{account}{country}00")
    value = f"{country}{98 - int(digits) % 97:02d}{account}"
    separator = chance.choice(("", " ", "-"))
    return separator.join(value[at : at + 4] for at in range(0, len(value), 4))


def mail(chance: random.Random) -> str:
    """Return an address, plain, in another script, in quotes or with an underscore."""
    local = chance.choice(("ann", "li.wei", "jo_smith", "kim+news", "ольга", "анна", '"li.wei"'))
    if local.isascii():
        return f"{local}@{chance.choice(('example', 'web'))}.{chance.choice(('com', 'co.uk', 'de'))}"
    return f"{local}{chance.randrange(10, 99)}@{chance.choice(('почта', 'пример'))}.рф"


def machine(chance: random.Random) -> str:
    """Return the address of a machine: IP of both versions, hardware."""
    if chance.random() < 0.3:
        return ":".join(f"{part:02x}" for part in (0xA2, *(chance.randrange(0xA0, 0xFF) for _ in range(5))))
    if chance.random() < 0.5:
        return str(ipaddress.ip_address(0x2A02 << 112 | chance.getrandbits(96)))
    return ".".join(str(chance.randrange(low, 220)) for low in (130, 100, 0, 1))


def token(chance: random.Random) -> str:
    """Return a token of a provider, a JWT or an encrypted one."""
    noise = _ALPHANUMERIC + "-_"
    head = base64.urlsafe_b64encode(json.dumps({"alg": "dir", "enc": "A256GCM"}).encode()).decode().strip("=")
    return chance.choice(
        (
            f"glpat-{_signs(chance, noise, 20)}",
            f"AKIA{_signs(chance, string.ascii_uppercase, 16)}",
            f"nvapi-{_signs(chance, noise, 64)}",
            f"dckr_pat_{_signs(chance, noise, 26)}a",
            ".".join((head, *(f"{_signs(chance, noise, length)}a" for length in (80, 40)))),
            ".".join((head, *(f"{_signs(chance, noise, length)}a" for length in (170, 15, 120, 21)))),
        )
    )


def password(chance: random.Random) -> str:
    """Return one as people choose it, with a sign inside, or of any characters."""
    word, other = chance.sample(("summer", "dragon", "Winter", "Falcon", "orange", "Hunter"), 2)
    number, sign = chance.randrange(10, 9999), chance.choice("!@#$*[](){}<>-_")
    if chance.random() < 0.3:
        return f"{_signs(chance, _ALPHANUMERIC + '!@#$%^*', 13)}7x"
    return chance.choice((f"{word}{number}{sign}{other}7", f"{word}{sign}{number}x"))


def key(chance: random.Random) -> str:
    """Return one of an API, with signs in it or without."""
    signs = chance.choice(("", "!@#$%^*", "-_", "+/"))
    return f"{_signs(chance, _ALPHANUMERIC + signs, chance.choice((20, 32, 40)))}7xQ"


def texts(
    make: Callable[[random.Random], str], count: int, forms: tuple[str, ...], seed: int = 1
) -> Iterator[tuple[str, str]]:
    """Yield values, each with a text that holds it; forms take turns."""
    chance = random.Random(seed)
    for number in range(count):
        value = make(chance)
        form = forms[number % len(forms)]
        shown = json.dumps(value, ensure_ascii=False)[1:-1] if form.startswith("{{") else value
        yield shown, form.format(shown)
