"""The documents behind rows that are in memory.

They are used by whoever holds the right to write: a session between its first write and its end, or the writer
thread. What they hold is what the database holds, within the transaction; one that does not commit drops those that it
changed.
"""

from __future__ import annotations

import os
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from lichen.core.actors import actor_id
from lichen.ids import DeviceKey, DocId, Session, SpaceId
from lichen.runtime.building import build_crdt
from lichen.store import documents
from lichen_crdt import CrdtError, Document, Record, inspect
from sqlalchemy import Connection

from lichen_adapters.orm.projection import Content, places_of

TOGETHER = 64
"""Documents that are loaded at once."""
MOST = 10_000
"""Documents in memory; a small one takes 20 KB, as a record 2 KB."""
MOST_CHANGES = 64
"""A record is made of so many changes at most."""

Kept = Document | Record
"""A document as it is kept in memory: as a record, where it is one, since that is many times faster and smaller."""


class Taken(NamedTuple):
    """A document that has taken changes."""

    doc: uuid.UUID
    document: Kept
    places: Sequence[Sequence[str | int]] | None
    """Where they changed it; None when that cannot be said, and for a new document."""
    new: bool = False
    """One change is all that it has."""


def content_of_kept(kept: Kept) -> Content:
    """What a document holds, apart from it."""
    return kept.to_py() if isinstance(kept, Record) else kept.to_py(typed=True)


