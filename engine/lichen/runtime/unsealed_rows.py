"""What the store has of changes in no change set yet, for many documents at once; as `lichen.runtime.rows`."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection

from lichen.ids import DocId, Session, SetId, SpaceId
from lichen.runtime.rows import set_row, unsealed_of
from lichen.runtime.sealer import SessionLog, Unsealed
from lichen.store import change_sets, documents
from lichen.wire.changeset import ChangeSet

NEWEST = 4
"""So many sets of a document are looked at first."""


@dataclass(frozen=True, slots=True)
class UnsealedDocument:
    """What it takes to seal a document that is not in memory."""

    doc: DocId
    space: SpaceId
    waiting: deque[Unsealed]
    """In the order in which they must be sealed."""
    sessions: dict[Session, SessionLog]
    """How far the sessions that wrote them have come."""
    head_sets: dict[bytes, SetId] = field(default_factory=dict)
    """The sets that end with the Automerge hashes that they build on."""

    def sealed(self, change_set: ChangeSet, run: Sequence[Unsealed], session: SessionLog) -> None:
        """The store has a set of the first run."""
        for _ in run:
            self.waiting.popleft()
        session.advance(change_set)
        self.head_sets[run[-1].hash] = change_set.id


def load_unsealed(conn: Connection, docs: Sequence[DocId]) -> list[UnsealedDocument]:
    """Those of these documents that have changes in no change set yet."""
    pending: dict[bytes, list[documents.UnsealedRow]] = {}
    for row in documents.unsealed_of_many(conn, docs):
        pending.setdefault(row.doc, []).append(row)
    sessions = documents.sessions_of_many(conn, [*pending])
    spaces = documents.spaces_of_many(conn, [*pending])
    found: dict[bytes, UnsealedDocument] = {}
    for doc, changes in pending.items():
        logs = {Session(row.session): SessionLog(Session(row.session)) for row in changes}
        for known in sessions.get(doc, ()):
            if known.session in logs:
                last = None if known.last is None else SetId(known.last)
                session = Session(known.session)
                logs[session] = SessionLog(session, known.seq, last, known.nonce or b"")
        found[doc] = UnsealedDocument(DocId(doc), SpaceId(spaces[doc]), deque(unsealed_of(changes)), logs)
    _find_heads(conn, found)
    return list(found.values())


def _find_heads(conn: Connection, found: Mapping[bytes, UnsealedDocument]) -> None:
    """Find the sets that what waits builds on. Most often they are the newest, and a document may have very many."""
    wanted: dict[bytes, set[bytes]] = {}
    for doc, one in found.items():
        deps = {dep for change in one.waiting for dep in change.deps or ()}
        if deps := deps - {change.hash for change in one.waiting}:
            wanted[doc] = deps
    for read in (partial(change_sets.newest_last_hashes, most=NEWEST), change_sets.last_hashes_of_many):
        for doc, last_hash, set_id in read(conn, [*wanted]) if wanted else ():
            if last_hash in wanted[doc]:
                found[doc].head_sets[last_hash] = SetId(set_id)
        wanted = {doc: deps for doc, deps in wanted.items() if not deps <= found[doc].head_sets.keys()}


def long_tails(conn: Connection, docs: Sequence[DocId], changes: int) -> list[DocId]:
    """Those of these documents whose tail has so many changes."""
    return [DocId(doc) for doc in documents.long_tails(conn, docs, changes)]


def save_many_sealed(conn: Connection, sealed: Sequence[tuple[ChangeSet, bytes, int]]) -> None:
    """As `rows.save_sealed`, for one set each of many documents: set, last hash and count of changes."""
    change_sets.add_change_sets(conn, [set_row(change_set, last_hash) for change_set, last_hash, _ in sealed])
    headers = [(change_set.header, change_set.id, count) for change_set, _, count in sealed]
    documents.mark_many_sealed(conn, [(header.doc, header.session, count) for header, _, count in headers])
    documents.advance_sessions(conn, [(header.doc, header.session, header.seq, last) for header, last, _ in headers])
