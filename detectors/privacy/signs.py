"""What stands between the name of a secret and its value, in the languages of the traffic."""

from typing import Final

GAP: Final = r"[ \t]{0,40}+\s{0,3}+"
"""Between a name and its sign, and that and the value: columns are aligned by blanks."""
# Between the name and the sign: whose it is, and of what.
WHOSE: Final = (
    r"(?:(?<= )(?:api|saya|anda|kamu|kami|langu|yangu|lako|mitt|ditt|mea|mia|mio|meu|minha|moj[ae]|mening"
    r"|μου|σου|σας|من"
    r"|شما|ما|الخاصة بي|الخاص بي|שלי|שלך|שלנו|πρόσβασης|προσβασης|d['’](?:accès|ordine)"
    r"|accesso|acceso)(?!\w)\s?)"
)
OF: Final = (
    r"(?:(?:for|of|to|de|do|del|della|di|du|für|для|от|к|од|od|dla|pro|till|van|voor|za|pentru)\s[\w.@-]{1,24}(?:\s[\w.@-]{1,24}){0,3}?"
    r"(?=\s?[:=]|\s?\b(?:is|ist|lautet|c['’]est|est|es|é|è)\b|\sto\b))"
)
# Each of one language, where it says "is": in others it says something else.
LOCAL_SIGNS: Final = frozenset({"on", "ir", "ni", "este"})
# It is now another one.
_SET: Final = r"(?:(?:was|is|has been|got|been)\s)?(?:changed|set|reset|updated|switched)\sto"
_BY_NOW: Final = (
    "now|still|currently|just|simply|jetzt|nun|noch|einfach|maintenant|ahora|agora|adesso|ora|теперь|сейчас"
)
SIGN: Final = (
    # From one cell of a table, or term of a list, to the next.
    r"(?P<sign>:?</[a-z]{1,6}>\s{0,40}<[a-z]{1,6}(?:\s[^<>\n]{1,80})?>(?:<(?:code|b|tt|kbd|strong)>)?(?=[^<\n]{4,64}</)"
    rf"|:=|=>|==?|\?=|<-|:|[→⇒➜➔]|(?<!\w){_SET}(?!\w)(?:\s?:)?|(?<!\w)(?:is|was|ist|lautet|est|es|és|é|è|jest|je|är|er|to|la|là|такой|такая|είναι|yra|ir|on"
    r"|este|adalah|ialah|ni|הוא|c['’]est|היא|הינה|هي|هو|है|हैं|ہے|হল|হলো|হচ্ছে|est)(?=[\s:=])"
    rf"(?:\s?:|\s(?:{_BY_NOW})(?=[\s:])(?:\s?:)?)?"
    r"|คือ|是|为|為|は|는|은"
    r"|—|\u2013|-{1,2}>|-(?=\s)|>(?=[^<\n]{4,64}</)|\|(?=[\s`])|\.{3,40}|value\s?=(?=\s?[\"'])|)"
)
_ARGUMENTS: Final = r"(?:<[^<>\n=()\"]{0,40}>|\[[^\[\]\n=\"]{0,40}\])?"
# Of a declaration: const password: string = "...", var password string = "...".
TYPED: Final = (
    r"(?:(?:\s?::?\s?&{0,2}(?:'\w{1,16}\s)?(?:(?:mut|const|constant)\s)?(?>(?:\[[^\]\n\"]{0,16}\](?:const\s)?)?)"
    rf"[A-Za-z_][\w.<>?|\[\]]{{0,40}}{_ARGUMENTS}(?:\s\|\s[A-Za-z]\w{{0,20}}){{0,2}}"
    rf"|\s?:\s?&\[[^\]\n\"]{{1,16}}\]|(?<=\s)(?:string|String|\[\]byte|(?:As\sString|n?(?:var)?char\(\w{{1,8}}\)|text)(?!\w)))"
    r"\s?(?=:?=\s?(?:[bfrN@]|u8)?[\"'`]))"
)
# Quotes that programs do not know.
OPENED: Final = r"(?:[«„“‘‹]\s?)?"
# Of a string of bytes, or one that is taken as it stands: b"...", N'...', @"...".
PREFIX: Final = r"(?:(?:[bN@]|u8)(?=[\"']))?"
# In YAML a tag, an anchor or the sign of a block may stand before the value.
TAG: Final = r"(?:(?:!!?(?:str|binary|vault|unsafe)|[|>][+-]?[0-9]?(?=\s*\n))\s{1,40}+|&\w{1,32}[ \t]{1,9}+)*"


def is_tag(sign: str) -> bool:
    """Say whether a sign is the end of a tag of XML, so that the next tag ends the value."""
    return sign == ">" or is_cell(sign)


def is_cell(sign: str) -> bool:
    """Say whether a sign leads from one cell of a table of HTML, or term of a list, to the next."""
    return sign.startswith(("</", ":</"))
