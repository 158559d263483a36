"""Values of one Python type as scalars of a document."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, TypeDecorator
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeEngine

from lichen_adapters.orm.errors import MappingError, Misfit

MOST = 1 << 63
"""Whole numbers are below this, as databases have them; documents have larger ones."""
_DIALECT = sqlite.dialect()
"""For which types of the application take values apart, whatever the database: documents have one form of them."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """How values of one Python type are written as scalars of a document, and read again."""

    to_document: Callable[[Any], Any]
    from_document: Callable[[Any], Any]


def _plain(kind: type) -> Scalar:
    """Values that documents have too. SQLite keeps any value in most columns: what is of another type is a `Misfit`."""

    def write(value: Any) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Misfit(f"{value!r} is no {kind.__name__}")
        if type(value) is kind:
            return value
        return str.__str__(value) if kind is str else kind(value)  # such as a member of an enum that is a string

    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise Misfit(f"{value!r} is no {kind.__name__}")
        return value

    return Scalar(write, read)


def _whole(value: Any) -> int:
    """A whole number of at most 64 bits, with its sign: documents have larger ones, databases have not."""
    if type(value) is not int:
        raise Misfit(f"{value!r} is no int")
    if not -MOST <= value < MOST:
        raise Misfit(f"{value!r} takes more than 64 bits")
    return value


def _number(value: Any) -> float:
    """A number with a fraction, which databases and documents may have without."""
    if type(value) not in (float, int):
        raise Misfit(f"{value!r} is no float")
    return float(value)


def _text(to_text: Callable[[Any], str], from_text: Callable[[str], Any]) -> Scalar:
    def read(value: Any) -> Any:
        if not isinstance(value, str):
            raise Misfit(f"{value!r} is not written as text")
        try:
            return from_text(value)
        except (ValueError, ArithmeticError, KeyError) as error:
            raise Misfit(f"{value!r} cannot be read: {error}") from error

    return Scalar(to_text, read)


def _decimal(text: str) -> decimal.Decimal:
    value = decimal.Decimal(text)
    if value.is_snan():
        raise ValueError("it is no number")
    return value


def _timedelta(value: Any) -> datetime.timedelta:
    try:
        return datetime.timedelta(microseconds=_INT.from_document(value))
    except OverflowError as error:
        raise Misfit(f"{value!r} is too long a time") from error


_INT = Scalar(_plain(int).to_document, _whole)

_SCALARS: dict[type, Scalar] = {
    bool: _plain(bool),
    int: _INT,
    float: Scalar(_number, _number),
    str: _plain(str),
    bytes: _plain(bytes),
    uuid.UUID: _text(str, uuid.UUID),
    decimal.Decimal: _text(str, _decimal),
    datetime.datetime: _text(datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    datetime.date: _text(datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: _text(datetime.time.isoformat, datetime.time.fromisoformat),
    datetime.timedelta: Scalar(
        lambda value: value // datetime.timedelta(microseconds=1),
        _timedelta,
    ),
}


def scalar_of(column: Column[Any]) -> Scalar:
    """How the values of a column are written. Raises `MappingError` for a type that cannot merge."""
    found = _of_type(column.type)
    if found is None:
        raise MappingError(
            f"column {column} of type {column.type!r} cannot merge",
            hint="use a type with plain Python values, or local_column()",
        )
    return found


def _of_type(type_: TypeEngine[Any]) -> Scalar | None:
    try:
        python_type = type_.python_type
    except NotImplementedError:  # SQLAlchemy's way of saying that a type has none, as is `object`
        python_type = object
    if python_type is object:
        return _decorated(type_) if isinstance(type_, TypeDecorator) else None
    if issubclass(python_type, enum.Enum):
        return _text(
            lambda value: str(value.name), lambda name: python_type[name]
        )  # `__getitem__` may be that of `str`
    return _SCALARS.get(python_type)


def _decorated(type_: TypeDecorator[Any]) -> Scalar | None:
    """A type of the application around another: documents have what the database has."""
    cls, inner = type(type_), _of_type(type_.impl_instance)
    by_itself = {cls.bind_processor, cls.result_processor} - {
        TypeDecorator.bind_processor,
        TypeDecorator.result_processor,
    }
    if inner is None or by_itself:  # such as pickles, which nobody should take from others
        return None
    binds = cls.process_bind_param is not TypeDecorator.process_bind_param
    reads = cls.process_result_value is not TypeDecorator.process_result_value

    def write(value: Any) -> Any:
        bound = type_.process_bind_param(value, _DIALECT) if binds else value
        return None if bound is None else inner.to_document(bound)

    def read(value: Any) -> Any:
        stored = inner.from_document(value)
        try:
            return type_.process_result_value(stored, _DIALECT) if reads else stored
        except Exception as error:  # the application's own, for what another program may have written
            raise Misfit(f"{value!r} cannot be read: {error}") from error

    return Scalar(write, read)
