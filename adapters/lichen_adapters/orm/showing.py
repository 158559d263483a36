"""Shows a row in its table as its document has it; what the database does not take is put right or held."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from lichen_adapters.orm.batch import Batch, Write
from lichen_adapters.orm.claims import Claim
from lichen_adapters.orm.clash import Clashes, claim_in
from lichen_adapters.orm.errors import Misfit
from lichen_adapters.orm.held import Held
from lichen_adapters.orm.joining import Joining
from lichen_adapters.orm.joins import Joins
from lichen_adapters.orm.memory import Memory, content_of_kept
from lichen_adapters.orm.plan import Plan, SyncedTable
from lichen_adapters.orm.projection import Content, Place, Row, content_of, fixed, owner_of, read_row, root_of, sources
from lichen_adapters.orm.repairs import repaired
from lichen_adapters.orm.rows import delete_rows, home_of, is_there, put_row
from lichen_adapters.orm.savepoints import attempt, savepoint, trial

_REFUSES = ("54", "P0")
"""How codes of PostgreSQL begin for what is too large, as for an index, and for what a function raises."""


class Due(NamedTuple):
    """One row that is to be brought up to date."""

    doc: uuid.UUID
    """The document in which it lies."""
    place: Place
    source: Content | None
    """Where it lies there; without a source it goes."""
    columns: set[str] | None = None
    """What has changed of it; None for all."""
    there: bool | None = None
    """Whether its table has it, as it lies in this document; None when it is not known."""
    fault: str | None = None
    """Why it is to be held, although its table might take it."""


class Showing:
    """Brings rows up to date, one at a time.

    A row that the database does not take, because of a constraint or of a value that does not fit, is *held*: noted
    beside the tables, and tried again whenever its document changes it. An object over joined tables is held whole.
    `rebuild` makes the rows of a document what it says.
    """

    def __init__(self, plan: Plan, memory: Memory, rebuild: Callable[[Connection, uuid.UUID], object]) -> None:
        self._plan = plan
        self._memory = memory
        self._rebuild = rebuild
        self.held = Held()
        self.clashes = Clashes(self.held)
        self.joins = Joins()
        self.batch = Batch(self._write_apart)
        self.joining = Joining(plan, self.clashes, self.joins, rebuild, self.batch.flush)

    def write(self, conn: Connection, due: Due) -> None:
        """Bring one row up to date.

        The row of a part that was moved may live in several documents: in one that its move has not reached yet, or
        because two devices moved it to different ones. Then that of the document with the smallest id is shown, of
        those whose owner is shown as it lies in the same one, and the others are held.
        """
        doc, place = due.doc, due.place
        planned, key = place
        if self._base_is_held(conn, doc, place) and (due.source is not None or self._base_stays(conn, doc, place)):
            due = due._replace(fault="the row of its object in the table of its base is held")
        if due.columns is not None and (due.fault or planned.repairs or self.held.holds(conn, planned, key)):
            due = due._replace(columns=None)
        if planned.owner is None or due.columns is not None:
            self._show(conn, due)
        else:
            self._show_part(conn, due)

    def _show_part(self, conn: Connection, due: Due) -> None:
        doc, place = due.doc, due.place
        planned, key = place
        home = doc if due.there else home_of(conn, place)
        held = self.held.docs(conn, planned, key)
        copies = self._copies({home, *held} - {doc}, conn, place)
        standing = [other for other, source in copies.items() if not self._owner_elsewhere(conn, other, place, source)]
        if due.source is None:
            if home == doc:
                self._show(conn, due._replace(there=True))
            else:
                self.held.release(conn, planned, key, doc)
            for other in copies:
                self._rebuild(conn, other)
        elif (standing and min(standing) < doc) or self._owner_elsewhere(conn, doc, place, due.source):
            if home == doc:
                self._show(conn, due._replace(source=None, there=True))
            self.held.hold(conn, place, doc, "it lies in another document too, to which it was moved", None)
            if standing and home in (None, doc):
                self._rebuild(conn, min(standing))
        else:
            if home not in (None, doc):
                self._show(conn, due._replace(source=None, there=True))
            self._show(conn, due._replace(there=home == doc))
            for other in copies if home != doc else ():
                if other == home or doc not in held:  # what it owns there is not shown with it any more
                    self._rebuild(conn, other)

    def _copies(self, docs: Iterable[uuid.UUID | None], conn: Connection, place: Place) -> dict[uuid.UUID, Content]:
        """Where a row lies in those of these documents that stand for it."""
        found = {}
        for doc in docs:
            document = None if doc is None else self._memory.kept(conn, doc)
            content = {} if document is None else content_of_kept(document)
            root = root_of(self._plan, content)
            there = {} if root is None or doc is None else sources(root, doc, content)
            if doc is not None and place in there:
                found[doc] = there[place]
        return found

    def _owner_elsewhere(self, conn: Connection, doc: uuid.UUID, place: Place, source: Content) -> bool:
        """Whether the owner of a row is to be shown as it lies in another document."""
        owner = owner_of(place, doc, source)
        if owner is None or owner[0].owner is None:
            return False
        home, held = home_of(conn, owner), self.held.docs(conn, *owner)
        if home in (None, doc) and not held:
            return False
        copies = self._copies({doc, home, *held}, conn, owner)
        standing = [other for other, found in copies.items() if not self._owner_elsewhere(conn, other, owner, found)]
        return doc not in standing or min(standing) < doc

    def _show(self, conn: Connection, due: Due) -> None:
        """Write a row that is shown as it lies in this document, and make right who has its unique keys."""
        doc, place = due.doc, due.place
        planned, key = place
        if not planned.unique or (due.columns is not None and due.columns.isdisjoint(planned.claiming)):
            self._put(conn, due, None)
            if planned.unique and self.held.holds(conn, *place):  # it was not taken: it keeps its keys
                self._show(conn, due._replace(columns=None, there=None))
            return
        before = self.joins.claim(conn, *place) or self.clashes.claim(conn, place)
        after = None if due.source is None else self._claim(conn, doc, planned, due.source)
        if planned.joins and after is not None and not self.joining.stands(conn, place, after):
            self.held.release(conn, *place, doc)
        else:
            self._put(conn, due, after)
        if planned.joins:
            self.joining.changed(conn, planned, {key: (before, after)})
        else:
            self.clashes.changed(conn, planned, before, after)

    def _put(self, conn: Connection, due: Due, claim: Claim | None) -> None:
        doc, place, columns = due.doc, due.place, due.columns
        planned = place[0]
        if due.fault is not None:
            self.batch.settle(conn, doc)
            self._hold(conn, doc, place, due.fault, claim, live=due.source is not None)
            return
        try:
            row = None if due.source is None else self.joins.seen(conn, planned, _row(due, due.source))
        except Misfit as misfit:
            self.batch.settle(conn, doc)
            self._hold_or_repair(conn, doc, place, str(misfit), claim)
            return
        there = due.there if columns is None else True
        known = there is not None and (planned.owner is None or columns is not None)
        if row is not None and known and not (planned.unique or planned.repairs or self.held.any(conn, planned)):
            self.batch.add(conn, Write(doc, place, not there, row))
        else:
            self.batch.settle(conn, doc)
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
            with savepoint(conn) if row is None and planned.parts else attempt(conn):
                if row is None:
                    delete_rows(conn, planned, [key])
                else:
                    claimed = {} if claim is None else self.clashes.columns(conn, place, claim)
                    put_row(conn, place, row | claimed, there=there)
        except StatementError as error:
            if not _is_about_the_row(error):
                raise
            reason = _reason(error)
            if row is None:
                self._hold(conn, doc, place, reason, claim, live=False)
            else:
                self._hold_or_repair(conn, doc, place, reason, claim)
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
            self._rebuild(conn, write.doc)

    def _hold_or_repair(self, conn: Connection, doc: uuid.UUID, place: Place, reason: str, claim: Claim | None) -> None:
        """Hold a row, unless its class puts it right."""
        if self._repair(conn, doc, place, claim):
            self.held.repaired(conn, place, doc, reason)
        else:
            self._hold(conn, doc, place, reason, claim)

    def _hold(
        self, conn: Connection, doc: uuid.UUID, place: Place, reason: str, claim: Claim | None, *, live: bool = True
    ) -> None:
        """Hold a row; if it lives, with it those that its object has in base tables."""
        planned, key = place
        bases = [(base, key) for base in planned.bases if live and doc not in self.held.docs(conn, base, key)]
        whole = {place: claim} | {base: self.clashes.claim(conn, base) if base[0].unique else None for base in bases}
        stays = self._base_stays(conn, doc, place)
        try:
            with savepoint(conn):
                if not stays:
                    delete_rows(conn, [*whole][-1][0], [key])
        except IntegrityError:  # a table without sync points at it
            stays = True
        if stays:  # as it was, but in nobody's way
            for one in whole:
                self.clashes.disclaim(conn, one)
        for one, its in whole.items():
            self.held.hold(conn, one, doc, reason, its)

    def _base_is_held(self, conn: Connection, doc: uuid.UUID, place: Place) -> bool:
        """Whether a row is in a joined table, and that of its object in the table of the base is held."""
        base = place[0].base
        return base is not None and doc in self.held.docs(conn, base, place[1])

    def _base_stays(self, conn: Connection, doc: uuid.UUID, place: Place) -> bool:
        """As `_base_is_held`, but it is in its table as it was: then all of the object is to stay."""
        base = place[0].base
        return base is not None and self._base_is_held(conn, doc, place) and is_there(conn, (base, place[1]))

    def kept(self, conn: Connection, doc: uuid.UUID, going: Collection[Place]) -> dict[Place, str]:
        """Of the rows that are to go, the objects over joined tables that stay since a table without sync points there.

        For each the row of its first table, and the reason. Nothing is changed.
        """
        found = {}
        for planned, key in going:
            tops = planned.base is None or (planned.base, key) not in going
            if tops and (planned.base or any(planned.joined)) and home_of(conn, (planned, key)) == doc:
                try:
                    with trial(conn):
                        delete_rows(conn, planned, [key])
                except IntegrityError as error:
                    found[planned.first, key] = _reason(error)
        return found

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


def _row(due: Due, source: Content) -> Row:
    """A row as a document has it, or the columns that have changed. Raises `Misfit`."""
    planned, key = due.place
    if due.columns is None:
        return read_row(planned, source, fixed(planned, due.doc, key))
    return {name: planned.columns[name].read(source) for name in sorted(due.columns & planned.columns.keys())}


def _is_about_the_row(error: StatementError) -> bool:
    """Whether the database, or a trigger of the application, refuses what is in a row."""
    if not isinstance(error, DBAPIError) or isinstance(error, IntegrityError | DataError):
        return True
    return str(getattr(error.orig, "sqlstate", "")).startswith(_REFUSES)


def _reason(error: StatementError) -> str:
    """What the database says, in one line: PostgreSQL goes on with all that is in the row."""
    return str(error.orig or error).partition("\n")[0]
