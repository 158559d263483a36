"""What a document holds, as types; values of it that Python has no type for; and instants in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from lichen_crdt.counter import Counter
from lichen_crdt.text import Text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A scalar of a type that a later version of Automerge defines; it is kept as it is.

    `type_code` is the number of the type, `data` its bytes. Raises `ValueError` for a number that is not from 10 to 15:
    others stand for types that are known, or for none.
    """

    type_code: int
    data: bytes

    def __post_init__(self) -> None:
        if self.type_code not in range(10, 16):
            raise ValueError(f"the types of a later version are 10 to 15, and {self.type_code!r:.40} is none of them")


Scalar: TypeAlias = bool | int | float | str | bytes | datetime | Unknown | None
"""A value that is replaced as a whole."""

Plain: TypeAlias = "Scalar | list[Plain] | dict[str, Plain]"
"""The plain data that `to_py()` gives: nested to any depth, no views."""

Value: TypeAlias = "Scalar | Text | Counter | Mapping[str, Value] | Sequence[Value]"
"""What can be assigned in a document: plain data, texts, counters, and copies of what lies in documents.

A sequence that is no string and no bytes becomes a list.
"""


def to_milliseconds(instant: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime; a naive one is a `ValueError`."""
    if instant.utcoffset() is None:
        raise ValueError("a timestamp needs a time zone")
    return (instant - _EPOCH) // _MILLISECOND


def from_milliseconds(milliseconds: int) -> datetime:
    """The datetime in UTC; beyond the years 1 to 9999 the nearest that Python has."""
    try:
        return _EPOCH + milliseconds * _MILLISECOND
    except OverflowError:
        return _LAST if milliseconds > 0 else _FIRST
