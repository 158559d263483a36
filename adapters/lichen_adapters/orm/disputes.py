"""Where writers of one row disagreed: columns with several values, and rows that one deleted while another edited them.

They are noted beside the tables as documents change, so that they can be listed without looking into every document.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from typing import Any

from lichen_crdt import CrdtError, Document, List, Map
from lichen_crdt.views import plain
from sqlalchemy import Column, Connection, String, Table, Uuid, delete, insert, select

from lichen_adapters.orm.held import metadata
from lichen_adapters.orm.plan import DELETED, SyncedTable
from lichen_adapters.orm.projection import Place, content_of, places_of

HASH_BYTES = 32

disputed = Table(
    "lichen_disputed",
    metadata,
    Column("table_name", String, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("doc", Uuid, primary_key=True),
    Column("column_name", String, primary_key=True),
)
"""A column that has several values, or `@deleted` for a deleted row that was edited at the same time."""


class Disputes:
    """Notes what is in dispute. Which tables have such rows is kept in memory, since few have."""

    def __init__(self) -> None:
        self._tables: set[str] | None = None

    def any(self, conn: Connection, planned: SyncedTable) -> bool:
        """Whether a table has rows in dispute, or had lately."""
        return planned.name in self._known(conn)

    def _known(self, conn: Connection) -> set[str]:
        if self._tables is None:
            self._tables = set(conn.scalars(select(disputed.c.table_name).distinct()))
        return self._tables

    def review(
        self, conn: Connection, doc: uuid.UUID, place: Place, content: Map | None, columns: Iterable[str] | None = None
    ) -> None:
        """Note what is in dispute in a live row now, of these columns or all of it; None for a row that is nowhere."""
        planned, _ = place
        names = planned.columns.keys() if columns is None else planned.columns.keys() & columns
        found = set() if content is None else {name for name in names if len(content.conflicts(name)) > 1}
        self._note(conn, doc, place, {*names, DELETED} if columns is None else names, found)

    def review_deleted(
        self, conn: Connection, doc: uuid.UUID, place: Place, document: Document, owned: Collection[Place]
    ) -> None:
        """Note whether a deleted row, or what it owns, was edited by someone who did not know of the deletion."""
        planned, key = place
        content = content_of(document, planned, key)
        names = None if planned.owner is None else {part.place(row) for part, row in owned}
        edited = content is not None and edited_since_deletion(document, content, names)
        self._note(conn, doc, place, {*planned.columns, DELETED}, {DELETED} if edited else set())

    def deletions(self, conn: Connection, doc: uuid.UUID, places: Iterable[Place]) -> list[Place]:
        """Those of these places of a document of which an edited deletion is noted."""
        if not self._known(conn):
            return []
        query = select(disputed.c.table_name, disputed.c.id).where(disputed.c.doc == doc)
        found = {(row[0], row[1]) for row in conn.execute(query.where(disputed.c.column_name == DELETED))}
        return [(planned, key) for planned, key in places if (planned.name, key) in found]

    def forget(self, conn: Connection, doc: uuid.UUID) -> None:
        """Nothing is noted of a document now."""
        if self._known(conn):
            conn.execute(delete(disputed).where(disputed.c.doc == doc))

    def _note(self, conn: Connection, doc: uuid.UUID, place: Place, names: Iterable[str], found: set[str]) -> None:
        planned, key = place
        if not found and not self.any(conn, planned):
            return
        c = disputed.c
        here = (c.table_name == planned.name) & (c.id == key) & (c.doc == doc)
        before = {*conn.scalars(select(c.column_name).where(here))}
        if settled := before & {*names} - found:
            conn.execute(delete(disputed).where(here, c.column_name.in_(settled)))
        for name in found - before:
            conn.execute(insert(disputed).values(table_name=planned.name, id=key, column_name=name, doc=doc))
            self._known(conn).add(planned.name)


def deletion_heads(deleted: Map) -> list[bytes] | None:
    """The heads of the document that a deletion built on; None where a mark does not say it."""
    heads = deleted.get(DELETED)
    if not isinstance(heads, bytes) or len(heads) % HASH_BYTES:
        return None
    return [heads[at : at + HASH_BYTES] for at in range(0, len(heads), HASH_BYTES)]


def edited_since_deletion(document: Document, deleted: Map, names: Collection[str] | None) -> bool:
    """Whether changes that do not know of a deletion edited what was deleted: these keys of the document, or all.

    `@deleted` holds the heads of the document that the deletion built on. A deletion marks what the row owns as
    deleted, and removes the keys of its associations. What was written and taken back is no edit.
    """
    then = deletion_heads(deleted)
    if then is None:
        return False
    try:
        patches, before = document.diff(then), document.at(then)
    except CrdtError:  # another program wrote it
        return False
    changed = {str(place[0]) for place in places_of(patches)} - {DELETED}
    return any(_is_edited(before, document, name) for name in changed if names is None or name in names)


def _is_edited(before: Map, now: Map, name: str) -> bool:
    """Whether a key at the root holds something else than it did; a row of an association that went is no edit."""
    if name not in now:
        return before.get(name) is not True
    return name not in before or _shown(before, name) != _shown(now, name)


def _shown(content: Map | List, place: Any) -> tuple[Any, bool]:  # Any: a key or an index
    """What a place shows, at any depth, and whether something else was written there at the same time."""
    value: Any = content[place]
    if isinstance(value, Map):
        value = {key: _shown(value, key) for key in value if key != DELETED}
    elif isinstance(value, List):
        value = [_shown(value, index) for index in range(len(value))]
    else:
        value = type(value), plain(value)
    return value, len(content.conflicts(place)) > 1
