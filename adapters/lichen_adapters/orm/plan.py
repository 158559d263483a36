"""Which tables are synced, and how their rows lie in documents.

A row that is a document of its own has its columns at the root, by name, and the name of its table at `@table`. The
rows of a part lie in the map `@` + the part's table of their owner's document, each in a map under its id in
hexadecimal. What is deleted stays, and is marked by the key `@deleted`, so that it can be restored with what others
wrote at the same time. A row of a table with unique keys has at `@begun` when it was begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, MetaData, Table

from lichen_adapters.orm.columns import Kind
from lichen_adapters.orm.errors import MappingError
from lichen_adapters.orm.merging import SyncedColumn
from lichen_adapters.orm.synced import OWNER, SYNCED
from lichen_adapters.orm.unique_keys import OURS, UNIQUE

TABLE = "@table"
DELETED = "@deleted"
BEGUN = "@begun"
"""Where a row with unique keys has the time at which it was begun, in ms since 1970."""


@dataclass(frozen=True, slots=True, eq=False)
class SyncedTable:
    """One synced table."""

    number: int
    """Its place in the plan, by which the journal names it."""
    table: Table
    columns: dict[str, SyncedColumn]
    """Those that lie in documents, without the key and the owner."""
    owner: Column[Any] | None
    """Which column points at the row in whose document these lie; None when each is a document."""
    unique: tuple[tuple[str, ...], ...] = ()
    """The columns of each unique key."""
    parts: list[SyncedTable] = field(default_factory=list)
    """The tables whose rows lie in the documents of this one's."""

    @property
    def name(self) -> str:
        """As in the database, and in documents."""
        return self.table.name

    @property
    def claiming(self) -> set[str]:
        """The columns of unique keys."""
        return {name for names in self.unique for name in names}

    @property
    def place(self) -> str:
        """Where the rows of a part lie in a document."""
        return f"@{self.name}"


class Plan:
    """The synced tables of one declarative base. Raises `MappingError`."""

    def __init__(self, metadata: MetaData) -> None:
        self.tables: dict[str, SyncedTable] = {}
        for number, table in enumerate(_synced(metadata)):
            if table.name in self.tables:
                raise MappingError(f"two synced tables have the name {table.name}")
            self.tables[table.name] = _planned(number, table)
        for planned in self.tables.values():
            if planned.owner is not None:
                self._owner_of(planned).parts.append(planned)

    def _owner_of(self, part: SyncedTable) -> SyncedTable:
        assert part.owner is not None
        (key,) = part.owner.foreign_keys
        owner = self.tables.get(key.column.table.name)
        if owner is None or owner.owner is not None or key.column is not owner.table.c.id:
            raise MappingError(
                f"{part.owner} does not point at the id of a synced class that is a document of its own",
                hint="name in part_of the column of the document in which the rows are to lie",
            )
        return owner

    def __iter__(self) -> Iterator[SyncedTable]:
        return iter(self.tables.values())


def _synced(metadata: MetaData) -> list[Table]:
    return [table for table in metadata.sorted_tables if SYNCED in table.info]


def _planned(number: int, table: Table) -> SyncedTable:
    owner = table.columns.get(table.info.get(OWNER, ""))
    own = {owner, table.c.id, *(column for column in table.columns if OURS in column.info)}
    columns = [SyncedColumn.of(column) for column in table.columns if column not in own]
    kept = {one.name: one for one in columns if one.kind is not Kind.LOCAL}
    return SyncedTable(number, table, kept, owner, table.info.get(UNIQUE, ()))