class Memory:
    """The documents of one device, under a session of their own: what rows write is one line in each document."""

    def __init__(
        self, device: DeviceKey, expect: Callable[[Session], object] = lambda _: None, most: int = MOST
    ) -> None:
        self.device = device
        self._expect = expect
        self._most = most
        self._documents: OrderedDict[uuid.UUID, Kept] = OrderedDict()
        self._changed: set[uuid.UUID] = set()
        self._last: dict[uuid.UUID, bytes] = {}
        """The hash of the newest change of ours in each document in memory."""
        self._strange: OrderedDict[uuid.UUID, None] = OrderedDict()
        self.begin_session()

    def begin_session(self) -> None:
        """Write under a new session from now on, which `expect` is told first; what is in memory is loaded again.

        A document that leaves the device, and comes back, forgets how far a session has come in it.
        """
        self.session = Session(os.urandom(16))
        self._expect(self.session)
        self.let_go()

    def new(self, doc: uuid.UUID) -> Document:
        """A document that begins in this transaction."""
        self._changed.add(doc)
        document = self._documents[doc] = Document(actor=self.actor(doc))
        return document

    def new_record(self, doc: uuid.UUID) -> Record:
        """As `new`, for one that begins as a record."""
        self._changed.add(doc)
        record = self._documents[doc] = Record()
        return record

    def kept(self, conn: Connection, doc: uuid.UUID) -> Kept | None:
        """A document, loaded if need be; None when it is not on this device."""
        found = self._documents.get(doc)
        if found is None:
            stored = documents.load_tail(conn, doc.bytes)
            if stored == (None, []):
                return None
            self._documents |= self._build({doc.bytes: stored})
            found = self._documents[doc]
        self._documents.move_to_end(doc)
        return found

    def get(self, conn: Connection, doc: uuid.UUID) -> Document | None:
        """As `kept`, but not as a record."""
        found = self.kept(conn, doc)
        if isinstance(found, Record):
            found = self._documents[doc] = build_crdt(*documents.load_tail(conn, doc.bytes), self.actor(doc))
        return found

    def _build(self, stored: Mapping[bytes, tuple[bytes | None, Sequence[bytes]]]) -> dict[uuid.UUID, Kept]:
        """Documents of their snapshots and tails."""
        short = {
            doc: tail for doc, (snapshot, tail) in stored.items() if snapshot is None and len(tail) <= MOST_CHANGES
        }
        records = dict(zip(short, Record.many(short.values()), strict=True))
        built: dict[uuid.UUID, Kept] = {}
        for name, (snapshot, tail) in stored.items():
            doc = uuid.UUID(bytes=name)
            built[doc] = records.get(name) or build_crdt(snapshot, tail, self.actor(doc))
        return built

    def space(self, conn: Connection, doc: uuid.UUID) -> SpaceId:
        """Of which space a document is, that is in the store or was until this transaction."""
        stored = documents.get_document(conn, doc.bytes)
        assert stored is not None, "who asks has seen it"
        return SpaceId(stored.space)

    def load(self, conn: Connection, docs: Iterable[uuid.UUID]) -> None:
        """Load those of these documents that are here and not in memory, all at once."""
        away = [doc.bytes for doc in docs if doc not in self._documents]
        self._documents |= self._build(documents.load_tails(conn, away))

    def take(self, conn: Connection, changes: Mapping[uuid.UUID, Sequence[bytes]]) -> Iterator[Taken]:
        """Changes of documents that the database has already."""
        docs = list(changes)
        for start in range(0, len(docs), TOGETHER):
            some = docs[start : start + TOGETHER]
            away = [doc.bytes for doc in some if doc not in self._documents]
            loaded = documents.load_tails(conn, away)
            built = self._build(loaded)
            for doc in some:
                self._changed.add(doc)
                found = self._documents.get(doc)
                if found is None:
                    self._documents[doc] = built[doc]
                    yield _taken(doc, built[doc], *loaded[doc.bytes], changes[doc])
                else:
                    yield self._applied(conn, doc, found, changes[doc])

    def _applied(self, conn: Connection, doc: uuid.UUID, document: Kept, made: Sequence[bytes]) -> Taken:
        if isinstance(document, Record):
            keys = document.take(made)
            if keys is not None:
                return Taken(doc, document, [[key] for key in keys])
            stored = documents.load_tail(conn, doc.bytes)
            self._documents |= self._build({doc.bytes: stored})
            return _taken(doc, self._documents[doc], *stored, made)
        try:
            return Taken(doc, document, places_of(document.apply_changes(made, strict=True)))
        except CrdtError:  # one is not valid in its past: leave it out, with what follows it
            self._drop(doc)
            loaded = self.get(conn, doc)
            assert loaded is not None, "its changes are in the database"
            return Taken(doc, loaded, None)

    def is_strange(self, doc: uuid.UUID) -> bool:
        """Whether it is known that a document stands for no row."""
        return doc in self._strange

    def estrange(self, doc: uuid.UUID) -> None:
        """A document stands for no row: it is not kept in memory here."""
        self._drop(doc)
        self._strange[doc] = None
        if len(self._strange) > 10 * self._most:
            self._strange.popitem(last=False)

    def deps(self, doc: uuid.UUID) -> tuple[bytes, ...] | None:
        """What a change begun now builds on; None for just the newest of ours. This transaction writes in it."""
        self._changed.add(doc)
        heads = self._documents[doc].heads
        return None if heads == (self._last.get(doc),) else heads

    def wrote(self, doc: uuid.UUID, change_hash: bytes) -> None:
        """This is the newest change of ours."""
        self._last[doc] = change_hash

    def ended(self, *, committed: bool) -> None:
        """The transaction is over."""
        if not committed:
            for doc in self._changed:
                self._drop(doc)
        self._changed.clear()
        while len(self._documents) > self._most:
            self._drop(next(iter(self._documents)))

    def let_go(self) -> None:
        """Keep no document in memory; they are loaded again when they are needed. Not within a transaction."""
        self._documents.clear()
        self._last.clear()

    def _drop(self, doc: uuid.UUID) -> None:
        self._documents.pop(doc, None)
        self._last.pop(doc, None)

    def actor(self, doc: uuid.UUID) -> bytes:
        """Under which rows write in a document."""
        return actor_id(self.device, DocId(doc.bytes), self.session)


def _taken(
    doc: uuid.UUID, document: Kept, snapshot: bytes | None, tail: Sequence[bytes], made: Sequence[bytes]
) -> Taken:
    """Of a document that was just loaded, what it has taken with the newest changes."""
    if snapshot is None and len(tail) == len(made) == 1:
        return Taken(doc, document, None, new=True)
    return Taken(doc, document, _put_by(tail, made) if isinstance(document, Record) else _made_by(document, made))


def _put_by(tail: Sequence[bytes], changes: Sequence[bytes]) -> list[Sequence[str | int]] | None:
    """As `_made_by`, of a record with this tail."""
    record = Record()
    keys = record.take(changes) if record.take(tail[: len(tail) - len(changes)]) is not None else None
    return None if keys is None else [[key] for key in keys]


def _made_by(document: Document, changes: Sequence[bytes]) -> list[Sequence[str | int]] | None:
    """Where the newest changes of a document changed it; None when it does not have them all."""
    made = [inspect(change) for change in changes]
    new = {one.hash for one in made}
    before = {dep for one in made for dep in one.deps} | {*document.heads}
    try:
        return places_of(document.diff(before - new))
    except CrdtError:
        return None
