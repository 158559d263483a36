"""Bounded big-endian reading and writing of the fixed layouts.

A `Reader` never reads past its end, never allocates more than it was given, and raises only the one error
type it was made with. All numbers are unsigned and big-endian.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from lichen.errors import ProtocolError


class Reader:
    """Takes fields off bytes from the front."""

    __slots__ = ("_data", "_error", "_offset", "_what")

    def __init__(self, data: bytes, what: str, error: type[ProtocolError] = ProtocolError) -> None:
        self._data = data
        self._what = what
        self._error = error
        self._offset = 0

    @property
    def offset(self) -> int:
        """How many bytes were taken."""
        return self._offset

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._offset

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        data, start = self._data, self._offset
        end = start + length
        if length < 0 or end > len(data):
            raise self._error(f"{self._what} is cut short")
        self._offset = end
        return data[start:end]

    def byte(self) -> int:
        """The next number of one byte."""
        at = self._offset
        if at >= len(self._data):
            raise self._error(f"{self._what} is cut short")
        self._offset = at + 1
        return self._data[at]

    def number(self, width: int) -> int:
        """The next unsigned number of `width` bytes."""
        return int.from_bytes(self.take(width), "big")

    def count(self, width: int, least: int, most: int, of: str) -> int:
        """A number that must lie in `least..most`."""
        number = self.number(width)
        if not least <= number <= most:
            raise self._error(f"{self._what} has {number} {of}, not {least} to {most}")
        return number

    def blob(self, width: int, most: int, of: str) -> bytes:
        """Bytes after their length, which is a number of `width` bytes."""
        return self.take(self.count(width, 0, most, f"bytes of {of}"))

    def ids(self, width: int, least: int, most: int, of: str) -> tuple[bytes, ...]:
        """32-byte ids after their count (a number of `width` bytes), strictly ascending."""
        return self.ascending(tuple(self.take(32) for _ in range(self.count(width, least, most, of))), of)

    def ascending(self, ids: tuple[bytes, ...], of: str) -> tuple[bytes, ...]:
        """`ids`, which must be sorted and differ."""
        if any(left >= right for left, right in itertools.pairwise(ids)):
            raise self._error(f"{self._what} has {of} that are not sorted, or twice")
        return ids

    def expect(self, value: bytes, of: str) -> None:
        """The next bytes must be `value`."""
        if self.take(len(value)) != value:
            raise self._error(f"{self._what} has another {of}")

    def end(self) -> None:
        """Nothing may be left."""
        if self.left:
            raise self._error(f"{self._what} has {self.left} bytes after its end")


class Writer:
    """Gathers fields; a value that does not fit its width is the caller's mistake: `ValueError`."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def raw(self, value: bytes, length: int) -> Writer:
        """`value`, which must be `length` bytes."""
        if len(value) != length:
            raise ValueError(f"a field of {length} bytes was given {len(value)}")
        self._parts.append(value)
        return self

    def number(self, value: int, width: int) -> Writer:
        """An unsigned number of `width` bytes."""
        if not 0 <= value < 1 << (8 * width):
            raise ValueError(f"{value} does not fit {width} bytes")
        self._parts.append(value.to_bytes(width, "big"))
        return self

    def blob(self, value: bytes, width: int) -> Writer:
        """Bytes after their length."""
        self.number(len(value), width)
        self._parts.append(value)
        return self

    def ids(self, ids: Sequence[bytes], width: int) -> Writer:
        """32-byte ids after their count."""
        self.number(len(ids), width)
        for value in ids:
            self.raw(value, 32)
        return self

    def done(self) -> bytes:
        """All that was written."""
        return b"".join(self._parts)
