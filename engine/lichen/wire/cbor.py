"""CBOR (RFC 8949) from outside, in the part that messages use: no tags, no indefinite lengths, little nesting.

A decoder resolves tags before anyone looks at the fields, and some cost time in the square of their bytes: a decimal
fraction of a long integer. So a message is walked over first, in time in proportion to its items.
"""

from __future__ import annotations

from typing import Any

import cbor2

DEPTH = 8
"""Arrays and maps within one another; messages have three."""

_BYTES, _TEXT, _ARRAY, _MAP, _TAG = 2, 3, 4, 5, 6


def loads(data: bytes) -> Any:  # Any: whatever CBOR holds
    """Decode one item that is all of `data`. Raises `ValueError` for anything else, and for what is in other parts."""
    _walk(data)
    try:
        return cbor2.loads(data)
    except Exception as error:  # cbor2 raises errors of many kinds on malformed input
        raise ValueError(f"not CBOR: {error}") from error


def _walk(data: bytes) -> None:
    at, open_items = 0, [1]
    while open_items:
        if not open_items[-1]:
            open_items.pop()
            continue
        open_items[-1] -= 1
        if at >= len(data):
            raise ValueError("the item ends early")
        major, short = data[at] >> 5, data[at] & 31
        at += 1
        value = short
        if short >= 24:
            if short > 27:
                raise ValueError("a length that is not given")
            size = 1 << (short - 24)
            value = int.from_bytes(data[at : at + size])
            at += size
        if major in (_BYTES, _TEXT):
            at += value
        elif major in (_ARRAY, _MAP):
            if len(open_items) > DEPTH or value > len(data):
                raise ValueError("items that nest too deep, or are more than there are bytes")
            open_items.append(value * (2 if major == _MAP else 1))
        elif major == _TAG:
            raise ValueError("a tag")
    if at != len(data):
        raise ValueError("bytes before or after the item's end")
