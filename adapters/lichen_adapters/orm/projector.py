"""Writes rows as documents change, in the transaction in which they change."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from lichen_crdt import Document, Map
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, StatementError

from lichen_adapters.orm.claims import Claim
from lichen_adapters.orm.clash import Clashes, claim_in
from lichen_adapters.orm.errors import Misfit
from lichen_adapters.orm.held import Held
from lichen_adapters.orm.memory import Memory
from lichen_adapters.orm.plan import Plan, SyncedTable
from lichen_adapters.orm.projection import (
    Link,
    Place,
    Stale,
    contents,
    fixed,
    links,
    owner_of,
    read_row,
    root_of,
    sources,
    stale,
    with_beneath,
)
from lichen_adapters.orm.rows import delete_rows, home_of, links_of, put_row, rows_of, update_row, write_links


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
        elif what.rows or what.links:
            self._write_stale(conn, root, name, document, what)

    def _write_stale(
        self, conn: Connection, root: SyncedTable, doc: uuid.UUID, document: Document, what: Stale
    ) -> None:
        """Bring up to date what patches made stale."""
        with_beneath(what.rows, doc, contents(root, doc, document))
        there = sources(root, doc, document)
        owners = [place for place in what.rows if place[0].parts or place[0].associations]
        held = {place for place in owners if self.held.holds(conn, *place)}
        places = sorted(what.rows, key=lambda place: place[0].number)
        for place in places:  # owners first, so that what another owner takes over is there before its old one goes
            if place in there:
                self._write(conn, doc, place, there[place], what.rows[place])
        for place in reversed(places):
            if place not in there:
                self._write(conn, doc, place, None, None)
        if held != {place for place in owners if self.held.holds(conn, *place)}:  # what they own goes and comes with it
            self.write_all(conn, root, doc, document)
        else:
            whole = [place for place in owners if what.rows[place] is None]
            self._write_links(conn, doc, links(root, doc, document, there), whole, what.links)

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
        before = rows_of(conn, root, doc)
        for place, source in there.items():
            self._write(conn, doc, place, source, None, there=place in before)
        for place in reversed([*before]):
            if place not in there:
                self._write(conn, doc, place, None, None)
        self._write_links(conn, doc, links(root, doc, document, there), {*there, *before}, ())

    def _write_links(
        self,
        conn: Connection,
        doc: uuid.UUID,
        wanted: Mapping[Link, None],
        owners: Collection[Place],
        changed: Iterable[Link],
    ) -> None:
        """Bring up to date the rows of associations that have changed, and all of these owners."""
        found = {**links_of(conn, wanted, owners), **dict.fromkeys(changed)}
        shown = {owner: doc not in self.held.docs(conn, *owner) for owner in {link.owner for link in found}}
        write_links(conn, wanted, [link for link in found if shown[link.owner]])

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
        """Bring one row up to date: the columns named, or all; without a source it goes.

        The row of a part that was moved may live in several documents: in one that its move has not reached yet, or
        because two devices moved it to different ones. Then that of the document with the smallest id is shown, and
        the others are held.
        """
        planned, key = place
        if columns is not None and self.held.holds(conn, planned, key):
            columns = None
        if planned.owner is None or columns is not None:
            self._show(conn, doc, place, source, columns, there=there)
            return
        home = doc if there else home_of(conn, place)
        others = {home, *self.held.docs(conn, planned, key)} - {None, doc}
        rivals = [other for other in others if other is not None and self._lives(conn, other, place)]
        if source is None:
            if home == doc:
                self._show(conn, doc, place, None, None, there=True)
            self.held.release(conn, planned, key, doc)
            for rival in rivals:
                self.rebuild(conn, rival)
        elif (rivals and min(rivals) < doc) or self._owner_elsewhere(conn, doc, place, source):
            if home == doc:
                self._show(conn, doc, place, None, None, there=True)
            self.held.hold(conn, place, doc, "it lies in another document too, to which it was moved", None)
        else:
            if home not in (None, doc):
                self._show(conn, doc, place, None, None, there=True)
            self._show(conn, doc, place, source, None, there=home == doc)
            if home in rivals and home is not None:
                self.rebuild(conn, home)

    def _lives(self, conn: Connection, doc: uuid.UUID, place: Place) -> bool:
        """Whether a document stands for a row."""
        document = self._memory.get(conn, doc)
        root = None if document is None else root_of(self._plan, document)
        return document is not None and root is not None and place in sources(root, doc, document)

    def _owner_elsewhere(self, conn: Connection, doc: uuid.UUID, place: Place, source: Map) -> bool:
        """Whether the owner of a row is shown as it lies in another document."""
        owner = owner_of(place, doc, source)
        return owner is not None and owner[0].owner is not None and home_of(conn, owner) not in (None, doc)

    def _show(
        self,
        conn: Connection,
        doc: uuid.UUID,
        place: Place,
        source: Map | None,
        columns: set[str] | None,
        *,
        there: bool | None,
    ) -> None:
        """Write a row that is shown as it lies in this document, and make right who has its unique keys."""
        planned, _ = place
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
        claimed = {} if claim is None else self.clashes.columns(conn, place, claim)
        try:
            if source is None:
                delete_rows(conn, planned, [key])
            elif columns is None:
                put_row(conn, place, read_row(planned, source, fixed(planned, doc, key)) | claimed, there=there)
            else:
                known = {name: planned.columns[name].read(source) for name in columns if name in planned.columns}
                if known:
                    update_row(conn, place, known | claimed)
        except (Misfit, IntegrityError, StatementError) as error:
            if isinstance(error, StatementError) and error.orig is not None and not isinstance(error, IntegrityError):
                raise
            with suppress(IntegrityError):  # a table without sync may point at it: then it stays as it was
                delete_rows(conn, planned, [key])
            self.held.hold(conn, place, doc, str(getattr(error, "orig", None) or error), claim)
        else:
            self.held.release(conn, planned, key, doc)

    def _claim(self, conn: Connection, doc: uuid.UUID, planned: SyncedTable, source: Map) -> Claim | None:
        """What a row claims as its document has it; None when that does not fit."""
        return claim_in(planned, source, fixed(planned, doc, doc), self._memory.space(conn, doc))
