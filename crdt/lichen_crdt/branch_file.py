"""The bytes of branches, after those of the main line.

They are one change chunk that no Automerge program applies: it depends on a change that does not exist, so a reader
keeps it waiting and shows the main line. Its extra bytes hold, with numbers as unsigned LEB128::

    version (1) · count of branches · branches · count of changes · changes
    branch: length and UTF-8 of its name · count of heads · heads, 32 bytes each
    change: length and bytes of one uncompressed change chunk
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NoReturn

from lichen_crdt.errors import InvalidDocument

MAX_BRANCHES = 1000
"""Most branches beside the main line."""
MAX_NAME_BYTES = 200
"""Longest name, in bytes of UTF-8."""
MAX_HEADS = 1000
"""Most heads of one branch."""

Heads = dict[str, tuple[bytes, ...]]

_VERSION = 1
_MAGIC = bytes.fromhex("856f4a83")
_CHANGE = b"\x01"
_NOWHERE = sha256(b"lichen branches").digest()
_ACTOR = b"lichen branches"
# One dependency, the actor, seq 1, start_op 1, time 0, no message, no other actors, no columns.
_HEADER = b"\x01" + _NOWHERE + bytes((len(_ACTOR),)) + _ACTOR + b"\x01\x01\x00\x00\x00\x00"
_MAX_LEB = 10


def is_name(name: str) -> bool:
    """Whether this may name a branch."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= MAX_NAME_BYTES and not any(ord(char) < 32 or ord(char) == 127 for char in name)


def write(heads: Mapping[str, tuple[bytes, ...]], changes: Iterable[bytes]) -> bytes:
    """The chunk of these branches, nothing if there are none."""
    if not heads:
        return b""
    parts = [bytes((_VERSION,)), _leb(len(heads))]
    for name in sorted(heads):
        parts += [_sized(name.encode()), _leb(len(heads[name])), *heads[name]]
    changes = [*changes]
    parts += [_leb(len(changes)), *map(_sized, changes)]
    body = _HEADER + b"".join(parts)
    sized = _CHANGE + _sized(body)
    return _MAGIC + sha256(sized).digest()[:4] + sized


def split(data: bytes) -> tuple[bytes, bytes]:
    """The main line and the body of the branches, nothing if there are none."""
    at = data.rfind(_HEADER)
    if at < 0:
        return data, b""
    # The length before the header says where the chunk begins.
    for begin in range(max(0, at - 9 - _MAX_LEB), at - 9):
        if data[begin : begin + 4] == _MAGIC and data[begin + 9 : at] == _leb(len(data) - at):
            if sha256(data[begin + 8 :]).digest()[:4] != data[begin + 4 : begin + 8]:
                _refuse("their checksum does not match")
            return data[:begin], data[at + len(_HEADER) :]
    return data, b""


def read(body: bytes) -> tuple[Heads, list[bytes]]:
    """The heads of each branch and the changes that the main line has not; `InvalidDocument` if malformed."""
    reader = _Reader(body)
    if reader.number() != _VERSION:
        _refuse("they are of a later version")
    heads: Heads = {}
    for _ in range(reader.count(MAX_BRANCHES, 34)):
        try:
            name = reader.take(reader.count(MAX_NAME_BYTES, 1)).decode()
        except UnicodeDecodeError as error:
            raise InvalidDocument("the branches are malformed: a name is not UTF-8") from error
        if not is_name(name) or name in heads or name == "main":
            _refuse("a name is not allowed, or is there twice")
        heads[name] = tuple(reader.take(32) for _ in range(reader.count(MAX_HEADS, 32)))
    changes = [reader.take(reader.number()) for _ in range(reader.count(len(body), 1))]
    if reader.rest():
        _refuse("bytes are left over")
    return heads, changes


class _Reader:
    """Never reads beyond its bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def rest(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size > self.rest():
            _refuse("they are cut short")
        self._at += size
        return self._data[self._at - size : self._at]

    def count(self, most: int, size: int) -> int:
        """A count of things of at least `size` bytes each."""
        number = self.number()
        if number > most or number * size > self.rest():
            _refuse("a count is beyond its limit")
        return number

    def number(self) -> int:
        value = 0
        for shift in range(0, 7 * 9, 7):
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise InvalidDocument("the branches are malformed: a number is too long")


def _refuse(why: str) -> NoReturn:
    raise InvalidDocument(f"the branches are malformed: {why}")


def _sized(data: bytes) -> bytes:
    return _leb(len(data)) + data


def _leb(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))
