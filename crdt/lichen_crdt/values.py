"""Values of a document that Python has no type for, and instants in time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A scalar of a type that a later version of Automerge defines; it is kept as it is.

    `type_code` is the number of the type (10 to 15), `data` its bytes.
    """

    type_code: int
    data: bytes


def to_milliseconds(instant: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime; a naive one is a `ValueError`."""
    if instant.tzinfo is None:
        raise ValueError("a timestamp needs a time zone")
    return (instant - _EPOCH) // _MILLISECOND


def from_milliseconds(milliseconds: int) -> datetime:
    """The datetime in UTC; beyond the years 1 to 9999 the nearest that Python has."""
    try:
        return _EPOCH + milliseconds * _MILLISECOND
    except OverflowError:
        return _LAST if milliseconds > 0 else _FIRST
