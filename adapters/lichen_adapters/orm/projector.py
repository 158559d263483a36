"""Writes rows as documents change, in the transaction in which they change."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence

from lichen_crdt import Document
from sqlalchemy import Connection, delete

from lichen_adapters.orm.claims import Claim
from lichen_adapters.orm.disputes import Disputes, disputed
from lichen_adapters.orm.held import held_rows, repaired_rows
from lichen_adapters.orm.leaving import delete_documents
from lichen_adapters.orm.memory import Kept, Memory, Taken, content_of_kept
from lichen_adapters.orm.plan import DELETED, Plan, SyncedTable
from lichen_adapters.orm.projection import (
    Content,
    Link,
    Place,
    Stale,
    content_of,
    contents,
    deleted_with,
    incomplete,
    is_of_its_class,
    links,
    owned_by,
    root_of,
    sources,
    stale,
    with_beneath,
)
from lichen_adapters.orm.rows import home_of, links_of, rows_of, write_links
from lichen_adapters.orm.showing import Due, Showing


class Projector:
    """Keeps rows what documents say. A `lichen.store.following.Follower`."""

    def __init__(self, plan: Plan, memory: Memory) -> None:
        self.plan = plan
        self._memory = memory
        self._showing = Showing(plan, memory, self.rebuild)
        self._batch = self._showing.batch
        self.held = self._showing.held
        self.clashes = self._showing.clashes
        self.joins = self._showing.joins
        self.disputes = Disputes()

    def changed(self, conn: Connection, changes: Mapping[bytes, Sequence[bytes]]) -> None:
        """Bring the rows of documents up to date with changes that have just been added to them."""
        ours = {
            name: made for doc, made in changes.items() if not self._memory.is_strange(name := uuid.UUID(bytes=doc))
        }
        for taken in self._memory.take(conn, ours):
            self.write(conn, taken)

    def write(self, conn: Connection, taken: Taken) -> None:
        """Bring the rows of a document up to date with the changes that it has taken."""
        content = content_of_kept(taken.document)
        root = root_of(self.plan, content)
        if root is None:
            self._memory.estrange(taken.doc)
            return
        if taken.new:
            self._write_new(conn, root, taken.doc, content)
            return
        self._batch.settle(conn, taken.doc)
        what = None if taken.places is None else stale(root, taken.doc, taken.places)
        if what is None or what.everything:
            self.write_all(conn, root, taken.doc, taken.document)
        elif root.alone:
            for place, columns in what.rows.items():  # itself, or nothing
                self._write_alone(conn, place, taken.document, content, columns)
        elif what.rows or what.links:
            self._write_stale(conn, root, taken.doc, taken.document, content, what)
        if what is not None and what.unknown:
            self._review_unknown(conn, root, taken.doc, taken.document, content, what.unknown)

    def _write_new(self, conn: Connection, root: SyncedTable, doc: uuid.UUID, content: Content) -> None:
        there = sources(root, doc, content)
        faults = incomplete(there)
        for place, source in there.items():
            new = False if place[0] is root else None
            self._showing.write(conn, Due(doc, place, source, there=new, fault=faults.get(place)))
        if not root.alone:
            self._write_links(conn, doc, links(root, doc, content, there), there, ())

    def _write_alone(
        self, conn: Connection, place: Place, document: Kept, content: Content, columns: set[str] | None
    ) -> None:
        """As `_write_stale`, of a row that owns nothing."""
        doc = place[1]
        source = None if content.get(DELETED) else content
        self._showing.write(conn, Due(doc, place, source, columns))
        if source is None or isinstance(document, Document):
            self._review(conn, doc, document, {place: content}, {place: columns})

    def _review_unknown(
        self,
        conn: Connection,
        root: SyncedTable,
        doc: uuid.UUID,
        document: Kept,
        content: Content,
        rows: Iterable[Place],
    ) -> None:
        """Deleted rows may have been edited in columns that only a newer version has."""
        lying = contents(root, doc, content)
        gone: dict[Place, set[str] | None] = {one: set() for one in rows if deleted_with(one, doc, lying) is not None}
        self._review(conn, doc, document, lying, gone)

    def _write_stale(
        self, conn: Connection, root: SyncedTable, doc: uuid.UUID, document: Kept, content: Content, what: Stale
    ) -> None:
        """Bring up to date what changes made stale."""
        lying, there = contents(root, doc, content), sources(root, doc, content)
        bases = {(base, key): None for planned, key in what.rows for base in planned.bases}
        objects = [place for place in (*bases, *what.rows) if place in bases or any(place[0].joined)]
        what.rows.update({place: None for place in objects if self.held.holds(conn, *place)})  # all of one is tried
        faults = incomplete(there)
        what.rows.update(dict.fromkeys(faults))
        with_beneath(what.rows, doc, lying)
        kept = self._showing.kept(conn, doc, {place: None for place in what.rows if place not in there})
        what.rows.update({(one, key): None for first, key in kept for one in (first, *first.joined)})
        owners = {**bases, **{place: None for place in what.rows if not place[0].alone}}
        held = {place for place in owners if self.held.holds(conn, *place)}
        order = {planned: number for number, planned in enumerate((root, *root.beneath))}
        places = sorted(what.rows, key=lambda place: order[place[0]])
        due = [
            Due(doc, place, there[place], what.rows[place]) if place in there else Due(doc, place, None)
            for place in places
        ]
        self._write_rows(conn, due, faults, kept)
        if held != {place for place in owners if self.held.holds(conn, *place)}:  # what they own goes and comes with it
            self.write_all(conn, root, doc, document)
        else:
            whole = [place for place in owners if what.rows.get(place, ()) is None]
            self._write_links(conn, doc, links(root, doc, content, there), whole, what.links)
            linked: dict[Place, set[str] | None] = {link.owner: set() for link in what.links}
            self._review(conn, doc, document, lying, linked | what.rows)

    def _write_rows(
        self, conn: Connection, due: Sequence[Due], faults: Mapping[Place, str], kept: Mapping[Place, str]
    ) -> None:
        """Bring rows up to date, given owners first: so what another owner takes over is there before its old one goes.

        `faults` are of objects that are incomplete, and `kept` objects that cannot go.
        """
        faults = {**faults, **kept}
        for one in due:
            planned, key = one.place
            if one.source is not None or (planned.first, key) in kept:
                gone = planned.above is not None and self.held.any(conn, planned.above)  # perhaps, with what owns it
                there = None if gone else one.there
                self._showing.write(conn, one._replace(there=there, fault=faults.get(one.place)))
        for one in reversed(due):
            planned, key = one.place
            if one.source is None and (planned.first, key) not in kept:
                self._showing.write(conn, one)

    def rejoin(
        self, conn: Connection, planned: SyncedTable, rows: Mapping[uuid.UUID, tuple[Claim | None, Claim | None]]
    ) -> None:
        """Make right what these rows are seen as after a session has written them; before and now, what each claims."""
        self._showing.joining.changed(conn, planned, rows)
        self._batch.flush(conn)

    def review(self, conn: Connection, doc: uuid.UUID, document: Kept, places: Iterable[Place]) -> None:
        """Note what is in dispute now in these rows, and in all that they own."""
        content = content_of_kept(document)
        root = root_of(self.plan, content)
        there = {} if root is None else contents(root, doc, content)
        rows: dict[Place, set[str] | None] = dict.fromkeys(places)
        with_beneath(rows, doc, there)
        self._review(conn, doc, document, there, rows)

    def _review(
        self,
        conn: Connection,
        doc: uuid.UUID,
        document: Kept,
        there: Mapping[Place, Content],
        rows: Mapping[Place, set[str] | None],
    ) -> None:
        """Note what is in dispute in these rows, in the columns named or in all. `there` are the `contents`."""
        gone: dict[Place, None] = {}
        for place, columns in rows.items():
            top = deleted_with(place, doc, there)
            if top is not None:
                gone[top] = None
            if top != place:
                lives = top is None and place in there and is_of_its_class(place, there)
                live = document if lives and isinstance(document, Document) else None
                content = None if live is None else content_of(live, *place)  # a record has nothing in dispute
                self.disputes.review(conn, doc, place, content, columns)
        if any(columns is None and place[0].owner is not None for place, columns in rows.items()):
            noted = self.disputes.deletions(conn, doc, there)  # a part may have left one of them
            gone.update({place: None for place in noted if deleted_with(place, doc, there) == place})
        for place in gone:
            whole = self._memory.get(conn, doc)
            assert whole is not None, "a row of it is deleted"
            self.disputes.review_deleted(conn, doc, place, whole, owned_by(place, doc, there))

    def before_commit(self, conn: Connection) -> None:
        """All that was changed in this transaction was told: write what waits."""
        self._batch.flush(conn)

    def ended(self, *, committed: bool) -> None:
        """The transaction is over."""
        self._batch.clear()
        self._memory.ended(committed=committed)
        if not committed:
            self.joins.forget()

    def forget_strangers(self, conn: Connection) -> None:
        """Nothing is noted of rows that models no more have, or no more join."""
        joining = {planned.name for planned in self.plan if planned.joins}
        self.joins.forget_others(conn, joining)
        for noted in (held_rows, repaired_rows, disputed):
            conn.execute(delete(noted).where(noted.c.table_name.not_in({*self.plan.tables})))

    def rebuild(self, conn: Connection, doc: uuid.UUID) -> bool:
        """Make the rows of a document what it says, whatever they were; False where it is not on this device."""
        document = self._memory.kept(conn, doc)
        root = None if document is None else root_of(self.plan, content_of_kept(document))
        if document is not None and root is not None:
            self.write_all(conn, root, doc, document)
        return document is not None

    def gone(self, conn: Connection, docs: Sequence[bytes], *, keeping: bool = False) -> None:
        """The rows of documents that leave the device, or have left it, go too.

        Where the database keeps a row, it stays without its unique keys, if `keeping`; else `SessionMisuse` is raised.
        """
        if not docs:
            return
        self.before_commit(conn)
        delete_documents(conn, self.plan, self.clashes, docs, keeping=keeping)
        self.joins.forget()
        if not keeping:  # else it was not here when this device began to write
            self._memory.begin_session()

    def write_all(self, conn: Connection, root: SyncedTable, doc: uuid.UUID, document: Kept) -> None:
        """As `rebuild`."""
        self._batch.settle(conn, doc)
        content = content_of_kept(document)
        there = sources(root, doc, content)
        before = rows_of(conn, root, doc)
        due = [Due(doc, place, source, there=place in before) for place, source in there.items()]
        going = {place: None for place in before if place not in there}
        due += [Due(doc, place, None) for place in going]
        self._write_rows(conn, due, incomplete(there), self._showing.kept(conn, doc, going))
        joined = [(root, doc)] if doc in self.joins.of(conn, root) else []
        for place in (*self.held.of(conn, (root, *root.beneath), doc), *joined):
            if place not in there and place not in before:
                self._showing.write(conn, Due(doc, place, None))
        self._write_links(conn, doc, links(root, doc, content, there), {*there, *before}, ())
        self.disputes.forget(conn, doc)
        lying = contents(root, doc, content)
        self._review(conn, doc, document, lying, dict.fromkeys(lying))

    def _write_links(
        self,
        conn: Connection,
        doc: uuid.UUID,
        wanted: Mapping[Link, None],
        owners: Collection[Place],
        changed: Iterable[Link],
    ) -> None:
        """Bring up to date the rows of associations that have changed, and all of these owners."""
        wanted = self.joins.seen_links(conn, wanted)
        found = {**links_of(conn, wanted, owners), **self.joins.seen_links(conn, changed)}
        if found:
            self._batch.settle(conn, doc)
        linked = {link.owner for link in found}
        shown = {one for one in linked if home_of(conn, one) == doc and doc not in self.held.docs(conn, *one)}
        write_links(conn, wanted, [link for link in found if link.owner in shown])
