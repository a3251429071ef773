import json
import random

import numpy as np
import pytest

from detectors.batch import Batch
from detectors.limits import CHECK_LIMIT, EVIDENCE_LIMIT, SCAN_LIMIT
from detectors.pii import PiiDetector
from detectors.privacy.personal_data import PII_KINDS, STRONG
from tests.detectors.privacy.finding import find_personal_data as find
from tests.models import MODELS


def values(text: str) -> list[tuple[str, str]]:
    return [(finding.kind, text[finding.start : finding.end]) for finding in find(text)]


FOUND = [
    ("EMAIL", "jane.doe+list@mail.example.co.uk"),
    ("EMAIL", "o'brien@example.org"),
    ("EMAIL", "müller@bücher.example"),
    ("EMAIL", "a@xn--bcher-kva.xn--p1ai"),
    ("EMAIL", "jane [at] example [dot] com"),
    ("EMAIL", "jane(at)example(dot)com"),
    ("EMAIL", "иван (at) example (dot) com"),
    ("EMAIL", "jane.doe {at} mail {dot} example {dot} org"),
    ("EMAIL", "jane[at]example.com"),
    ("EMAIL", "Jane[At]Example.Com"),
    ("EMAIL", "Jane.Doe {At} Mail {Dot} Example {Dot} Org"),
    ("EMAIL", "JANE (ARROBA) EXAMPLE (PUNTO) COM"),
    ("EMAIL", "Jane <Chiocciola> Example.Com"),
    ("EMAIL", "jane [Ät] example.com"),
    ("EMAIL", "jane\u2028[at\u2028] example.com"),
    ("EMAIL", "jane AT example DOT com"),
    ("EMAIL", "jane\tAT\texample\tDOT\tcom"),
    ("EMAIL", "jane (ät) example (punkt) de"),
    ("CREDIT_CARD", "4111 1111 1111 1111"),
    ("CREDIT_CARD", "4111-1111-1111-1111"),
    ("CREDIT_CARD", "4111.1111.1111.1111"),
    ("CREDIT_CARD", "4111111111111111"),
    ("CREDIT_CARD", "3782 822463 10005"),
    ("CREDIT_CARD", "5555555555554444"),
    ("CREDIT_CARD", "2223003122003222"),
    ("CREDIT_CARD", "6011111111111117"),
    ("CREDIT_CARD", "30569309025904"),
    ("CREDIT_CARD", "3530111333300000"),
    ("CREDIT_CARD", "٤١١١١١١١١١١١١١١١"),
    ("CREDIT_CARD", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
    ("CREDIT_CARD", "4111 1111\n1111 1111"),
    ("CREDIT_CARD", "4111 1111 1111\r\n1111"),
    ("CREDIT_CARD", "4111-1111-\n1111-1111"),
    ("CREDIT_CARD", "41111111\n11111111"),
    ("CREDIT_CARD", "4111*1111*1111*1111"),
    ("CREDIT_CARD", "4111 - 1111 - 1111 - 1111"),
    ("CREDIT_CARD", "4111_1111_1111_1111"),
    ("IBAN", "DE89 3704 0044 0532 0130 00"),
    ("IBAN", "gb82west12345698765432"),
    ("IBAN", "NO93 8601 1117 947"),
    ("US_SSN", "536-90-4399"),
    ("PHONE", "+44 20 7946 0958"),
    ("PHONE", "+1 (212) 555-0100"),
    ("PHONE", "212-555-1234"),
    ("PHONE", "(212) 555-1234"),
    ("PHONE", "020 7946 0958"),
    ("PHONE", "0044 20 7946 0958"),
    ("IP_ADDRESS", "8.8.8.8"),
    ("IP_ADDRESS", "81.2.69.142"),
    ("IP_ADDRESS", "2a00:1450:4001::8a2e:370:7334"),
    ("IP_ADDRESS", "2606:4700::1"),
    ("MAC_ADDRESS", "00:1B:44:11:3A:B7"),
    ("MAC_ADDRESS", "00-1b-44-11-3a-b7"),
    ("CRYPTO_ADDRESS", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"),
    ("CRYPTO_ADDRESS", "bc1qardv855yjngspvxuttq897aqca3lxju2y69jce"),
    ("CRYPTO_ADDRESS", "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"),
    ("CRYPTO_ADDRESS", "0x52908400098527886E0F7030069857D2E4169EE7"),
]

NOT_FOUND = [
    # Other numbers that look like cards, phones and addresses.
    '<h1 style="transform: translate(0%, -0.5309136012499991%)">',
    "3,5309136012499991 and 5309136012499991,25 and 5309136012499991.5",
    "5309136012499991e-05, 4111111111111111px, 0x4111111111111111, a4111111111111111f",
    '{"tweetId": 4111111111111111, "order_id": "5555555555554444"}',
    "call 25596469-a12b-43b2-bfd4-502c7b7fb3a5 was dropped",
    "In call(1000000, 2000000) the limits are wrong; phone[4](2125551)",
    "mobile: 1920 1080 3840 px wide, mobile: 390 844 px",
    "call about order 45678901, mobile 12345678, the phone made 3000000 in sales",
    "see section 4.3.2.1 of the manual, Figure 2.1.1.3 shows it, § 1.2.3.4, requirement 8.2.4.1",
    "Chrome/120.0.6099.71 Safari/4.3.2.1, foo==16.3.4.29, bar>=27.9.10.27, image:8.3.1.17@sha256:ab",
    "from version 14.4.0.1 to 7.1.28.28, versions before 27.19.16.24, **Version Number:** 1.3.12.0",
    "4.3.2.1 Scope of this document",
    '{"filename": "Badge@3x.png"} icon@2x.ai',
    "y = a@b.transpose(0, 1) + q@k.T; z = w@x.to(device); m = (a@self.net.foo(x))",
    "@decorator.py and lodash@4.17.21 and user@host",
    "What is the capital of France?",
    "The year 2019 had 365 days, 12 months and 8,760 hours.",
    "On 2021-03-14 10:33:07 the value was 3.14159265358979.",
    "Call back on 2024-05-06, not before.",
    "@mention and user@localhost and a @ b",
    "git@github.com:owner/name.git",
    "postgres://admin:hunter2@db.example.com/prod",
    "cv 2023, cvs 1234 and cvv of a card",
    "pip install package@1.2.3",
    "4111 1111 1111 1112",  # the check digit is wrong
    "order 1234567890123456",  # no issuer
    "14-23 16-18-9-13-5 18-5-1-12-9-20-25",
    "DE88 3704 0044 0532 0130 00",
    "GB00 ABCD 1234 5698 7654 32",
    "000-12-3456 666-12-3456 987-65-4321 078-05-1120",
    "version 1.2.3.4 and v10.0.0.1, release: 8.8.8.8",
    "999.1.1.1 and 1.2.3.4.5 and WinPython-3.4.2.4",
    "127.0.0.1 ::1 0.0.0.0",
    "10.0.0.7 192.168.1.77 192.0.2.9 255.255.255.0 fe80::1 2001:db8::8a2e:370:7334",  # nobody
    "std::vector<int> a::b Foo::Bar 12:34:56",
    "1 2 3 4 5 6 7 8 9 10",
    "The Fellowship of the Ring (2001) 8.8 4.",
    "The answer is 12345678.",
    "item 12345678, order 4567890",
    "1BoatSLRHtKNngkdXEeobR76b53LETtpyX",
    "commit 52908400098527886e0f7030069857d2e4169ee7",
]


@pytest.mark.parametrize(("kind", "value"), FOUND)
@pytest.mark.parametrize("frame", ["{}", "see {} please", "({}).", "é\n{}\n", "a, {}, b"])
def test_finds_the_whole_value(kind: str, value: str, frame: str) -> None:
    assert values(frame.format(value)) == [(kind, value)]


@pytest.mark.parametrize("text", NOT_FOUND)
def test_leaves_ordinary_text_alone(text: str) -> None:
    assert values(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("card 4111 1111 1111 1111 123", [("CREDIT_CARD", "4111 1111 1111 1111")]),
        ("1 4111111111111111", [("CREDIT_CARD", "4111111111111111")]),
        ("a@b.co,c@d.org", [("EMAIL", "a@b.co"), ("EMAIL", "c@d.org")]),
        ("'jane@example.com'", [("EMAIL", "jane@example.com")]),
        ("(+44) 20 7946 0958", [("PHONE", "(+44) 20 7946 0958")]),
        ("(020) 7946 0958", [("PHONE", "(020) 7946 0958")]),
        ("mail:jane@example.com.", [("EMAIL", "jane@example.com")]),
        ("x" * 70 + "@example.com", [("EMAIL", "x" * 64 + "@example.com")]),
        ("phone: 0490 75 40 81", [("PHONE", "0490 75 40 81")]),
        ("Fax 259.735.7502x459", [("PHONE", "259.735.7502x459")]),
        ("cvv: 123, thanks", [("CARD_CODE", "123")]),
        ("the CVC is 9876.", [("CARD_CODE", "9876")]),
        ("office630-555-0142", [("PHONE", "630-555-0142")]),
        ("联系电话13912345678谢谢", [("PHONE", "13912345678")]),
        ("전화010-1234-5678로 주세요", [("PHONE", "010-1234-5678")]),
        (
            "钱包地址是0x52908400098527886E0F7030069857D2E4169EE7谢谢",
            [("CRYPTO_ADDRESS", "0x52908400098527886E0F7030069857D2E4169EE7")],
        ),
        ("请发邮件到lin@example.cn，谢谢", [("EMAIL", "lin@example.cn")]),
        ("メールはkei@example.jpです", [("EMAIL", "kei@example.jp")]),
        ("메일은kim@example.kr로", [("EMAIL", "kim@example.kr")]),
        ("ส่งที่som@example.thครับ", [("EMAIL", "som@example.th")]),
        ("пишите иван@пример.рф, спасибо", [("EMAIL", "иван@пример.рф")]),
        ("他的ssn是219-09-9998。", [("US_SSN", "219-09-9998")]),
        ("jane@example.com.Then", [("EMAIL", "jane@example.com")]),
        ("ann＠example．com", [("EMAIL", "ann＠example．com")]),
        ("请联系lin@example。cn", [("EMAIL", "lin@example。cn")]),
        ("1,4111111111111111,7", [("CREDIT_CARD", "4111111111111111")]),
        ("card4111111111111111", [("CREDIT_CARD", "4111111111111111")]),
        ("?tel=+442079460958&x", [("PHONE", "+442079460958")]),
        ("DE89370400440532013000 was debited", [("IBAN", "DE89370400440532013000")]),
    ],
)
def test_knows_where_a_value_ends(text: str, expected: list[tuple[str, str]]) -> None:
    assert values(text) == expected


ANNOUNCED = [
    ("my SSN is", "536904399", "US_SSN"),
    ("SSN", "536.90.4399", "US_SSN"),
    ("Social Security number:", "536 90 4399", "US_SSN"),
    ("CPF", "529.982.247-25", "NATIONAL_ID"),
    ("her NHS number is", "943 476 5919", "NATIONAL_ID"),
    ("NINO", "AB 12 34 56 C", "NATIONAL_ID"),
    ("DNI", "54362315K", "NATIONAL_ID"),
    ("NIE", "X-2482300W", "NATIONAL_ID"),
    ("codice fiscale", "RCCMNL83S18D969H", "NATIONAL_ID"),
    ("BSN:", "111222333", "NATIONAL_ID"),
    ("PESEL", "44051401359", "NATIONAL_ID"),
    ("Steuer-ID", "36 574 261 809", "NATIONAL_ID"),
    ("numéro de sécurité sociale", "2 95 10 99 126 111 93", "NATIONAL_ID"),
    ("SIN", "123-456-782", "NATIONAL_ID"),
    ("Aadhaar", "2341 2341 2346", "NATIONAL_ID"),
    ("身份证号", "11010519491231002X", "NATIONAL_ID"),
    ("PAN", "ABCPE1234F", "NATIONAL_ID"),
    ("GSTIN", "27ABCPE1234F1ZB", "NATIONAL_ID"),
    ("D.N.I.:", "54.362.315-K", "NATIONAL_ID"),
    ("주민등록번호", "971013-9019902", "NATIONAL_ID"),
    ("マイナンバーは", "6214 9832 0257", "NATIONAL_ID"),
    ("CURP", "BOXW310820HNERXN09", "NATIONAL_ID"),
    ("henkilötunnus", "131052-308T", "NATIONAL_ID"),
    ("personnummer", "880320-0016", "NATIONAL_ID"),
    ("AHV-Nr.", "756.9217.0769.85", "NATIONAL_ID"),
    ("rodné číslo", "710319/2745", "NATIONAL_ID"),
    ("TC Kimlik No", "17291716060", "NATIONAL_ID"),
    ("RUT", "12.531.909-2", "NATIONAL_ID"),
    ("CUIT", "20-05536168-2", "NATIONAL_ID"),
    ("NIF", "501 964 843", "NATIONAL_ID"),
    ("CNP:", "1630615123457", "NATIONAL_ID"),
    ("ИНН", "500100732259", "NATIONAL_ID"),
    ("passport number", "XG9382049", "PASSPORT"),
    ("Reisepass Nr.", "C01234567", "PASSPORT"),
    ("Reisepass", "C01X00T47", "PASSPORT"),
    ("passeport", "12AB34567", "PASSPORT"),
    ("여권", "M123A4567", "PASSPORT"),
    ("driver's license number is", "D245-938-190", "DRIVER_LICENSE"),
    ("NHC:", "2748903", "MEDICAL_ID"),
    ("NASS:", "26 37482910 04", "MEDICAL_ID"),
    ("medical record number", "AB-987654", "MEDICAL_ID"),
    ("account number", "12345678", "BANK_ACCOUNT"),
    ("account number", "123456789 021000021", "BANK_ACCOUNT"),
    ("Número de cuenta:", "2100 0418 45 0200051332", "BANK_ACCOUNT"),
]
UNCHECKED = ("NINO", "PASSPORT", "DRIVER_LICENSE", "MEDICAL_ID", "BANK_ACCOUNT")


@pytest.mark.parametrize(("announced", "number", "kind"), ANNOUNCED)
def test_identity_numbers_need_their_name_and_their_check_digit(
    announced: str, number: str, kind: str
) -> None:
    assert (kind, number) in values(f"{announced} {number}.")
    assert not {"NATIONAL_ID", kind} & set(dict(values(f"reference {number}.")))
    assert kind not in dict(values(f"{announced}{' far away' * 10} {number}."))
    if not {announced, kind} & set(UNCHECKED):
        wrong = number[:-1] + ("1" if number[-1] != "1" else "2")
        assert "NATIONAL_ID" not in dict(values(f"{announced} {wrong}."))


def test_scores_count_findings_and_strong_ones() -> None:
    texts = ["nothing", "a@b.co and 8.8.8.8", "a@b.co, 4111111111111111, 536-90-4399", ""]
    scores = PiiDetector().score(Batch.of_texts(texts, MODELS))
    assert scores.tolist() == [[0, 0], [2, 0], [3, 2], [0, 0]]
    assert scores.dtype == np.float32


def test_evidence_names_kind_and_place_and_never_the_value() -> None:
    text = "a@b.co, 4111111111111111"
    evidence = PiiDetector().explain(Batch.of_texts([text], MODELS), 0)
    assert [(e.metric, e.label, text[e.start : e.end]) for e in evidence] == [
        ("pii", "CREDIT_CARD", "4111111111111111"),
        ("pii_strong", "CREDIT_CARD", "4111111111111111"),
        ("pii", "EMAIL", "a@b.co"),
    ]
    assert all(e.text == "" for e in evidence)
    many = PiiDetector().explain(Batch.of_texts(["a@b.co " * 200], MODELS), 0)
    assert len(many) == EVIDENCE_LIMIT


def test_strong_kinds_exist() -> None:
    assert set(PII_KINDS) >= STRONG
    assert {kind for kind, _ in FOUND + [(kind, "") for *_, kind in ANNOUNCED]} >= set(PII_KINDS) - {
        "CARD_CODE"
    }


def test_what_is_beyond_the_limit_is_not_searched() -> None:
    assert len(find("x" * (SCAN_LIMIT - 10) + " a@b.co")) == 1
    assert find("x" * SCAN_LIMIT + " a@b.co") == []


def test_too_many_candidates_to_check_are_all_taken() -> None:
    wrong = "4111111111111112 "
    assert find(wrong * CHECK_LIMIT) == []
    assert {f.kind for f in find(wrong * (CHECK_LIMIT + 5))} == {"CREDIT_CARD"}


def test_numbers_of_embeddings_are_no_cards() -> None:
    generator = random.Random(5)
    for _ in range(100):
        text = json.dumps([generator.uniform(-1, 1) for _ in range(384)])
        assert find(text) == []
