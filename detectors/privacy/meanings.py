"""What else the name of a secret means: a boarding pass, the key to success, a message about passwords."""

import re
from typing import Final

from detectors.privacy.labels import PASSWORDS, PINS, Label, labels
from detectors.privacy.secret_values import has_letters_and_digits, is_name

_REACH: Final = 24
# A guest's or a visitor's may be that of a network.
_OF_PAPER = re.compile(
    r"(?<![a-z])(?:boarding|ski|lift|bus|day|week|weekend|season|hall|press|travel|rail|train|tram|metro|ferry"
    r"|city|museum|park|parking|backstage|festival|gate|gym|mountain|covid|health|vaccin(?:e|ation)|hunting|fishing"
    r"|annual|yearly|weekly|monthly|daily|battle|event|first|second|third|fourth|last|next|final|low|high|band|all"
    r"|single|two|multi|compiler|optimi[sz]er|optimi[sz]ation|forward|backward|render|shader|touchdown"
    r"|through|by|free|interrail|euro|lounge|conference|student|senior)[\s_-]{1,2}\Z"
)
_VERB = re.compile(r"(?<![a-z])(?:to|can|will|must|should|may|not|we|you|they|i)\s\Z")
_KNOWN_TO_MANY = re.compile(
    r"(?<![a-z])(?:top|trade|open|kept|dirty|little|family|industry|state|big|biggest|dark|darkest|deep|worst"
    r"|guilty|industrial|beauty|chef'?s)[\s_-]\Z"
)
_FAILED = re.compile(r"(?<![a-z])(?:fail|skip|xfail|error)(?:s|ed|ures?|ped)?(?![a-z])")
_FIGURE = re.compile(r"[0-9][0-9.,]*[0-9%]")
# Between the name and its sign. In French "parole" is a word that somebody says.
_OF_LIFE = re.compile(
    r"(?<!\w)(?:success|happiness|life|victory|wisdom|wealth|heart|mystery|longevity|erfolgs?|glücks?|lebens?"
    r"|succès|réussite|bonheur|vie|mystère|énigme|victoire|éxito|felicidad|vida|victoria|corazón|misterio|sucesso"
    r"|felicidade|vitória|coração|successo|felicità|vita|vittoria|cuore|mistero|geluk|leven|succes|sukcesu|szczęścia"
    r"|życia|успеха|успеху|счастья|счастью|жизни)(?!\w)"
)
_WORD_OF = re.compile(r"e\s(?:du|des|of|d['’])")

_PLAIN = re.compile(r"[\"'(«„“]?(?:[^\W\d_]+(?:['’-][^\W\d_]+)*|[0-9]{1,3})[\"')»”]?[.,:;!?…]{0,3}")
_MESSAGE = re.compile(
    r"(?<!\w)(?:must|should|cannot|can['’]?t|do(?:es)? not|do(?:es)?n['’]t|did not|at least|characters?"
    r"|required|incorrect|invalid|wrong|too|enter|contain|minimum|forgot|forgotten|confirm|match|reset|changed|updated"
    r"|expired|muss|mindestens|zeichen|falsch|eingeben|darf|doit|moins|caract[eè]res|incorrecte?|saisi[rs]?\w*|debe|menos"
    r"|introduzca|ingrese|caracteres|deve|almeno|caratteri|inserisci\w*|moet|minimaal|tekens|musi|znaków"
    r"|должен|символов|менее|неверный|введите|повинен|karakter)(?!\w)",
    re.IGNORECASE,
)
_UNSPACED_MESSAGE = re.compile(r"至少|必须|必須|不能|错误|錯誤|请|請|文字以上|ください|入力|입력|이상")

