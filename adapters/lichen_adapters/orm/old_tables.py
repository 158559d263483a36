"""The tables of a database that is adopted, and their rows, with values as columns here take them."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Dialect, Table, TypeDecorator, column, inspect, select, table
from sqlalchemy.types import NullType

from lichen_adapters.orm.errors import AdoptionError
from lichen_adapters.orm.plan import SyncedTable
from lichen_adapters.orm.sessions import Sessions
from lichen_adapters.orm.unique_keys import OURS

CHUNK = 500
"""Rows that are read at once, and written in one transaction."""

Old = Mapping[str, Any]
"""A row, with values as they are here but for keys."""

_EXACT = (
    bool,
    str,
    bytes,
    int,
    float,
    uuid.UUID,
    decimal.Decimal,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
)


@dataclass(frozen=True, slots=True)
class OldTable:
    """One table of the old database, and what it is here."""

    table: Table
    """As it is here."""
    planned: SyncedTable | None
    """How it is synced, if it is."""
    keys: tuple[str, ...]
    """Its primary key there."""
    columns: tuple[str, ...]
    """The columns that it has here and there, without the `id`."""

    def rows(self, old: Connection) -> Iterator[list[Old]]:
        """All its rows, in the order of their keys, some at a time.

        SQLite keeps any value in any column: what it gives is read as it lies, so that the row can be named. Raises
        `AdoptionError` for a value that does not fit.
        """
        loose = old.dialect.name == "sqlite"
        typed = [self.table.c[name] for name in self.columns if not self.target(name)]
        readers = {one.name: _reader(one, old.dialect if loose else None) for one in typed}
        types = {} if loose else {one.name: one.type for one in typed}
        names = dict.fromkeys((*self.keys, *self.columns))
        there = table(self.table.name, *(column(name, types.get(name, NullType())) for name in names))
        found = old.execute(select(there).order_by(*(there.c[name] for name in self.keys))).mappings()
        for part in found.partitions(CHUNK):
            yield [self._read(dict(row), readers) for row in part]

    def _read(self, row: dict[str, Any], readers: Mapping[str, Callable[[Any], Any]]) -> Old:
        key = self.key_of(row)
        for name, reader in readers.items():
            try:
                value = row[name] if row[name] is None else reader(row[name])
            except (ValueError, TypeError, LookupError, ArithmeticError) as error:
                raise AdoptionError(
                    f"row {key} of {self.table.name} has {row[name]!r} in {name}, which does not fit: {error}",
                    hint="mend it in a copy of the old database",
                ) from error
            row[name] = value
        return row

    def target(self, name: str) -> str | None:
        """At the rows of which table a column points."""
        return next((key.column.table.name for key in self.table.c[name].foreign_keys), None)

    def key_of(self, row: Old) -> str:
        """The key of one of its rows, as it is noted."""
        return noted(*(row[name] for name in self.keys))


def noted(*key: Any) -> str:
    """A key as it is noted."""
    return "/".join(f"x'{one.hex()}'" if isinstance(one, bytes) else str(one).replace("/", "//") for one in key)


def old_tables(sessions: Sessions, old: Connection) -> Iterator[OldTable]:
    """The tables in the order in which they can be written: synced ones, owners first, and then the others."""
    there = inspect(old)
    names = set(there.get_table_names())
    others = [one for one in sessions.metadata.sorted_tables if one.name not in sessions.plan.tables]
    for here in (*(planned.table for planned in sessions.plan), *others):
        if here.name not in names:
            continue  # it is new
        planned = sessions.plan.tables.get(here.name)
        keys = tuple(there.get_pk_constraint(here.name)["constrained_columns"])
        columns = {one["name"] for one in there.get_columns(here.name)}
        made = {"id"} if planned is not None and planned.other is None else set()
        lost = columns - set(here.c.keys()) - set(keys)
        if lost:
            raise AdoptionError(
                f"table {here.name} has no column here for {', '.join(sorted(lost))}",
                hint="declare it, as local_column() if it shall not sync, or drop it from a copy of the old database",
            )
        if not keys or (made and len(keys) > 1):
            raise AdoptionError(
                f"table {here.name} has no key of one column in the old database",
                hint="give it one in a copy of the old database",
            )
        kept = tuple(
            one.name for one in here.c if one.name in columns - made and OURS not in one.info and not one.computed
        )
        yield OldTable(here, planned, keys, kept)


def _reader(here: Column[Any], raw: Dialect | None) -> Callable[[Any], Any]:
    """What makes a value of the old database one of a column; of one that the dialect has not read, with `raw`."""
    type_ = here.type
    process = None if raw is None else type_.dialect_impl(raw).result_processor(raw, None)
    exact: type | None = None
    with suppress(NotImplementedError):  # SQLAlchemy's way of saying that a type has none
        exact = None if isinstance(type_, TypeDecorator) or type_.python_type not in _EXACT else type_.python_type

    def read(value: Any) -> Any:
        if isinstance(type_, Boolean) and value not in (0, 1):
            raise ValueError("it is neither true nor false")
        value = value if process is None else process(value)
        return value if exact is None or isinstance(value, exact) else _converted(value, exact)

    return read


def _converted(value: Any, wanted: type) -> Any:
    """A value of another type, where nothing is lost: numbers as text, as SQLite makes them of them, and back."""
    if type(value) in (int, float, str) and wanted in (int, float, str):
        made = wanted(value)
        if wanted is str or type(value) is str or made == value:
            return made
    raise ValueError(f"it is no {wanted.__name__}")
