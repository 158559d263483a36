"""From documents to rows: what each row is, and which of them a change makes stale; pure."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lichen_crdt import Map, Patch
from sqlalchemy import FromClause
from sqlalchemy.orm import Mapper

from lichen_adapters.orm.errors import Misfit
from lichen_adapters.orm.plan import BEGUN, DELETED, TABLE, Plan, SyncedTable

log = logging.getLogger("lichen.orm")

LATEST = 1 << 53
"""No time is later, in ms."""

Content = Mapping[str, Any]
"""What a map of a document holds: the map itself, or `to_py(typed=True)` of it, which is read many times faster."""
C = TypeVar("C", Map, Content)
Row = dict[str, Any]
Place = tuple[SyncedTable, uuid.UUID]
"""One row: its table and its id."""


@dataclass(frozen=True, slots=True)
class Link:
    """One row of an association."""

    table: SyncedTable
    owner: Place
    other: uuid.UUID


@dataclass(slots=True)
class Stale:
    """Which rows of a document may be out of date: for each the columns, None for the whole row."""

    rows: dict[Place, set[str] | None] = field(default_factory=dict)
    links: dict[Link, None] = field(default_factory=dict)
    everything: bool = False
    unknown: dict[Place, None] = field(default_factory=dict)
    """Rows that have changed in what their tables, or this model, do not have: those of the document's root too."""

    def add(self, planned: SyncedTable, row: uuid.UUID, column: str | None) -> None:
        """This column, or all of a row."""
        known = self.rows.setdefault((planned, row), set())
        moves = planned.owner is not None and column == planned.owner.name
        turns = planned.parts and planned.discriminator is not None and column == planned.discriminator.name
        if column is None or column in (DELETED, BEGUN) or moves or turns:
            self.rows[planned, row] = None
        elif known is not None:
            known.add(column)


def root_of(plan: Plan, document: Content) -> SyncedTable | None:
    """Whose rows are documents such as this one; None when it is none of the plan's."""
    root = plan.tables.get(str(document.get(TABLE)))
    return None if root is None or root.owner is not None else root


def contents(root: SyncedTable, doc: uuid.UUID, document: C) -> dict[Place, C]:
    """Where every row lies in a document, also those that are deleted; owners first."""
    if not root.parts:
        return {(root, doc): document}
    parts: dict[SyncedTable, dict[Place, C]] = {part: {} for part in root.beneath}
    tables = {part.name: part for part in parts}
    for name in document:
        part = _table_of(name, tables)
        key = None if part is None else _id(name)
        if part is not None and key is not None and _is_map(document[name]):
            parts[part][part, key] = document[name]
    found: dict[Place, C] = {(root, doc): document}
    for rows in parts.values():
        found.update(rows)
    return found


def sources(root: SyncedTable, doc: uuid.UUID, document: C) -> dict[Place, C]:
    """Where every row that a document stands for lies in it, owners first: it and all its owners are not deleted.

    A row in a joined table that objects of its class do not have is none.
    """
    found: dict[Place, C] = {}
    for place, content in contents(root, doc, document).items():
        owned = place[0] is root or owner_of(place, doc, content) in found
        if owned and not content.get(DELETED) and is_of_its_class(place, found):
            found[place] = content
    return found


def is_of_its_class(place: Place, there: Mapping[Place, Content]) -> bool:
    """Whether a row is one that its object has, as the rows of base tables say, which are `there`."""
    planned, key = place
    for base in planned.bases:
        cls = base.class_of(there.get((base, key), {}))
        if cls is not None:
            return planned.table in _tables_of(cls)
    return True


def incomplete(there: Mapping[Place, Content]) -> dict[Place, str]:
    """The objects over joined tables that have not all their rows: the row that says their class, and what is missing.

    `there` are the `sources` of a document.
    """
    found: dict[Place, str] = {}
    for (planned, key), content in there.items():
        cls = planned.class_of(content) if planned.parts else None
        if cls is not None:
            tables = _tables_of(cls)
            missing = [one.name for one in planned.joined if one.table in tables and (one, key) not in there]
            if missing:
                found[planned, key] = f"it is a {cls.class_.__name__}, without its row of table {', '.join(missing)}"
    return found


def _tables_of(cls: Mapper[Any]) -> Collection[FromClause]:
    """The tables in which an object of a class has rows."""
    return [one.local_table for one in cls.iterate_to_root()]


def content_of(document: C, planned: SyncedTable, key: uuid.UUID) -> C | None:
    """Where a row lies in a document, live or deleted; None where it does not."""
    content = document if planned.owner is None else document.get(planned.place(key))
    return content if _is_map(content) else None


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


def deleted_with(place: Place, doc: uuid.UUID, there: Mapping[Place, Content]) -> Place | None:
    """The row with whose deletion this one went: the farthest of its owners, or itself. `there` are `contents`."""
    found = None
    at: Place | None = place
    while at is not None and at in there:
        if there[at].get(DELETED):
            found = at
        at = _owner_there(at, doc, there)
    return found


def owned_by(place: Place, doc: uuid.UUID, there: Mapping[Place, Content]) -> set[Place]:
    """A row and all that it owns, however far beneath. `there` are `contents`, owners first."""
    found = {place}
    for one in there:
        if _owner_there(one, doc, there) in found:
            found.add(one)
    return found


