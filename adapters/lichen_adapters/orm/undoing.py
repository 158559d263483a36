"""Taking back what one commit wrote, as new writes of rows.

What the commit made of a value is undone on top of what the value is now, as two concurrent edits merge: so what anyone
wrote since stays. The rows are written by the session as others are, with the database's constraints, and what is taken
back stands in the message of the change in each document, in the form in which `lichen_crdt.Undo` notes it: so it is
taken back once, on every device.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from lichen.errors import NotFound
from lichen_crdt import Document, HistoryEntry, Map
from lichen_crdt.undo_record import Record, read
from lichen_crdt.undo_stacks import ranges
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from lichen_adapters.orm.columns import Kind
from lichen_adapters.orm.commits import Commit
from lichen_adapters.orm.errors import Misfit, SessionMisuse
from lichen_adapters.orm.merging import SyncedColumn
from lichen_adapters.orm.plan import DELETED, TABLE, SyncedTable
from lichen_adapters.orm.projection import (
    Link,
    Place,
    contents,
    fixed,
    links,
    owned_by,
    owner_of,
    places_of,
    root_of,
    sources,
    stale,
    with_beneath,
)
from lichen_adapters.orm.rebase import NOTHING, rebased
from lichen_adapters.orm.restoring import put, read_document, sessions_of
from lichen_adapters.orm.rows import delete_rows, home_of, is_there, update_row, write_links
from lichen_adapters.orm.sessions import Sessions
from lichen_adapters.orm.transactions import WRITING


def undo(session: Session, commit: Commit | None) -> bool:
    """Take back what a commit wrote, in this session: its commit is itself one that can be taken back.

    Returns whether there was anything to take back; there is not for None, a commit that wrote nothing. What was taken
    back already is not again, and what others wrote since, or the session itself, stays: a value that was overwritten,
    a row that is not as the commit left it. What it deleted comes back as it is in its document, with the edits of
    others, and what it moved to another document moves back with them. Raises `NotFound` where a change of it is not
    here, `SessionMisuse` within a savepoint, and `IntegrityError` when the database does not take the rows as they
    were.
    """
    conn, sessions = session.connection(), sessions_of(session)
    if commit is None:
        return False
    if conn.in_nested_transaction():
        raise SessionMisuse("a commit cannot be taken back within a savepoint", hint="undo it before or after")
    session.flush()
    sessions.transactions.lock(conn)
    steps = [_Step.of(conn, doc, hashes) for doc, hashes in commit.changes]
    undoings = [_Undoing(session, sessions, step) for step in steps]
    came = {place: one for one in undoings for place in one.made.keys() - one.was.keys()}
    for one in undoings:
        one.follow(came)
    undoings = [one for one in undoings if not one.step.is_taken_back]
    for one in undoings:
        one.put_back()
    for one in undoings:
        one.remove()
    for one in undoings:
        one.note()
    session.expire_all()
    return any(one.done for one in undoings)


@dataclass(frozen=True, slots=True)
class _Step:
    """What a commit wrote into one document."""

    doc: uuid.UUID
    document: Document
    changes: tuple[HistoryEntry, ...]
    is_taken_back: bool
    kind: Literal["undo", "redo"]
    """To take back an undo is to redo."""

    @classmethod
    def of(cls, conn: Connection, doc: uuid.UUID, hashes: Sequence[bytes]) -> _Step:
        document = read_document(conn, doc)
        if document.missing(hashes):
            raise NotFound(f"document {doc} has no such changes on this device")
        entries = document.history()
        changes = tuple(entry for entry in entries if entry.hash in hashes)
        undone, undoes = _state_of(entries, ranges(changes))
        return cls(doc, document, changes, undone, "redo" if undoes else "undo")

    @property
    def before(self) -> Map:
        """The document without it."""
        return self.document.at(self.changes[0].deps)

    @property
    def after(self) -> Map:
        """The document as it made it."""
        return self.document.at((self.changes[-1].hash,))

    @property
    def message(self) -> str:
        """What the change that takes it back says."""
        return Record(self.kind, ranges(self.changes), ()).write(None)


Ranges = tuple[tuple[bytes, int, int], ...]
"""Changes, as their actors, first and last seqs."""


def _state_of(entries: Iterable[HistoryEntry], changes: Ranges) -> tuple[bool, bool]:
    """Whether changes are taken back now, and whether they are an undo; `entries` are causes before effects.

    An undo of an undo does what the first change did, and so on: all of them stand for it or for its opposite.
    """
    known: dict[Ranges, tuple[Ranges, bool]] = {}
    """The first change behind each record, and whether the record is its opposite."""
    undone: dict[Ranges, bool] = {}
    for entry in entries:
        record = read(entry.message)
        if record is not None:
            first, opposite = known.get(record.taken, (record.taken, False))
            known[ranges((entry,))] = first, not opposite
            undone[first] = not opposite
    first, opposite = known.get(changes, (changes, False))
    return undone.get(first, False) != opposite, opposite


class _Undoing:
    """Takes back what was written into one document."""

    def __init__(self, session: Session, sessions: Sessions, step: _Step) -> None:
        self.step = step
        self._session = session
        self._sessions = sessions
        self._conn = session.connection()
        self._doc = step.doc
        self.done = False
        self.root = root = root_of(sessions.plan, step.document)
        versions = (step.before, step.after, step.document)
        self.was, self.made, self._now = ({} if root is None else _sources(root, step.doc, one) for one in versions)
        self._moved: dict[Place, _Undoing] = {}
        """The rows that the commit brought to another document, with what undoes it there."""
        self._still: set[Place] = set()
        """Those of them that lie there yet."""

    def follow(self, came: Mapping[Place, _Undoing]) -> None:
        """Find out which rows the commit brought from here to other documents, of those that came to one."""
        self._moved = {place: came[place] for place in self.was if place not in self.made and place in came}
        self._still = {place for place, other in self._moved.items() if other.has(place)}

    def put_back(self) -> None:
        """Write rows and associations that were there before as they were."""
        root, was, made = self.root, self.was, self.made
        if root is None:
            return
        places = self._places(root)
        gone = {place for place in places if place in was and place not in made and place not in self._now}
        self._put_back(root, {place for place in gone - self._moved.keys() if not is_there(self._conn, place)})
        for place in places:
            if place in was and place in made:
                self._put_values(place, was[place], made[place])
            elif place in self._still:
                self._put_values(place, was[place], self._moved[place].made[place])
        self._put_links(root)

    def remove(self) -> None:
        """Delete the rows that the commit made."""
        root = self.root
        for place in () if root is None else reversed(self._places(root)):
            if root is not None and place in self.made and place not in self.was and self._stands_alone(root, place):
                self._remove(place)

    def note(self) -> None:
        """Have the change of the document say what it takes back."""
        if self.done:
            self._conn.info[WRITING].told.messages[self._doc] = self.step.message

    def _places(self, root: SyncedTable) -> list[Place]:
        """The rows that the commit may have changed, owners first."""
        return sorted(self._touched(root, {*self.was, *self.made}), key=lambda place: place[0].number)

    def _touched(self, root: SyncedTable, every: Collection[Place]) -> Collection[Place]:
        """The rows that the commit may have changed."""
        step = self.step
        patches = step.document.diff(step.changes[0].deps, (step.changes[-1].hash,))
        what = stale(root, self._doc, places_of(patches))
        if what.everything:
            return every
        with_beneath(what.rows, self._doc, contents(root, self._doc, step.after))
        return what.rows

    def _stands_alone(self, root: SyncedTable, place: Place) -> bool:
        """Whether a row that the commit made can go: nobody wrote into it since, and its owner is not of the commit."""
        owner = None if place[0].owner is None else owner_of(place, self._doc, self.made[place])
        if owner is not None and owner not in self.was:
            return False  # it goes with its owner, or stays with it
        step = self.step
        return _held_in(root, self._doc, step.after, place) == _held_in(root, self._doc, step.document, place)

    def _put_back(self, root: SyncedTable, gone: set[Place]) -> None:
        """Bring rows back that the commit deleted, with what others put into them since."""
        for place, content in contents(root, self._doc, self.step.document).items():  # owners first
            owner = None if place[0].owner is None else owner_of(place, self._doc, content)
            if place in gone or (owner in gone and not content.get(DELETED)):
                gone.add(place)
                put(self._session, self._sessions.classes[place[0].table], place[1], {}, self._doc)
                self.done = True

    def _put_values(self, place: Place, was: Map, made: Map) -> None:
        """Write the columns of a row that the commit changed."""
        planned, key = place
        came = self._moved.get(place)
        if not is_there(self._conn, place) or (place not in self._still if came else not self.has(place)):
            return
        columns = planned.key, *(one.column for one in planned.columns.values())
        row = self._conn.execute(select(*columns).where(planned.key == key)).mappings().one()
        values = {name: value for name, value in fixed(planned, self._doc, key).items() if came and name != "id"}
        for name, column in planned.columns.items():
            with suppress(Misfit):
                value = _undone(column, column.read(was), column.read(made), row[name])
                if value != row[name]:
                    values[name] = value
        if values:
            update_row(self._conn, place, values)
            for one in (self, came or self):
                one.done = True

    def _remove(self, place: Place) -> None:
        """Delete a row that the commit made."""
        planned, key = place
        if self.has(place):
            delete_rows(self._conn, planned, [key])
            self.done = True

    def _put_links(self, root: SyncedTable) -> None:
        """Write associations as they were, but for those of rows that the commit made."""
        was, made = links(root, self._doc, self.step.before, self.was), self.made_links(root, self.made)
        for other in {*self._moved.values()}:
            assert other.root is not None
            made |= other.made_links(other.root, self._moved)
        for link in sorted({*was} ^ {*made}, key=lambda one: (one.table.number, one.owner[1], one.other)):
            planned = link.table
            assert planned.owner is not None
            if link.owner not in self.was or not self.has(link.owner):
                continue
            pair = select(planned.key).where(planned.owner == link.owner[1], planned.key == link.other)
            if (self._conn.execute(pair).first() is None) == (link in was):
                write_links(self._conn, was, [link])
                self.done = True

    def made_links(self, root: SyncedTable, owners: Collection[Place]) -> dict[Link, None]:
        """The associations of some rows, as the commit left them here."""
        found = links(root, self._doc, self.step.after, self.made)
        return {link: None for link in found if link.owner in owners}

    def has(self, place: Place) -> bool:
        """Whether a row is in its table, and has not gone to another document."""
        return is_there(self._conn, place) and home_of(self._conn, place) == self._doc


def _sources(root: SyncedTable, doc: uuid.UUID, then: Map) -> dict[Place, Map]:
    """The rows that a version of a document stands for; before it was begun, none."""
    return sources(root, doc, then) if TABLE in then else {}


def _held_in(root: SyncedTable, doc: uuid.UUID, then: Map, place: Place) -> object:
    """All that a version of a document holds of a row and of what it owns."""
    if place[0] is root:
        return then.to_py()
    there = contents(root, doc, then)
    return {one: there[one].to_py() for one in owned_by(place, doc, there) if one in there}


def _undone(column: SyncedColumn, was: Any, made: Any, now: Any) -> Any:
    """What becomes of a value that a commit made of what it was."""
    if was == made or now == made:
        return now if was == made else was
    if column.kind is Kind.SCALAR:
        return now  # it was overwritten
    was = NOTHING.get(column.kind) if was is None else was
    return now if None in (was, made, now) else rebased(column, made, was, now, over=False)
