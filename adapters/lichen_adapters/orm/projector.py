"""Writes rows as documents change, in the transaction in which they change."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from lichen_crdt import Document
from sqlalchemy import Connection, delete
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from lichen_adapters.orm.batch import Batch, Write
from lichen_adapters.orm.claims import Claim
from lichen_adapters.orm.clash import Clashes, claim_in
from lichen_adapters.orm.disputes import Disputes, disputed
from lichen_adapters.orm.errors import Misfit
from lichen_adapters.orm.held import Held, held_rows, repaired_rows
from lichen_adapters.orm.joining import Joining
from lichen_adapters.orm.joins import Joins
from lichen_adapters.orm.leaving import delete_documents
from lichen_adapters.orm.memory import Kept, Memory, Taken, content_of_kept
from lichen_adapters.orm.plan import DELETED, Plan, SyncedTable
from lichen_adapters.orm.projection import (
    Content,
    Link,
    Place,
    Row,
    Stale,
    content_of,
    contents,
    deleted_with,
    fixed,
    links,
    owned_by,
    owner_of,
    read_row,
    root_of,
    sources,
    stale,
    with_beneath,
)
from lichen_adapters.orm.repairs import repaired
from lichen_adapters.orm.rows import delete_rows, home_of, links_of, put_row, rows_of, write_links
from lichen_adapters.orm.savepoints import attempt, savepoint


class Projector:
    """Keeps rows what documents say. A `lichen.store.following.Follower`.

    A row that the database does not take, because of a constraint or of a value that does not fit, is *held*: noted
    beside the tables, and tried again whenever its document changes it. An object over joined tables is held whole.
    """

    def __init__(self, plan: Plan, memory: Memory) -> None:
        self.plan = plan
        self._memory = memory
        self.held = Held()
        self.clashes = Clashes(self.held)
        self.disputes = Disputes()
        self.joins = Joins()
        self._batch = Batch(self._write_apart)
        self.joining = Joining(plan, self.clashes, self.joins, self.rebuild, self._batch.flush)

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
        for place, source in there.items():
            self._write(conn, doc, place, source, None, there=False if place[0] is root else None)
        if not root.alone:
            self._write_links(conn, doc, links(root, doc, content, there), there, ())

    def _write_alone(
        self, conn: Connection, place: Place, document: Kept, content: Content, columns: set[str] | None
    ) -> None:
        """As `_write_stale`, of a row that owns nothing."""
        doc = place[1]
        source = None if content.get(DELETED) else content
        self._write(conn, doc, place, source, columns)
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
        lying = contents(root, doc, content)
        bases = {(base, key): None for planned, key in what.rows for base in planned.bases}
        what.rows.update({base: None for base in bases if self.held.holds(conn, *base)})  # all of an object is tried
        with_beneath(what.rows, doc, lying)
        there = sources(root, doc, content)
        owners = {**bases, **{place: None for place in what.rows if not place[0].alone}}
        held = {place for place in owners if self.held.holds(conn, *place)}
        order = {planned: number for number, planned in enumerate((root, *root.beneath))}
        places = sorted(what.rows, key=lambda place: order[place[0]])
        for place in places:  # owners first, so that what another owner takes over is there before its old one goes
            if place in there:
                self._write(conn, doc, place, there[place], what.rows[place])
        for place in reversed(places):
            if place not in there:
                self._write(conn, doc, place, None, None)
        if held != {place for place in owners if self.held.holds(conn, *place)}:  # what they own goes and comes with it
            self.write_all(conn, root, doc, document)
        else:
            whole = [place for place in owners if what.rows.get(place, ()) is None]
            self._write_links(conn, doc, links(root, doc, content, there), whole, what.links)
            linked: dict[Place, set[str] | None] = {link.owner: set() for link in what.links}
            self._review(conn, doc, document, lying, linked | what.rows)

    def rejoin(
        self, conn: Connection, planned: SyncedTable, rows: Mapping[uuid.UUID, tuple[Claim | None, Claim | None]]
    ) -> None:
        """Make right what these rows are seen as after a session has written them; before and now, what each claims."""
        self.joining.changed(conn, planned, rows)
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
                live = document if top is None and place in there and isinstance(document, Document) else None
                content = None if live is None else content_of(live, *place)  # a record has nothing in dispute
                self.disputes.review(conn, doc, place, content, columns)
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
        for place, source in there.items():
            above = place[0].above
            gone = above is not None and self.held.any(conn, above)  # perhaps, with what owns it
            self._write(conn, doc, place, source, None, there=None if gone else place in before)
        for place in reversed([*before]):
            if place not in there:
                self._write(conn, doc, place, None, None)
        joined = [(root, doc)] if doc in self.joins.of(conn, root) else []
        for place in (*self.held.of(conn, (root, *root.beneath), doc), *joined):
            if place not in there:
                self._write(conn, doc, place, None, None)
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
        shown = {owner: doc not in self.held.docs(conn, *owner) for owner in {link.owner for link in found}}
        write_links(conn, wanted, [link for link in found if shown[link.owner]])

    def _write(
        self,
        conn: Connection,
        doc: uuid.UUID,
        place: Place,
        source: Content | None,
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
        if columns is not None and (planned.repairs or self.held.holds(conn, planned, key)):
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
        document = self._memory.kept(conn, doc)
        content = {} if document is None else content_of_kept(document)
        root = root_of(self.plan, content)
        return root is not None and place in sources(root, doc, content)

    def _owner_elsewhere(self, conn: Connection, doc: uuid.UUID, place: Place, source: Content) -> bool:
        """Whether the owner of a row is shown as it lies in another document."""
        owner = owner_of(place, doc, source)
        return owner is not None and owner[0].owner is not None and home_of(conn, owner) not in (None, doc)

    def _show(
        self,
        conn: Connection,
        doc: uuid.UUID,
        place: Place,
        source: Content | None,
        columns: set[str] | None,
        *,
        there: bool | None,
    ) -> None:
        """Write a row that is shown as it lies in this document, and make right who has its unique keys."""
        planned, _ = place
        if not planned.unique or (columns is not None and columns.isdisjoint(planned.claiming)):
            self._put(conn, doc, place, source, columns, None, there=there)
            if planned.unique and self.held.holds(conn, *place):  # it was not taken: it keeps its keys
                self._show(conn, doc, place, source, None, there=None)
            return
        before = self.joins.claim(conn, *place) or self.clashes.claim(conn, place)
        after = None if source is None else self._claim(conn, doc, planned, source)
        if planned.joins and after is not None and not self.joining.stands(conn, place, after):
            self.held.release(conn, *place, doc)
        else:
            self._put(conn, doc, place, source, columns, after, there=there)
        if planned.joins:
            self.joining.changed(conn, planned, {place[1]: (before, after)})
        else:
            self.clashes.changed(conn, planned, before, after)

    def _put(
        self,
        conn: Connection,
        doc: uuid.UUID,
        place: Place,
        source: Content | None,
        columns: set[str] | None,
        claim: Claim | None,
        *,
        there: bool | None,
    ) -> None:
        planned, key = place
        try:
            row = None if source is None else self.joins.seen(conn, planned, _row(planned, source, doc, key, columns))
        except Misfit as misfit:
            self._batch.settle(conn, doc)
            self._hold(conn, doc, place, str(misfit), claim)
            return
        there = there if columns is None else True
        known = there is not None and (planned.owner is None or columns is not None)
        if row is not None and known and not (planned.unique or planned.repairs or self.held.any(conn, planned)):
            self._batch.add(conn, Write(doc, place, not there, row))
        else:
            self._batch.settle(conn, doc)
            self._put_now(conn, doc, place, row, claim, there=there)

    def _put_now(
        self,
        conn: Connection,
        doc: uuid.UUID,
        place: Place,
        row: Row | None,
        claim: Claim | None,
        *,
        there: bool | None,
    ) -> None:
        """Write or delete one row, or hold it."""
        planned, key = place
        try:
            with attempt(conn):
                if row is None:
                    delete_rows(conn, planned, [key])
                else:
                    claimed = {} if claim is None else self.clashes.columns(conn, place, claim)
                    put_row(conn, place, row | claimed, there=there)
        except StatementError as error:
            if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError | DataError):
                raise  # it has nothing to do with the row
            reason = str(error.orig or error).partition("\n")[0]  # PostgreSQL goes on with all that is in the row
            self._hold(conn, doc, place, reason, claim, live=row is not None)
        else:
            self.held.release(conn, planned, key, doc)

    def _write_apart(self, conn: Connection, write: Write) -> None:
        """Write one row of a batch that the database did not take as a whole.

        If it is held, all of its object is, and what that owns.
        """
        planned, key = write.place
        if self.held.holds(conn, planned, key):  # with its owner, since it waits
            return
        self._put_now(conn, write.doc, write.place, write.row, None, there=not write.new)
        if not (planned.alone and planned.base is None) and self.held.holds(conn, planned, key):
            self.rebuild(conn, write.doc)

    def _hold(
        self, conn: Connection, doc: uuid.UUID, place: Place, reason: str, claim: Claim | None, *, live: bool = True
    ) -> None:
        """Hold a row, unless it lives and its class puts it right; with it those that its object has in base tables."""
        if live and self._repair(conn, doc, place, claim):
            self.held.repaired(conn, place, doc, reason)
            return
        planned, key = place
        bases = [(base, key) for base in planned.bases if live and doc not in self.held.docs(conn, base, key)]
        whole = {place: claim} | {base: self.clashes.claim(conn, base) if base[0].unique else None for base in bases}
        try:
            with savepoint(conn):
                delete_rows(conn, [*whole][-1][0], [key])
        except IntegrityError:  # a table without sync points at it: it stays as it was, but in nobody's way
            for one in whole:
                self.clashes.disclaim(conn, one)
        for one, its in whole.items():
            self.held.hold(conn, one, doc, reason, its)

    def _repair(self, conn: Connection, doc: uuid.UUID, place: Place, claim: Claim | None) -> bool:
        """Write a row as its class puts it right; whether that did."""
        planned, key = place
        document = self._memory.kept(conn, doc) if planned.repairs else None
        content = None if document is None else content_of(content_of_kept(document), planned, key)
        row = None if content is None else repaired(planned, doc, key, content)
        if row is None:
            return False
        claimed = {} if claim is None else self.clashes.columns(conn, place, claim)
        with suppress(StatementError), attempt(conn):
            put_row(conn, place, self.joins.seen(conn, planned, row) | claimed, there=None)
            return True
        return False

    def _claim(self, conn: Connection, doc: uuid.UUID, planned: SyncedTable, source: Content) -> Claim | None:
        """What a row claims as its document has it; None when that does not fit."""
        return claim_in(planned, source, fixed(planned, doc, doc), self._memory.space(conn, doc))


def _row(planned: SyncedTable, source: Content, doc: uuid.UUID, key: uuid.UUID, columns: set[str] | None) -> Row:
    """A row as a document has it, or these columns of it. Raises `Misfit`."""
    if columns is None:
        return read_row(planned, source, fixed(planned, doc, key))
    return {name: planned.columns[name].read(source) for name in sorted(columns & planned.columns.keys())}
