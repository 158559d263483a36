"""Text for people to copy: base32 (RFC 4648) in lower case without padding, with a checksum.

What comes back may have been wrapped, quoted, capitalised or pasted through a chat: white space, invisible format
characters and case are forgiven, anything else is not.
"""

from __future__ import annotations

import base64
import binascii
import unicodedata
from typing import Final

from lichen.wire import domains

CHECKSUM_BYTES: Final = 4


def to_text(data: bytes, domain: bytes) -> str:
    """`data` and its checksum."""
    return base64.b32encode(data + _checksum(data, domain)).decode().rstrip("=").lower()


def from_text(text: str, domain: bytes) -> bytes:
    """The data in a text that `tidy` has cleaned. Raises `ValueError` for anything that is not exactly one."""
    if not text.isascii():
        raise ValueError("it contains letters that do not belong there")
    try:
        decoded = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except binascii.Error as error:
        raise ValueError("it contains letters that do not belong there, or some are missing") from error
    data, checksum = decoded[:-CHECKSUM_BYTES], decoded[-CHECKSUM_BYTES:]
    if len(decoded) < CHECKSUM_BYTES or checksum != _checksum(data, domain) or to_text(data, domain) != text:
        raise ValueError("its checksum is wrong: some letters were changed or lost")
    return data


def tidy(text: str) -> str:
    """`text` in lower case without white space and invisible format characters."""
    kept = (letter for letter in text if not letter.isspace() and unicodedata.category(letter) != "Cf")
    return "".join(kept).lower()


def _checksum(data: bytes, domain: bytes) -> bytes:
    return domains.digest(domain, data)[:CHECKSUM_BYTES]
