"""Positions in code points and in UTF-16 units, as browsers and Qt count them."""

from __future__ import annotations


def to_utf16(text: str, index: int) -> int:
    """The UTF-16 offset of the code point at `index` in `text`."""
    if text.isascii():
        return index
    return index + sum(1 for character in text[:index] if character > "\uffff")


def from_utf16(text: str, offset: int) -> int:
    """The index of the code point at a UTF-16 offset; inside a surrogate pair, that of the pair."""
    if text.isascii():
        return offset
    units = 0
    for index, character in enumerate(text):
        width = 2 if character > "\uffff" else 1
        if units + width > offset:
            return index
        units += width
    return len(text) + (offset - units)


def utf16_length(text: str) -> int:
    """How many UTF-16 units a text has."""
    return to_utf16(text, len(text))
