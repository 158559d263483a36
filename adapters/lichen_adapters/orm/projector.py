"""Writes rows as documents change, in the transaction in which they change."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress

from lichen_crdt import Document, Map
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, StatementError

from lichen_adapters.orm.claims import Claim
from lichen_adapters.orm.clash import Clashes, claim_in
from lichen_adapters.orm.errors import Misfit
from lichen_adapters.orm.held import Held
from lichen_adapters.orm.memory import Memory
from lichen_adapters.orm.plan import Plan, SyncedTable
from lichen_adapters.orm.projection import Place, Row, fixed, read_row, root_of, sources, stale


class Projector:
    """Keeps rows what documents say. A `lichen.store.following.Follower`.

    A row that the database does not take, because of a constraint or of a value that does not fit, is *held*: noted
    beside the tables, and tried again whenever its document changes it.
    """

    def __init__(self, plan: Plan, memory: Memory) -> None:
        self._plan = plan
        self._memory = memory
        self.held = Held()
        self.clashes = Clashes(self.held)

    def changed(self, conn: Connection, doc: bytes, changes: Sequence[bytes]) -> None:
        """Bring the rows of a document up to date with changes that have just been added to it."""
        name = uuid.UUID(bytes=doc)
        if self._memory.is_strange(name):
            return
        document, patches = self._memory.apply(conn, name, changes)
        root = root_of(self._plan, document)
        if root is None:
            self._memory.estrange(name)
            return
        what = None if patches is None else stale(root, name, patches)
        if what is None or what.everything:
            self.write_all(conn, root, name, document)
        elif what.rows:
            held = self.held.holds(conn, root, name)
            there = sources(root, name, document)
            for place, columns in what.rows.items():
                self._write(conn, name, place, there.get(place), columns)
            if held != self.held.holds(conn, root, name):  # its parts go and come with it
                self.write_all(conn, root, name, document)

    def ended(self, *, committed: bool) -> None:
        """The transaction is over."""
        self._memory.ended(committed=committed)

    def rebuild(self, conn: Connection, doc: uuid.UUID) -> None:
        """Make the rows of a document what it says, whatever they were."""
        document = self._memory.get(conn, doc)
        root = None if document is None else root_of(self._plan, document)
        if document is not None and root is not None:
            self.write_all(conn, root, doc, document)

    def write_all(self, conn: Connection, root: SyncedTable, doc: uuid.UUID, document: Document) -> None:
        """As `rebuild`."""
        there = sources(root, doc, document)
        before = _rows_of(conn, root, doc)
        for place in reversed([*before]):
            if place not in there:
                self._write(conn, doc, place, None, None)
        for place, source in there.items():
            self._write(conn, doc, place, source, None, there=place in before)

    def _write(
        self,
        conn: Connection,
        doc: uuid.UUID,
        place: Place,
        source: Map | None,
        columns: set[str] | None,
        *,
        there: bool | None = None,
    ) -> None:
        """Bring one row up to date: the columns named, or all; without a source it goes."""
        planned, key = place
        if columns is not None and self.held.holds(conn, planned, key):
            columns = None
        if not planned.unique or (columns is not None and columns.isdisjoint(planned.claiming)):
            self._put(conn, doc, place, source, columns, None, there=there)
            return
        before = self.clashes.claim(conn, place)
        after = None if source is None else self._claim(conn, doc, planned, source)
        self._put(conn, doc, place, source, columns, after, there=there)
        self.clashes.changed(conn, planned, before, after)

    def _put(
        self,
        conn: Connection,
        doc: uuid.UUID,
        place: Place,
        source: Map | None,
        columns: set[str] | None,
        claim: Claim | None,
        *,
        there: bool | None,
    ) -> None:
        planned, key = place
        table = planned.table
        claimed = {} if claim is None else self.clashes.columns(conn, place, claim)
        try:
            if source is None:
                conn.execute(delete(table).where(table.c.id == key))
            elif columns is None:
                _write_row(conn, place, read_row(planned, source, fixed(planned, doc, key)) | claimed, there=there)
            else:
                known = {name: planned.columns[name].read(source) for name in columns if name in planned.columns}
                if known:
                    conn.execute(update(table).where(table.c.id == key).values(known | claimed))
        except (Misfit, IntegrityError, StatementError) as error:
            if isinstance(error, StatementError) and error.orig is not None and not isinstance(error, IntegrityError):
                raise
            with suppress(IntegrityError):  # a table without sync may point at it: then it stays as it was
                conn.execute(delete(table).where(table.c.id == key))
            self.held.hold(conn, place, doc, str(getattr(error, "orig", None) or error), claim)
        else:
            self.held.release(conn, planned, key)

    def _claim(self, conn: Connection, doc: uuid.UUID, planned: SyncedTable, source: Map) -> Claim | None:
        """What a row claims as its document has it; None when that does not fit."""
        return claim_in(planned, source, fixed(planned, doc, doc), self._memory.space(conn, doc))


def _rows_of(conn: Connection, root: SyncedTable, doc: uuid.UUID) -> dict[Place, None]:
    found: dict[Place, None] = dict.fromkeys(
        (root, key) for key in conn.scalars(select(root.table.c.id).where(root.table.c.id == doc))
    )
    for part in root.parts:
        assert part.owner is not None
        found.update(
            dict.fromkeys((part, key) for key in conn.scalars(select(part.table.c.id).where(part.owner == doc)))
        )
    return found


def _write_row(conn: Connection, place: Place, row: Row, *, there: bool | None) -> None:
    planned, key = place
    table = planned.table
    if there is None:
        there = conn.scalar(select(table.c.id).where(table.c.id == key)) is not None
    if there:
        conn.execute(update(table).where(table.c.id == key).values(row))
    else:
        conn.execute(insert(table).values(row))