# What names a secret or says something of it, but is none: secretName, token_endpoint, private_key_algorithm.
_NOT_A_VALUE = re.compile(
    r"(?:name|names|id|ids|ref|refs|reference|algorithm|alg|type|types|kind|method|methods|url|uri|endpoint|path|file"
    r"|filename|dir|folder|count|counts|limit|limits|length|len|size|max|min|ttl|expiry|expires|expiration|age|policy"
    r"|format|hash|hint|field|column|label|prompt|reset|manager|store|provider|version|index|usage|used|budget|number|arn"
    r"|encoder|decoder|encryption|izer|ize|ization|ized|izationid|ring|board|word|words|space|code|pair|set|map|expires?_?in|regexp?"
    r"|_?at|_on|date|time|timestamp|pattern|rule|rules|validator|backend|hasher|strength|commit|sha|error|message|status|class|issuer|audience|scope|scopes|header|lambda|mount|alias|source|location|env"
    r"|stage|flow|stats|owner|prefix|suffix|lifetime|rotation|handler|helper|util|utils|service|client|model|template)s?\Z",
    re.IGNORECASE,
)
_OTHER_NAME = re.compile(r"arn:aws\S{0,70}:\Z|[A-Za-z]::[A-Za-z:]{0,40}\Z")

# user ann password ..., Benutzer: ann, Passwort ...
_USER = re.compile(
    r"(?<![A-Za-z])(?:user(?:[ _]?name)?|login|account|benutzer(?:name)?|nutzer|usuario|utilisateur|utente"
    r"|usu[aá]rio|gebruiker|użytkownik|логин|пользователь)\s?[:=]?\s[\"'`]?"
    r"(?!(?:and|or|und|oder|y|et|e|the|with|names?|has|is|can|must|changed|form|page|screen|settings?|fields?|table|model)\s)[\w.@+-]{2,64}[\"'`]?[,;]?\s"
    r"(?:(?:and|und|y|et|e|en|i|и|with|mit|con|avec)\s)?\Z",
    re.IGNORECASE,
)
_USER_REACH: Final = 96


def is_said_of(rest: str) -> bool:
    """Say whether the name, as it goes on, is that of something said of a secret: its age, its policy."""
    return _NOT_A_VALUE.search(rest) is not None


def is_of_other_name(text: str, label: Label) -> bool:
    """Say whether it is a part of another: arn:aws:secretsmanager:...:secret:..., AWS::IAM::AccessKey."""
    return _OTHER_NAME.search(text, max(0, label.start - 80), label.start) is not None


def is_of_user(text: str, label: Label, value: str) -> bool:
    """Say whether a user's name stands before that of a password, and what follows has letters and digits."""
    return (
        label.name in PASSWORDS - PINS
        and has_letters_and_digits(value)
        and not is_name(value)
        and _USER.search(text, max(0, label.start - _USER_REACH), label.start) is not None
    )


def is_paper(lowered: str, start: int) -> bool:
    """Say whether the "pass" at `start` is one that is shown at a door, or one of several over something."""
    return _OF_PAPER.search(lowered, max(0, start - _REACH), start) is not None


def is_verb(lowered: str, start: int) -> bool:
    """Say whether "pass" is what somebody does: indices to pass to a function."""
    return _VERB.search(lowered, max(0, start - 8), start) is not None


def is_count(line: str, value: str) -> bool:
    """Say whether a figure is of tests that pass, on a line that counts those that fail."""
    return _FIGURE.fullmatch(value) is not None and _FAILED.search(line.lower()) is not None


def is_figure_of_speech(lowered: str, name: str, start: int, between: str) -> bool:
    """Say whether a name is no secret's, by the word before it or by what it is said to be of."""
    if name == "secret" and _KNOWN_TO_MANY.search(lowered, max(0, start - _REACH), start):
        return True
    between = between.lower()
    return (name == "parol" and _WORD_OF.match(between) is not None) or _OF_LIFE.search(between) is not None


def is_message(value: str) -> bool:
    """Say whether a value in quotes is a sentence about passwords, as a form shows it."""
    words = value.split()
    if not value.isascii() and _UNSPACED_MESSAGE.search(value) and _names_password(value):
        return True
    if len(words) < 3 or not all(map(_PLAIN.fullmatch, words)) or not _MESSAGE.search(value):
        return False
    return value[0].isupper() or value[-1] in ".!?…" or _names_password(value)


def _names_password(value: str) -> bool:
    return any(label.name in PASSWORDS for label in labels(value.lower()))
