"""Values of one Python type as scalars of a document."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Enum,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Time,
    TypeDecorator,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeEngine

from lichen_adapters.orm.errors import MappingError, Misfit

MOST = 1 << 63
"""Whole numbers are below this, as databases have them; documents have larger ones."""
_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001  # intervals lie beside it in databases that have none
_DIALECT = sqlite.dialect()
"""For which types of the application take values apart, whatever the database: documents have one form of them."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """How values of one Python type are written as scalars of a document, and read again."""

    to_document: Callable[[Any], Any]
    from_document: Callable[[Any], Any]
    kept: Callable[[Any], Any] | None = None
    """As the database has it, where a type of the application makes something else of that."""


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


def _one_of(values: Collection[str]) -> Scalar:
    """Texts of these alone: no row with another could be read. SQLite would keep it."""
    text = _plain(str)

    def read(value: Any) -> Any:
        if text.from_document(value) not in values:
            raise Misfit(f"{value!r} is none of {', '.join(sorted(values))}")
        return value

    return Scalar(text.to_document, read)


def _whole(value: Any) -> int:
    """A whole number of at most 64 bits, with its sign: documents have larger ones, databases have not."""
    if type(value) is not int:
        raise Misfit(f"{value!r} is no int")
    if not -MOST <= value < MOST:
        raise Misfit(f"{value!r} takes more than 64 bits")
    return value


def _number(value: Any) -> float:
    """A number with a fraction, which databases and documents may have without. SQLite keeps NaN as NULL."""
    if type(value) not in (float, int) or math.isnan(value):
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
    """A number that every database holds: SQLite has fractions as floats."""
    value = decimal.Decimal(text)
    if not value.is_finite() or math.isinf(float(value)):
        raise ValueError("it is no number, or too large for one with a fraction")
    return value


def _of_decimal(value: decimal.Decimal) -> str:
    text = str(value)
    try:
        _decimal(text)
    except ValueError as error:
        raise Misfit(f"{value!r}: {error}") from error
    return text


def _decimal_of(scale: int) -> Scalar:
    """Numbers of a column with so many decimal places, rounded as PostgreSQL does."""
    place, exact = decimal.Decimal(1).scaleb(-scale), decimal.Context(prec=310 + abs(scale))
    half_up = decimal.ROUND_HALF_UP
    return _text(_of_decimal, lambda text: _decimal(text).quantize(place, half_up, exact))


def _instant(value: datetime.datetime) -> datetime.datetime:
    """A time in UTC. One without a zone is taken to be that: SQLite keeps none."""
    return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)


def _local(value: datetime.datetime) -> datetime.datetime:
    """A time without a zone; of one that has one, what it is in UTC."""
    return value if value.tzinfo is None else _instant(value).replace(tzinfo=None)


def _zoned(value: datetime.time) -> datetime.time:
    return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value


def _timedelta(value: Any) -> datetime.timedelta:
    try:
        found = datetime.timedelta(microseconds=_INT.from_document(value))
        _EPOCH + found
    except OverflowError as error:
        raise Misfit(f"{value!r} is too long a time") from error
    return found


def _time_of(value: Any, in_zone: Callable[[Any], Any]) -> str:
    """A time as text. Raises `Misfit` for one that is out of range in UTC."""
    try:
        text: str = in_zone(value).isoformat()
    except OverflowError as error:
        raise Misfit(f"{value!r} is out of range in UTC") from error
    return text


def _time(kind: type[datetime.datetime | datetime.time], in_zone: Callable[[Any], Any]) -> Scalar:
    return _text(lambda value: _time_of(value, in_zone), lambda text: in_zone(kind.fromisoformat(text)))


_INT = Scalar(_plain(int).to_document, _whole)

_SCALARS: dict[type, Scalar] = {
    bool: _plain(bool),
    int: _INT,
    float: Scalar(_number, _number),
    str: _plain(str),
    bytes: _plain(bytes),
    uuid.UUID: _text(str, uuid.UUID),
    decimal.Decimal: _text(_of_decimal, _decimal),
    datetime.datetime: _time(datetime.datetime, _local),
    datetime.date: _text(datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: _time(datetime.time, lambda value: value.replace(tzinfo=None)),
    datetime.timedelta: Scalar(
        lambda value: value // datetime.timedelta(microseconds=1),
        _timedelta,
    ),
}


_IN_ZONE: dict[type, Scalar] = {
    datetime.datetime: _time(datetime.datetime, _instant),
    datetime.time: _time(datetime.time, _zoned),
}
"""Of columns with a time zone."""
_ROUNDED = (decimal.Decimal, datetime.datetime, datetime.time)
"""What SQLite keeps in another form: numbers as floats, times without their zone."""
_WHOLE: dict[type, Any] = {
    datetime.datetime: _EPOCH + datetime.timedelta(microseconds=1),
    datetime.time: datetime.time(microsecond=1),
}
"""Times that a column may cut off."""


def scalar_of(column: Column[Any], dialect: Dialect | None = None) -> Scalar:
    """How the values of a column are written, and read as a database of this kind gives them back.

    Raises `MappingError` for a type that cannot merge.
    """
    found = _of_type(column.type, dialect)
    if found is None:
        raise MappingError(
            f"column {column} of type {column.type!r} cannot merge",
            hint="use a type with plain Python values, or local_column()",
        )
    return found


def _of_type(type_: TypeEngine[Any], dialect: Dialect | None) -> Scalar | None:
    try:
        python_type = type_.python_type
    except NotImplementedError:  # SQLAlchemy's way of saying that a type has none, as is `object`
        python_type = object
    if python_type is object:
        return _decorated(type_, dialect) if isinstance(type_, TypeDecorator) else None
    if issubclass(python_type, enum.Enum):
        return _text(
            lambda value: str(value.name), lambda name: python_type[name]
        )  # `__getitem__` may be that of `str`
    found = (_IN_ZONE if _is_zoned(type_) else _SCALARS).get(python_type)
    if isinstance(type_, Enum):
        found = _one_of(frozenset(type_.enums))
    if python_type is decimal.Decimal and isinstance(type_, Numeric) and type_.scale is not None:
        found = _decimal_of(type_.scale)
    if found is None or dialect is None:
        return found
    if dialect.name != "sqlite":
        taken = _taken(type_, dialect, found.from_document)
        if python_type is str and type_.compile(dialect=dialect).startswith("CHAR"):
            return _filled_up(found, taken, getattr(type_, "length", None) or 1)
        return Scalar(found.to_document, taken)
    return Scalar(found.to_document, _kept(type_, dialect, found.from_document)) if python_type in _ROUNDED else found


def _taken(type_: TypeEngine[Any], dialect: Dialect, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What `read` makes of a document's value, if PostgreSQL can be asked for it."""
    impl = type_.dialect_impl(dialect)
    bits = 16 if isinstance(impl, SmallInteger) else 64 if isinstance(impl, BigInteger) else 32

    def text(value: Any) -> Any:
        found = read(value)
        if "\0" in found:
            raise Misfit(f"{found!r} has a NUL, which PostgreSQL does not keep")
        return found

    def number(value: Any) -> Any:
        found = read(value)
        if not -1 << bits - 1 <= found < 1 << bits - 1:
            raise Misfit(f"{found!r} takes more than {bits} bits")
        return found

    return number if isinstance(impl, Integer) else text if isinstance(impl, String) else read


