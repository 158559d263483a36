"""Positions in code points and in UTF-16 units, as browsers and Qt count them."""

from __future__ import annotations

_CODEC = "utf-16-le"
_PASS = "surrogatepass"


def to_utf16(text: str, index: int) -> int:
    """The UTF-16 offset of the code point at `index` in `text`."""
    if text.isascii():
        return index
    return utf16_length(text[:index]) + max(0, index - len(text))


def from_utf16(text: str, offset: int) -> int:
    """The index of the code point at a UTF-16 offset; inside a surrogate pair, that of the pair."""
    if text.isascii():
        return offset
    units = text.encode(_CODEC, _PASS)
    if offset > len(units) // 2:
        return len(text) + offset - len(units) // 2
    if offset > 0 and 0xD8 <= units[2 * offset - 1] < 0xDC and 2 * offset < len(units):
        offset -= 1  # between the two halves of a pair
    return len(units[: 2 * offset].decode(_CODEC, _PASS))


def utf16_length(text: str) -> int:
    """How many UTF-16 units a text has."""
    return len(text) if text.isascii() else len(text.encode(_CODEC, _PASS)) // 2
