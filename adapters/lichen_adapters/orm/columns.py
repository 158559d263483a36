"""The columns of a synced class: how each one merges."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from sqlalchemy import JSON, Dialect, Text, TypeDecorator
from sqlalchemy.ext.mutable import MutableList, MutableSet
from sqlalchemy.orm import MappedColumn, mapped_column

from lichen_adapters.orm.errors import Misfit

KIND = "lichen.kind"
"""Where a column has its kind, in `Column.info`."""
CLASSES = "lichen.classes"
"""Where the column that says of which class a row is has the classes by its values, in `Column.info`."""
SHAPES = "lichen.shapes"
"""Where a JSON column has the types of the values that it takes, if not all, in `Column.info`."""
SEARCH = "lichen.search"
"""Where a column and its table have how its text is searched, in their `info`: by "words" or "trigram"."""


class Kind(Enum):
    """How concurrent writes of one column come together."""

    SCALAR = "scalar"
    """One of them wins; the others are kept as conflicts."""
    TEXT = "text"
    """By character."""
    COUNTER = "counter"
    """Differences add up."""
    SET = "set"
    """By element; an addition wins over a removal at the same time."""
    LIST = "list"
    """By item."""
    JSON = "json"
    """By key and item, at any depth."""
    LOCAL = "local"
    """It never leaves the device."""


def element(value: object) -> str | int:
    """An element of a set, as it is. Raises `Misfit` for what cannot be one."""
    if type(value) is str or type(value) is int:
        return value
    raise Misfit(f"a synced set holds strings and whole numbers, not {value!r}")


class SetOf(TypeDecorator[set[Any]]):
    """A set of strings or whole numbers in a JSON column, which holds it as a sorted array."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: set[Any] | None, dialect: Dialect) -> list[Any] | None:
        """The array. Raises `Misfit`."""
        return None if value is None else sorted(map(element, value), key=lambda one: (isinstance(one, str), one))

    def process_result_value(self, value: list[Any] | None, dialect: Dialect) -> set[Any] | None:
        """The set."""
        return None if value is None else set(value)


def synced_text(
    *, search: bool | Literal["trigram"] = False, **options: Any
) -> MappedColumn[Any]:  # Any: the annotation `Mapped[str]` says what it is
    """A text that merges by character: a new string becomes the fewest edits. Other options are `mapped_column`'s.

    With `search`, `search()` finds its words; with "trigram" any part of them of three characters or more, as texts
    need it that put no spaces between words.
    """
    if search:
        options["info"] = {**(options.get("info") or {}), SEARCH: "words" if search is True else search}
    return _column(Kind.TEXT, Text, options)


def synced_counter(**options: Any) -> MappedColumn[Any]:  # Any: as above
    """A whole number whose assignments add their difference, so that concurrent `note.stars += 1` add up."""
    options.setdefault("default", 0)
    return _column(Kind.COUNTER, None, options)


def synced_set(**options: Any) -> MappedColumn[Any]:  # Any: as above
    """A set of strings or whole numbers that merges by element. In dataclasses it takes `default_factory=set`."""
    _default(options, set)
    return _column(Kind.SET, MutableSet.as_mutable(SetOf()), options)


def synced_list(**options: Any) -> MappedColumn[Any]:  # Any: as above
    """A list of plain values that merges by item. In dataclasses it takes `default_factory=list`."""
    _default(options, list)
    return _column(Kind.LIST, MutableList.as_mutable(JSON(none_as_null=True)), options)


def local_column(**options: Any) -> MappedColumn[Any]:  # Any: as above
    """A column that never leaves the device. It is null, or has its default, in rows that come from others."""
    options["info"] = {**(options.get("info") or {}), KIND: Kind.LOCAL}
    return mapped_column(**options)


def _default(options: dict[str, Any], made: type) -> None:
    """What a row holds that was given nothing. A dataclass has a `default_factory` beside it."""
    if "default" not in options:
        options.setdefault("insert_default", made)


def _column(kind: Kind, column_type: Any, options: dict[str, Any]) -> MappedColumn[Any]:
    options["info"] = {**(options.get("info") or {}), KIND: kind}
    options.setdefault("active_history", True)  # a flush must know what was loaded
    return mapped_column(*(() if column_type is None else (column_type,)), **options)