def _filled_up(scalar: Scalar, read: Callable[[Any], Any], length: int) -> Scalar:
    """Texts that PostgreSQL fills up with spaces: these are in its rows alone."""
    return Scalar(
        lambda value: scalar.to_document(value).rstrip(" "), lambda value: read(value).rstrip(" ").ljust(length)
    )


def _is_zoned(type_: TypeEngine[Any]) -> bool:
    return isinstance(type_, DateTime | Time) and type_.timezone


def _kept(type_: TypeEngine[Any], dialect: Dialect, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What a column holds after it was given what `read` makes of a document's value."""
    impl = type_.dialect_impl(dialect)
    bind, result = impl.bind_processor(dialect), impl.result_processor(dialect, None)

    def through(found: Any) -> Any:
        bound = found if bind is None else bind(found)
        return bound if result is None else result(bound)

    whole = _WHOLE.get(type_.python_type)
    if whole is not None and through(whole) == whole:  # as SQLAlchemy writes them, without their zone
        return (lambda value: read(value).replace(tzinfo=None)) if _is_zoned(type_) else read
    return lambda value: through(read(value))


def _decorated(type_: TypeDecorator[Any], dialect: Dialect | None) -> Scalar | None:
    """A type of the application around another: documents have what the database has."""
    cls = type(type_)
    as_declared = cls.load_dialect_impl is TypeDecorator.load_dialect_impl
    inner = _of_type(type_.impl_instance, dialect if as_declared else None)
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

    return Scalar(write, read, inner.kept or inner.from_document)
