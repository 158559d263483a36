"""What lies inside a ciphertext: framed, compressed, padded, and bounded on the way back.

A plaintext is a flag byte, a length (4 bytes), a body of that length, and zeros up to the padded length. The body of a
change set is a count (2 bytes) and each change after its length (4 bytes), compressed with raw deflate (RFC 1951) when
that makes it smaller; the body of an ephemeral message is its payload.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

from lichen.config import DEFAULT_LIMITS
from lichen.crypto.padding import padded_length
from lichen.errors import ChangeTooLarge, InvalidChangeSet, ProtocolError

RAW: Final = 0
DEFLATED: Final = 1

_FRAME: Final = struct.Struct(">BI")
_COUNT: Final = struct.Struct(">H")
_LENGTH: Final = struct.Struct(">I")
_LEAST_DEFLATED_BYTES: Final = 192
"""A smaller body is not worth the attempt: a lone keystroke's change is mostly hashes."""

CHANGE_OVERHEAD_BYTES: Final = _LENGTH.size
"""What one change adds to a body beside its own bytes."""

BODY_BYTES: Final = DEFAULT_LIMITS.set_plaintext_bytes - _FRAME.size
"""Largest body, before compression."""
CHANGE_BYTES: Final = BODY_BYTES - _COUNT.size - CHANGE_OVERHEAD_BYTES
"""Largest change: it fits into a change set of its own."""


def body_bytes(changes: Sequence[bytes]) -> int:
    """The length of the body that these changes make; a change set takes at most `BODY_BYTES`."""
    return _COUNT.size + sum(map(len, changes)) + CHANGE_OVERHEAD_BYTES * len(changes)


def pack_changes(changes: Sequence[bytes]) -> bytes:
    """The plaintext that carries these changes. Raises `ChangeTooLarge`."""
    size = body_bytes(changes)
    if size > BODY_BYTES:
        raise ChangeTooLarge(f"{size} bytes of changes are more than {BODY_BYTES}, the most in a change set")
    if len(changes) > DEFAULT_LIMITS.set_changes:
        most = DEFAULT_LIMITS.set_changes
        raise ChangeTooLarge(f"{len(changes)} changes are more than {most}, the most in a change set")
    parts = [_COUNT.pack(len(changes))]
    for change in changes:
        parts.append(_LENGTH.pack(len(change)))
        parts.append(change)
    return pad(*_compress(b"".join(parts)))


def unpack_changes(plaintext: bytes) -> list[bytes]:
    """The changes in a plaintext. Raises `InvalidChangeSet`."""
    flag, body = unpad(plaintext, InvalidChangeSet)
    return _split(_inflate(flag, body))


def pad(flag: int, body: bytes) -> bytes:
    """A plaintext of flag and body."""
    framed = _FRAME.pack(flag, len(body)) + body
    return framed.ljust(padded_length(len(framed)), b"\0")


def unpad(plaintext: bytes, error: type[ProtocolError]) -> tuple[int, bytes]:
    """Flag and body of a plaintext. Raises `error` unless its padding is exactly what it must be."""
    if len(plaintext) < _FRAME.size:
        raise error("a plaintext is cut short")
    flag, length = _FRAME.unpack_from(plaintext)
    end = _FRAME.size + length
    if padded_length(end) != len(plaintext) or plaintext.count(0, end) != len(plaintext) - end:
        raise error("a plaintext is not padded as it must be")
    return flag, plaintext[_FRAME.size : end]


def _compress(body: bytes) -> tuple[int, bytes]:
    if len(body) >= _LEAST_DEFLATED_BYTES:
        compressor = zlib.compressobj(wbits=-15)
        deflated = compressor.compress(body) + compressor.flush()
        if len(deflated) < len(body):
            return DEFLATED, deflated
    return RAW, body


def _inflate(flag: int, body: bytes) -> bytes:
    """The body, inflated to at most `BODY_BYTES`."""
    if flag == RAW:
        return body
    if flag != DEFLATED:
        raise InvalidChangeSet(f"a change set's plaintext has the unknown flag {flag}")
    inflater = zlib.decompressobj(wbits=-15)
    try:
        inflated = inflater.decompress(body, BODY_BYTES + 1)
    except zlib.error as error:
        raise InvalidChangeSet("a change set's plaintext does not inflate") from error
    if len(inflated) > BODY_BYTES or not inflater.eof or inflater.unused_data:
        raise InvalidChangeSet("a change set's plaintext inflates to too much, or is not one whole stream")
    return inflated


def _split(body: bytes) -> list[bytes]:
    size = len(body)
    count = int.from_bytes(body[: _COUNT.size], "big")
    if size < _COUNT.size or count > DEFAULT_LIMITS.set_changes:
        raise InvalidChangeSet("a change set's plaintext is cut short, or carries too many changes")
    changes, at = [], _COUNT.size
    for _ in range(count):
        start = at + _LENGTH.size
        at = start + int.from_bytes(body[at:start], "big")
        changes.append(body[start:at])
    if at != size:  # `at` only grows, so that one that has passed the end never comes back to it
        raise InvalidChangeSet("a change set's plaintext is not exactly its changes")
    return changes
