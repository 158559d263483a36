"""How the values of each kind of column lie in documents: written with the fewest operations, and read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lichen_crdt import Counter, List, Map, Text
from lichen_crdt.views import plain
from sqlalchemy import JSON, Column, Dialect, Integer

from lichen_adapters.orm.columns import CLASSES, KIND, SHAPES, Kind, SetOf, element
from lichen_adapters.orm.difference import update_list, update_map
from lichen_adapters.orm.errors import MappingError, Misfit
from lichen_adapters.orm.scalars import MOST, Scalar, scalar_of


class Merging(Protocol):
    """What a kind of column does with what lies in a document."""

    def update(self, target: Map, name: str, there: Any, value: Any) -> bool:
        """Change what lies at a key of a map so that it is the value; False when it must be replaced.

        `there` is what lies there, apart from the document (`to_py(typed=True)`): most often it is the value already.
        """

    def new(self, value: Any) -> Any:
        """What is put where nothing fitting is. Raises `Misfit`."""

    def read(self, there: Any) -> Any:
        """The value for a row, of what lies in a document or apart from it.

        Raises `Misfit` for what another program, or a newer one, may have put there.
        """


@dataclass(frozen=True, slots=True)
class ScalarMerging:
    """One value wins."""

    scalar: Scalar

    def update(self, target: Map, name: str, there: Any, value: Any) -> bool:
        """Whether the same is there, or what a row of this database shows so: a map takes no such assignment."""
        wanted = self.scalar.to_document(value)
        if type(there) is type(wanted) and there == wanted:
            return True
        kept = self.scalar.kept or self.scalar.from_document
        try:
            return bool(kept(_string(there)) == kept(wanted))
        except Misfit:
            return False

    def new(self, value: Any) -> Any:
        """As it is written in documents."""
        return self.scalar.to_document(value)

    def read(self, there: Any) -> Any:
        """As the column has it."""
        return self.scalar.from_document(_string(there))


@dataclass(frozen=True, slots=True)
class ClassMerging(ScalarMerging):
    """One value wins, of those that name a class: of another no object can be made, and no query gives any."""

    classes: Mapping[Any, object]

    def update(self, target: Map, name: str, there: Any, value: Any) -> bool:
        """As above."""
        return ScalarMerging.update(self, target, name, there, self._known(value))

    def new(self, value: Any) -> Any:
        """As above."""
        return ScalarMerging.new(self, self._known(value))

    def read(self, there: Any) -> Any:
        """As above."""
        return self._known(ScalarMerging.read(self, there))

    def _known(self, value: Any) -> Any:
        if value not in self.classes:
            raise Misfit(f"{value!r} is no class that this version of the application has")
        return value


class TextMerging:
    """By character."""

    def update(self, target: Map, name: str, there: Any, value: Any) -> bool:
        """The minimal edit."""
        if not isinstance(there, Text):
            return False
        if str(there) != _of(str, value):
            target.text(name).update(value)
        return True

    def new(self, value: Any) -> Any:
        """A text."""
        return Text(_of(str, value))

    def read(self, there: Any) -> Any:
        """A string."""
        if not isinstance(there, Text | str):
            raise Misfit(f"{there!r} is no text")
        return str(there)


class CounterMerging:
    """Differences add up."""

    def update(self, target: Map, name: str, there: Any, value: Any) -> bool:
        """The difference."""
        if not isinstance(there, Counter):
            return False
        if there.value != _of(int, value):
            target.counter(name).increment(_difference(value, there.value))
        return True

    def new(self, value: Any) -> Any:
        """A counter."""
        return Counter(_of(int, value))

    def read(self, there: Any) -> Any:
        """A whole number."""
        if not isinstance(there, Counter):
            raise Misfit(f"{there!r} is no counter")
        return there.value


class SetMerging:
    """By element: each is a key of a map, as JSON."""

    def update(self, target: Map, name: str, there: Any, value: Any) -> bool:
        """Add and take out."""
        if not isinstance(there, Mapping):
            return False
        wanted, held = {_element(one) for one in value}, set(there)
        for gone in sorted(held - wanted):
            del target.map(name)[gone]
        for new in sorted(wanted - held):
            target.map(name)[new] = True
        return True

    def new(self, value: Any) -> Any:
        """A map."""
        return {_element(one): True for one in value}

    def read(self, there: Any) -> Any:
        """A set."""
        if not isinstance(there, Mapping):
            raise Misfit(f"{there!r} is no set")
        return {_of_element(key) for key in there}


class DataMerging:
    """Plain data, by key and item at any depth."""

    def update(self, target: Map, name: str, there: Any, value: Any) -> bool:
        """The fewest writes."""
        if isinstance(there, Mapping) and isinstance(value, Mapping):
            update_map(target.map(name), value)
        elif isinstance(there, list) and isinstance(value, list):
            update_list(target.list(name), value)
        else:
            return type(there) is type(value) and bool(there == value)
        return True

    def new(self, value: Any) -> Any:
        """As it is, but for whole numbers of more than 64 bits: SQLite keeps those by themselves as fractions."""
        if type(value) is int and not -MOST <= value < MOST:
            raise Misfit(f"{value!r} takes more than 64 bits", hint="write a larger one as a string")
        return value

    def read(self, there: Any) -> Any:
        """Plain data."""
        return self.new(_json(plain(there)))


@dataclass(frozen=True, slots=True)
class ShapedMerging(DataMerging):
    """Plain data of some types alone."""

    types: tuple[type, ...]

    def update(self, target: Map, name: str, there: Any, value: Any) -> bool:
        """As above."""
        return DataMerging.update(self, target, name, there, self._fitting(value))

    def new(self, value: Any) -> Any:
        """As above."""
        return DataMerging.new(self, self._fitting(value))

    def _fitting(self, value: Any) -> Any:
        if not isinstance(value, self.types):
            raise Misfit(f"{value!r} is no {' and no '.join(one.__name__ for one in self.types)}")
        return value


class ListMerging(DataMerging):
    """Plain data that is a list."""

    def update(self, target: Map, name: str, there: Any, value: Any) -> bool:
        """The fewest writes."""
        return super().update(target, name, there, _of(list, value))

    def new(self, value: Any) -> Any:
        """A list."""
        return _of(list, value)

    def read(self, there: Any) -> Any:
        """A list."""
        if not isinstance(there, list | List):
            raise Misfit(f"{there!r} is no list")
        return _json(plain(there))


def _json(data: Any) -> Any:
    """Plain data that JSON has a form of: documents have bytes and times, too."""
    if isinstance(data, Mapping):
        for item in data.values():
            _json(item)
    elif isinstance(data, list):
        for item in data:
            _json(item)
    elif data is not None and not isinstance(data, str | int | float):
        raise Misfit(f"{data!r} has no form in JSON")
    return data


UNFIT = (OverflowError, ValueError)
"""What documents raise for values that databases take: in JSON, large numbers, half characters and deep nesting."""

_MERGINGS: dict[Kind, Merging] = {
    Kind.TEXT: TextMerging(),
    Kind.COUNTER: CounterMerging(),
    Kind.SET: SetMerging(),
    Kind.LIST: ListMerging(),
    Kind.JSON: DataMerging(),
}


@dataclass(frozen=True, slots=True)
class SyncedColumn:
    """A column that lies in documents, under its name in the table."""

    name: str
    kind: Kind
    column: Column[Any]
    merging: Merging

    @classmethod
    def of(cls, column: Column[Any], dialect: Dialect | None = None) -> SyncedColumn:
        """How a column of a database of this kind merges. Raises `MappingError` when it cannot."""
        kind = kind_of(column)
        if kind is Kind.COUNTER and not isinstance(column.type, Integer):
            raise MappingError(
                f"column {column} is a counter of type {column.type!r}, but counts whole numbers",
                hint="annotate it with `Mapped[int]`",
            )
        merging = _MERGINGS.get(kind)
        if kind is Kind.JSON and SHAPES in column.info:
            merging = ShapedMerging(column.info[SHAPES])
        if merging is None:
            merging = DataMerging() if kind is Kind.LOCAL else _scalar(column, dialect)
        return cls(column.name, kind, column, merging)

    def write(self, target: Map, content: Mapping[str, Any], value: Any) -> dict[str, Any]:
        """Make a map of a document hold a value of a row; returns what is still to be assigned to its keys.

        `content` is what the map holds, apart from it (`to_py(typed=True)`). Raises `Misfit`.
        """
        there = content.get(self.name)
        if value is None:
            return {} if there is None and self.name in content else {self.name: None}
        try:
            held = there is not None and self.merging.update(target, self.name, there, value)
        except Misfit as misfit:
            raise self._named(misfit) from misfit
        except UNFIT as refused:
            raise self.unfit(refused) from refused
        return {} if held else {self.name: self.new(value)}

    def new(self, value: Any) -> Any:
        """What stands for a value in a map that is new. Raises `Misfit`."""
        try:
            return None if value is None else self.merging.new(value)
        except Misfit as misfit:
            raise self._named(misfit) from misfit

    def unfit(self, refused: Exception) -> Misfit:
        """The error for a value that documents do not take, other than databases."""
        hint = "write a larger one as a string" if isinstance(refused, OverflowError) else ""
        return Misfit(f"{self.name}: this cannot be in a document: {refused}", hint=hint)

    def _named(self, misfit: Misfit) -> Misfit:
        return Misfit(f"{self.name}: {misfit}")

    def read(self, source: Mapping[str, Any]) -> Any:
        """The value for a row, of a map of a document or of what one holds. Raises `Misfit`."""
        there = source.get(self.name)
        if there is None:
            return None
        try:
            return self.merging.read(there)
        except Misfit as misfit:
            raise self._named(misfit) from misfit


def _scalar(column: Column[Any], dialect: Dialect | None) -> ScalarMerging:
    scalar = scalar_of(column, dialect)
    return ClassMerging(scalar, column.info[CLASSES]) if CLASSES in column.info else ScalarMerging(scalar)


def kind_of(column: Column[Any]) -> Kind:
    """How the values of a column merge."""
    said: Kind | None = column.info.get(KIND)
    return said or (
        Kind.SET if isinstance(column.type, SetOf) else Kind.JSON if isinstance(column.type, JSON) else Kind.SCALAR
    )


def _string(there: Any) -> Any:
    """A text as a string, which it was in a model before, or is in a later one."""
    return str(there) if isinstance(there, Text) else there


def _of(kind: type, value: Any) -> Any:
    """A value of a row, which must be of this type. SQLite keeps any value in most columns."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Misfit(f"{value!r} is no {kind.__name__}")
    return value


def _difference(value: int, before: int) -> int:
    """What is added to a counter."""
    difference = value - before
    if not -MOST <= difference < MOST:
        raise Misfit(f"{difference} is more than a counter can change at once")
    return difference


def _element(value: Any) -> str:
    """An element of a set as a key."""
    return json.dumps(element(value), ensure_ascii=False)


def _of_element(key: str) -> Any:
    try:
        value = json.loads(key)
    except (ValueError, RecursionError):
        value = None
    if type(value) not in (str, int):
        raise Misfit(f"{key!r} is no element of a set")
    return value
