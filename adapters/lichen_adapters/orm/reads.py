"""What statements read: which tables, and which of their columns."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    Column,
    ColumnClause,
    Connection,
    Executable,
    Select,
    Table,
    TextClause,
    TextualSelect,
    Uuid,
    inspect,
)
from sqlalchemy.engine.interfaces import Compiled
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseElement, Over
from sqlalchemy.sql.functions import Function, FunctionElement
from sqlalchemy.sql.selectable import FromClause, SelectBase, TableClause
from sqlalchemy.sql.visitors import ExternallyTraversible

from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.feed import Changes

_OF_ONE_ROW = frozenset(["abs", "coalesce", "ifnull", "instr", "length", "lower", "replace", "round", "trim", "upper"])
"""Functions that are known to be no aggregates."""
_NO_TEXT = frozenset(["*", "1"])
"""What SQLAlchemy writes itself, in `count(*)` and in `EXISTS (SELECT 1 ...)`."""


@dataclass(slots=True)
class Reads:
    """What some statements read together."""

    columns: dict[str, set[str] | None] = field(default_factory=dict)
    """The columns of each table by its name; None for all that it has."""
    times: Counter[str] = field(default_factory=Counter)
    """In how many places a table is read."""

    def add(self, other: Reads) -> None:
        """These are read too."""
        for table, columns in other.columns.items():
            known = self.columns.setdefault(table, set())
            self.columns[table] = None if known is None or columns is None else known | columns
        self.times.update(other.times)

    def cover(self, other: Reads) -> bool:
        """Whether these are read too, with all of their columns, and in as many places."""
        for table, columns in other.columns.items():
            known = self.columns.get(table, set())
            if known is not None and (columns is None or not columns <= known):
                return False
        return other.times <= self.times

    def touched(self, changes: Changes) -> dict[str, set[uuid.UUID] | None]:
        """Of each table that is read the rows whose change may show; None where that may be any row."""
        found: dict[str, set[uuid.UUID] | None] = {}
        for table, rows in changes.tables.items():
            if table not in self.columns:
                continue
            read = self.columns[table]
            if rows is None:
                found[table] = None
            elif touched := {row for row, columns in rows.items() if columns is None or read is None or columns & read}:
                found[table] = touched
        return found


def whole(tables: Iterable[str]) -> Reads:
    """All of these tables is read."""
    return Reads(dict.fromkeys(tables), Counter(tables))


_READING = "lichen.reading"


@contextmanager
def reading(conn: Connection, found: Reads) -> Iterator[None]:
    """What is read on a connection until the end of the block is added to `found`."""
    info = conn.info
    info[_READING] = found
    try:
        yield
    finally:
        info.pop(_READING, None)


def note(conn: Connection, compiled: Compiled | None) -> None:
    """A statement is about to be run."""
    found: Reads | None = conn.info.get(_READING)
    if found is not None and compiled is not None:
        found.add(reads_of(compiled))


_known: WeakKeyDictionary[Compiled, Reads] = WeakKeyDictionary()


def reads_of(compiled: Compiled) -> Reads:
    """What a compiled statement reads, with what the ORM has added to it."""
    found = _known.get(compiled)
    if found is None:
        written = getattr(compiled.compile_state, "statement", None)  # by the ORM
        found = _known[compiled] = _walked(compiled.statement if written is None else written)
    return found


def _walked(statement: ClauseElement | None) -> Reads:
    found = Reads()
    for element in () if statement is None else visitors.iterate(statement):
        if isinstance(element, TableClause):
            found.columns.setdefault(element.name, set() if isinstance(element, Table) else None)
            found.times[element.name] += 1
        elif isinstance(element, ColumnClause):
            for column in element.base_columns:
                if isinstance(column, Column) and isinstance(column.table, Table):
                    columns = found.columns.setdefault(column.table.name, set())
                    if columns is not None:
                        columns.add(column.name)
    return found


def is_textual(statement: Executable) -> bool:
    """Whether a part of a statement is text, of which it is not known what it reads."""
    return any(
        isinstance(one, TextClause | TextualSelect)
        or (isinstance(one, ColumnClause) and one.is_literal and one.name not in _NO_TEXT)
        for one in visitors.iterate(statement)  # type: ignore[arg-type]  # what is executed is such an element
    )


def keyed_table(statement: Executable) -> Table | None:
    """The table of a statement each row of whose result is one row of that table and depends on no other.

    Then a row that is not in the result, and does not match, does not change it. None for every other statement.
    """
    if not isinstance(statement, Select):
        return None
    froms = statement.get_final_froms()
    if len(froms) != 1 or not isinstance(froms[0], Table) or not _is_keyed(froms[0]):
        return None
    whole = statement.compare(statement.offset(None)) and statement.compare(statement.group_by(None))
    if not whole or statement.compare(statement.distinct()):
        return None
    filtering = set() if statement.whereclause is None else {id(one) for one in visitors.iterate(statement.whereclause)}
    for element in visitors.iterate(statement):
        if isinstance(element, Over | FunctionElement):
            if id(element) not in filtering and not _of_one_row(element):
                return None
        elif isinstance(element, FromClause | SelectBase) and not (element is statement or isinstance(element, Table)):
            return None  # another table has been seen among the froms, or the same is counted when it is read
    return None if any(isinstance(element, Over) for element in _computed(statement)) else froms[0]


def _computed(statement: Select[Any]) -> Iterator[ExternallyTraversible]:
    """What the classes of a statement give beside their columns, as by `column_property`."""
    for found in statement.column_descriptions:
        mapper = inspect(found["type"], raiseerr=False) if found.get("entity") is found["expr"] else None
        for attribute in [] if mapper is None else mapper.column_attrs:
            yield from visitors.iterate(attribute.expression)


def _of_one_row(element: Over[Any] | FunctionElement[Any]) -> bool:
    return isinstance(element, Function) and element.name in _OF_ONE_ROW


def _is_keyed(table: Table) -> bool:
    keys = list(table.primary_key)
    return len(keys) == 1 and isinstance(keys[0].type, Uuid) and keys[0].type.as_uuid


def names_of(reads: Iterable[Any]) -> list[str]:
    """The names of the tables of mapped classes and tables. Raises `SessionMisuse`."""
    tables = [one if isinstance(one, Table) else getattr(one, "__table__", one) for one in reads]
    for one in tables:
        if not isinstance(one, Table):
            raise SessionMisuse(f"reads names {one!r}, which is no class or table", hint="name them: reads=[Note]")
    return [table.name for table in tables]
