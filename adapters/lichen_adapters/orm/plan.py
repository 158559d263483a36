"""Which tables are synced, and how their rows lie in documents.

A row that is a document of its own has its columns at the root, by name, and the name of its table at `@table`. The
row of a part lies in the document of its owner, at any depth of owners, in a map at the root: under `@`, the name of
its table, `/` and its id in hexadecimal. So two devices that add parts at the same time never make one place twice.
What is deleted stays, and is marked by the key `@deleted`, so that it can be restored with what others wrote at the
same time. A row of a table with unique keys has at `@begun` when it was begun.

The rows of an association have no id: each is a key of the document of its owner, which is there or not: `@`, its
table, `/` and the id of what its owner is associated with; before it the owner's own id and `-`, when that is a part.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, Dialect, MetaData, Table
from sqlalchemy.orm import Mapper
from sqlalchemy.schema import CreateTable

from lichen_adapters.orm.columns import CLASSES, SHAPES, Kind
from lichen_adapters.orm.errors import MappingError, Misfit, SessionMisuse
from lichen_adapters.orm.merging import ClassMerging, ScalarMerging, SyncedColumn
from lichen_adapters.orm.synced import OTHER, OWNER, REPAIR, SYNCED, name_of
from lichen_adapters.orm.tables import check_names
from lichen_adapters.orm.unique_keys import JOIN, OURS, UNIQUE, refuse_late

TABLE = "@table"
DELETED = "@deleted"
BEGUN = "@begun"
"""Where a row with unique keys has the time at which it was begun, in ms since 1970."""


@dataclass(frozen=True, slots=True, eq=False)
class SyncedTable:
    """One synced table."""

    number: int
    """Its place in the plan, by which the journal names it; what owns it has a smaller one."""
    table: Table
    columns: dict[str, SyncedColumn]
    """Those that lie in documents: without the key, and without the owner where that is the document or the key."""
    owner: Column[Any] | None
    """Which column points at the row in whose document these lie; None when each is a document."""
    above: SyncedTable | None
    """The table at which the owner column points."""
    other: Column[Any] | None = None
    """For an association: which column points at what its owner is associated with."""
    unique: tuple[tuple[str, ...], ...] = ()
    """The columns of each unique key."""
    plain: bool = False
    """All its columns are scalars."""
    discriminator: SyncedColumn | None = None
    """The column that says of which class an object is, if it is one of documents."""
    parts: list[SyncedTable] = field(default_factory=list)
    """The tables whose rows are owned by rows of this one."""
    associations: list[SyncedTable] = field(default_factory=list)
    """The associations that are owned by rows of this one."""
    references: dict[str, SyncedTable] = field(default_factory=dict)
    """The columns that point at rows which may be joined, and their tables."""

    @property
    def name(self) -> str:
        """As in the database, and in documents."""
        return self.table.name

    @property
    def alone(self) -> bool:
        """Whether its rows own nothing: no parts, and no associations."""
        return not self.parts and not self.associations

    @property
    def base(self) -> SyncedTable | None:
        """The table of the base class, if this one is joined to it: one object has a row of the same id in both."""
        return self.above if self.owner is not None and self.owner is self.key else None

    @property
    def bases(self) -> Iterator[SyncedTable]:
        """As `base`, however far above."""
        above = self.base
        while above is not None:
            yield above
            above = above.base

    @property
    def first(self) -> SyncedTable:
        """The last of `bases`, or itself: that which every object has a row in."""
        return [self, *self.bases][-1]

    @property
    def joined(self) -> Iterator[SyncedTable]:
        """The tables of subclasses that are joined to this one, however far beneath, bases first."""
        tables = [self]
        for one in tables:
            tables += [part for part in one.parts if part.base is one]
        yield from tables[1:]

    def class_of(self, content: Mapping[str, Any]) -> Mapper[Any] | None:
        """Of which class an object is, by its row in this table as a document has it; None where that is not said."""
        if self.discriminator is None or self.discriminator.name not in content:
            return None
        with suppress(Misfit):
            classes: Mapping[Any, Mapper[Any]] = self.discriminator.column.info[CLASSES]
            return classes.get(self.discriminator.read(content))
        return None

    @property
    def joins(self) -> bool:
        """Whether rows with one key are one row."""
        return bool(self.table.info.get(JOIN))

    @property
    def repairs(self) -> bool:
        """Whether rows that the database does not take are put right."""
        return REPAIR in self.table.info

    @property
    def claiming(self) -> set[str]:
        """The columns of unique keys."""
        return {name for names in self.unique for name in names}

    @property
    def key(self) -> Column[Any]:
        """The column by which the journal names a row, beside its owner."""
        return self.table.c.id if self.other is None else self.other

    @property
    def beneath(self) -> Iterator[SyncedTable]:
        """The tables whose rows lie in the documents of this one's, owners first, without associations.

        The joined tables of an object come before those of what it owns.
        """
        yield from self.joined
        for part in (part for one in (self, *self.joined) for part in one.parts if part.base is None):
            yield part
            yield from part.beneath

    def place(self, key: uuid.UUID) -> str:
        """Where the row of a part lies in a document."""
        return f"@{self.name}/{key.hex}"

    def link(self, owner: uuid.UUID, other: uuid.UUID) -> str:
        """The key that stands for a row of an association."""
        assert self.above is not None
        return self.place(other) if self.above.owner is None else f"@{self.name}/{owner.hex}-{other.hex}"


class Plan:
    """The synced tables of one declarative base, in a database of this kind. Raises `MappingError`."""

    def __init__(self, metadata: MetaData, dialect: Dialect | None = None) -> None:
        self._dialect = dialect
        self.tables: dict[str, SyncedTable] = {}
        check_names(metadata)
        for table in metadata.sorted_tables:
            if SYNCED in table.info:
                self._add(table, ())
            else:
                _check_keys_to_synced(table)
        for planned in self:
            self._refer(planned)
        self.local_references = {
            planned: [
                column
                for table in metadata.sorted_tables
                for column in table.columns
                if _points_at(column, planned.table) and not self._is_synced(column)
            ]
            for planned in self
            if planned.joins
        }
        """The columns of the device alone that point at rows which may be joined."""
        self._columns = {planned.name: len(planned.table.columns) for planned in self}

    def require(self, table: Table) -> None:
        """Raises `SessionMisuse` for a synced table of another declarative base."""
        planned = self.tables.get(table.name)
        if planned is None or planned.table.metadata is not table.metadata:
            raise SessionMisuse(
                f"table {table.name} is of another declarative base than that for which `Sessions` was made",
                hint="let all synced classes of a store have one base",
            )

    def refuse_late(self, metadata: MetaData) -> None:
        """Raises `SessionMisuse` where a table, or a column, is synced that was declared after this was made."""
        for table in list(metadata.tables.values()):  # a thread may import more meanwhile
            if SYNCED in table.info and self._columns.get(table.name) != len(table.columns):
                raise SessionMisuse(
                    f"table {table.name}, or a column of it, was declared after `Sessions` was made,"
                    " which does not know of it",
                    hint="import all modules that have models before `Sessions(engine, Base)`",
                )

    def _refer(self, planned: SyncedTable) -> None:
        """Find the columns of a table that point at rows which may be joined."""
        if planned.joins and not planned.alone:
            raise MappingError(
                f"rows of {planned.name} are joined when they have one key, but own others",
                hint='let those own them that point at them, or leave out clash="join"',
            )
        pointing = planned.columns if planned.other is None else {planned.other.name: None}
        for name in pointing:
            for target in self:
                if target.joins and _points_at(planned.table.c[name], target.table):
                    planned.references[name] = target
        if planned.claiming & planned.references.keys():
            raise MappingError(
                f"a unique key of {planned.name} has a column that points at rows which may be joined",
                hint='leave that column out of the key, or clash="join" out of the class that it points at',
            )

    def _is_synced(self, column: Column[Any]) -> bool:
        planned = self.tables.get(column.table.name)
        return planned is not None and (column.name in planned.columns or column is planned.other)

    def _add(self, table: Table, below: tuple[Table, ...]) -> SyncedTable:
        """Plan a table, after what owns it."""
        known = self.tables.get(table.name)
        if known is not None:
            if known.table is not table:
                raise MappingError(
                    f"two synced tables have the name {table.name}", hint="give one of them another name"
                )
            return known
        owner = table.columns.get(table.info.get(OWNER, ""))
        above = None if owner is None else self._above(owner, (*below, table))
        other = table.columns.get(table.info.get(OTHER, ""))
        if other is None:
            refuse_late(table)
        implied = owner if above is None or above.owner is None else None
        columns = {} if other is not None else _columns(table, implied, self._dialect)
        unique = table.info.get(UNIQUE, ())
        plain = all(isinstance(column.merging, ScalarMerging) for column in columns.values())
        said = next((column for column in columns.values() if isinstance(column.merging, ClassMerging)), None)
        planned = SyncedTable(len(self.tables), table, columns, owner, above, other, unique, plain, said)
        self.tables[table.name] = planned
        if above is not None:
            (above.parts if other is None else above.associations).append(planned)
        if other is not None:
            _target(other)
        return planned

    def _above(self, owner: Column[Any], below: tuple[Table, ...]) -> SyncedTable:
        target = _target(owner)
        if target in below:
            raise MappingError(
                f"{owner} makes rows of {target.name} parts of themselves",
                hint="part_of names the column of the owner, at whose end there is a document",
            )
        return self._add(target, below)

    def mark(self, dialect: Dialect) -> bytes:
        """A digest of all that decides which rows documents become: 32 bytes."""
        digest = hashlib.sha256(b"lichen.orm 7")  # another number when the projection makes other rows
        for planned in self:
            digest.update(str(CreateTable(planned.table).compile(dialect=dialect)).encode())
            kinds = [(name, column.kind.value, repr(column.column.type)) for name, column in planned.columns.items()]
            owner = None if planned.owner is None else planned.owner.name
            points = sorted(
                (column.name, f"{key.column.table.fullname}.{key.column.name}")
                for column in planned.table.c
                for key in column.foreign_keys
            )
            joins = (planned.joins, name_of(planned.table.info[REPAIR][1])) if planned.repairs else planned.joins
            digest.update(repr((planned.name, kinds, owner, sorted(planned.unique), joins, points)).encode())
            for column in planned.table.c:
                if CLASSES in column.info:
                    digest.update(repr(sorted(map(repr, column.info[CLASSES]))).encode())
                digest.update(repr(column.info[SHAPES]).encode() if SHAPES in column.info else b"")
        return digest.digest()

    def __iter__(self) -> Iterator[SyncedTable]:
        return iter(self.tables.values())


def _target(column: Column[Any]) -> Table:
    """The table at whose id a column points, which must be synced."""
    (key,) = column.foreign_keys
    table: Table = key.column.table
    if SYNCED not in table.info or OTHER in table.info or key.column is not table.c.id:
        raise MappingError(
            f"{column} does not point at the id of a synced class",
            hint="the id of a row without sync means nothing on another device",
        )
    return table


def _check_keys_to_synced(table: Table) -> None:
    """Refuse what the database would: keys of a table without sync to what is unique within a space only."""
    for key in table.foreign_key_constraints:
        target = key.referred_table
        if SYNCED in target.info and [element.column for element in key.elements] != [target.c.id]:
            raise MappingError(
                f"{table.name}.{', '.join(key.column_keys)} points at other columns of the synced table "
                f"{target.name} than its id",
                hint="point at the id: other values are unique only within a space, and among rows that do not clash",
            )


def _points_at(column: Column[Any], table: Table) -> bool:
    return any(key.column is table.c.id for key in column.foreign_keys)


def _columns(table: Table, implied: Column[Any] | None, dialect: Dialect | None) -> dict[str, SyncedColumn]:
    own = {implied, table.c.id, *(column for column in table.columns if OURS in column.info)}
    columns = [column for column in table.columns if column not in own and column.computed is None]
    found = {column.name: SyncedColumn.of(column, dialect) for column in columns}
    return {name: one for name, one in found.items() if one.kind is not Kind.LOCAL}
