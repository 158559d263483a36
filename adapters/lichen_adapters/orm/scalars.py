"""Values of one Python type as scalars of a document."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column

from lichen_adapters.orm.errors import MappingError, Misfit


@dataclass(frozen=True, slots=True)
class Scalar:
    """How values of one Python type are written as scalars of a document, and read again."""

    to_document: Callable[[Any], Any]
    from_document: Callable[[Any], Any]


def _plain(*types: type) -> Scalar:
    def read(value: Any) -> Any:
        if type(value) not in types:
            raise Misfit(f"{value!r} is no {types[0].__name__}")
        return value

    return Scalar(lambda value: value, read)


def _text(to_text: Callable[[Any], str], from_text: Callable[[str], Any]) -> Scalar:
    def read(value: Any) -> Any:
        if not isinstance(value, str):
            raise Misfit(f"{value!r} is not written as text")
        try:
            return from_text(value)
        except (ValueError, ArithmeticError, KeyError) as error:
            raise Misfit(f"{value!r} cannot be read: {error}") from error

    return Scalar(to_text, read)


_INT = _plain(int)
_NUMBER = _plain(float, int)

_SCALARS: dict[type, Scalar] = {
    bool: _plain(bool),
    int: _INT,
    float: Scalar(lambda value: value, lambda value: float(_NUMBER.from_document(value))),
    str: _plain(str),
    bytes: _plain(bytes),
    uuid.UUID: _text(str, uuid.UUID),
    decimal.Decimal: _text(str, decimal.Decimal),
    datetime.datetime: _text(datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    datetime.date: _text(datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: _text(datetime.time.isoformat, datetime.time.fromisoformat),
    datetime.timedelta: Scalar(
        lambda value: value // datetime.timedelta(microseconds=1),
        lambda value: datetime.timedelta(microseconds=_INT.from_document(value)),
    ),
}


def scalar_of(column: Column[Any]) -> Scalar:
    """How the values of a column are written. Raises `MappingError` for a type that cannot merge."""
    try:
        python_type = column.type.python_type
    except NotImplementedError:  # SQLAlchemy's way of saying that a type has none
        python_type = object
    if issubclass(python_type, enum.Enum):
        return _text(lambda value: str(value.name), python_type.__getitem__)
    if python_type not in _SCALARS:
        raise MappingError(
            f"column {column} of type {column.type!r} cannot merge",
            hint="use a type with plain Python values, or local_column()",
        )
    return _SCALARS[python_type]
