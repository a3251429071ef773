"""Addresses of crypto-currency wallets."""

import re
from collections.abc import Iterator
from typing import Final

from stdnum import bitcoin

from detectors.privacy.findings import Span, verified

_WALLET = re.compile(
    r"[0bB13](?<![A-Za-z0-9_].)(?:(?<=0)x[0-9A-Fa-f]{40}|(?<=[bB])(?:c1|C1)[A-Za-z0-9]{11,87}"
    r"|(?<=[13])[1-9A-HJ-NP-Za-km-z]{25,34})(?![A-Za-z0-9_])",
    re.DOTALL,
)
_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32M: Final = 0x2BC830A3


def wallets(text: str) -> Iterator[Span]:
    """Yield the spans of wallet addresses."""
    return verified(
        (match.span() for match in _WALLET.finditer(text)), lambda span: _is_wallet(text[slice(*span)])
    )


def _is_wallet(candidate: str) -> bool:
    # The checksum of an Ethereum address is in its letter case, which is often lost.
    return candidate.startswith("0x") or bool(bitcoin.is_valid(candidate)) or _is_taproot(candidate)


def _is_taproot(candidate: str) -> bool:
    """Check the address of a witness program of version 1 and above (BIP 350, bech32m)."""
    address = candidate.lower()
    if candidate not in (address, address.upper()) or not address.startswith("bc1"):
        return False
    values = [_BECH32.find(character) for character in address[3:]]
    if min(values) < 0:
        return False
    checksum = 1
    for value in [3, 3, 0, 2, 3, *values]:  # "bc", expanded: its high bits, a zero, its low bits
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for position, generator in enumerate(_GENERATOR):
            checksum ^= generator if top >> position & 1 else 0
    return checksum == _BECH32M