def _owner_there(place: Place, doc: uuid.UUID, there: Mapping[Place, Content]) -> Place | None:
    """The row that owns a row; of an object that lacks rows of classes between the two, the next above."""
    owner = None if place[0].owner is None else owner_of(place, doc, there[place])
    while owner is not None and owner not in there and owner[0].owner is owner[0].key and owner[0].above is not None:
        owner = owner[0].above, owner[1]
    return owner


def owner_of(place: Place, doc: uuid.UUID, content: Content) -> Place | None:
    """The row that owns the row of a part; None when that is not said."""
    planned, key = place
    assert planned.owner is not None
    assert planned.above is not None
    if planned.owner is planned.key:
        return planned.above, key
    if planned.above.owner is None:
        return planned.above, doc
    with suppress(Misfit):
        owner = planned.columns[planned.owner.name].read(content)
        return None if owner is None else (planned.above, owner)
    return None


def with_beneath(rows: dict[Place, set[str] | None], doc: uuid.UUID, there: Mapping[Place, Content]) -> None:
    """Add to stale rows what goes and comes with those that are stale as a whole. `there` is `contents`."""
    if not any(columns is None and place[0].parts for place, columns in rows.items()):
        return
    for place, content in there.items():
        owner = None if place[0].owner is None else owner_of(place, doc, content)
        if owner is not None and rows.get(owner, ()) is None:
            rows[place] = None


def links(root: SyncedTable, doc: uuid.UUID, document: Content, there: Mapping[Place, Content]) -> dict[Link, None]:
    """The rows of associations that a document stands for; `there` are its `sources`."""
    tables = {one.name: one for owner in (root, *root.beneath) for one in owner.associations}
    found: dict[Link, None] = {}
    for name in document if tables else ():
        link = _link(name, tables, doc)
        if link is not None and link.owner in there:
            found[link] = None
    return found


def fixed(planned: SyncedTable, doc: uuid.UUID, key: uuid.UUID) -> Row:
    """What a row has that is no column of a document."""
    if planned.owner is None or planned.owner.name in planned.columns:
        return {"id": key}
    return {planned.owner.name: doc, "id": key}


def read_row(planned: SyncedTable, source: Content, fixed: Row) -> Row:
    """The columns of a row that a map holds, beside `fixed`. Raises `Misfit`."""
    row = dict(fixed)
    for name, column in planned.columns.items():
        if name in source:
            row[name] = column.read(source)
    return row


def fitting(planned: SyncedTable, source: Content) -> Row:
    """The columns of a row that a map holds and that fit."""
    found = {}
    for name, column in planned.columns.items():
        with suppress(Misfit):
            if name in source:
                found[name] = column.read(source)
    return found


def begun(source: Content) -> int:
    """When a row was begun, in ms since 1970; 0 where that is not said."""
    there = source.get(BEGUN)
    return there if type(there) is int and 0 <= there < LATEST else 0


def places_of(patches: Iterable[Patch]) -> list[Sequence[str | int]]:
    """Where patches change a document: keys and indexes from the root."""
    return [[*patch.path, *([patch.key] if hasattr(patch, "key") else ())] for patch in patches]


def stale(root: SyncedTable, doc: uuid.UUID, places: Iterable[Sequence[str | int]]) -> Stale:
    """What is stale after a document has changed in these places."""
    found = Stale()
    parts = {part.name: part for part in root.beneath}
    tables = {one.name: one for owner in (root, *parts.values()) for one in owner.associations}
    for place in places:
        first = str(place[0])
        if first in (TABLE, DELETED):
            found.everything = True
        elif first in root.columns or first == BEGUN:
            found.add(root, doc, first)
        elif (part := _table_of(first, parts)) is not None:
            key, column = _id(first), str(place[1]) if len(place) > 1 else None
            if key is not None and (column is None or column in part.columns or column in (DELETED, BEGUN)):
                found.add(part, key, column)
            elif key is not None:
                found.unknown[part, key] = None
        elif (link := _link(first, tables, doc)) is not None:
            found.links[link] = None
        else:
            found.unknown[root, doc] = None
    return found


def _table_of(name: str, tables: dict[str, SyncedTable]) -> SyncedTable | None:
    """Of which of these tables a key at the root of a document holds a row."""
    return tables.get(name[1:].rpartition("/")[0]) if name.startswith("@") else None


def _link(name: str, tables: dict[str, SyncedTable], doc: uuid.UUID) -> Link | None:
    table = _table_of(name, tables)
    if table is None or table.above is None:
        return None
    owner, _, other = name.rpartition("/")[2].rpartition("-")
    key = doc if table.above.owner is None else _uuid(owner)
    to = _uuid(other)
    return None if key is None or to is None else Link(table, (table.above, key), to)


def _id(name: str) -> uuid.UUID | None:
    found = _uuid(name.rpartition("/")[2])
    if found is None:
        log.warning("%r has no id of a row", name)
    return found


def _uuid(text: str) -> uuid.UUID | None:
    """An id in the one form in which it is written: else two keys would stand for one row."""
    with suppress(ValueError):
        found = uuid.UUID(text)
        return found if found.hex == text else None
    return None
