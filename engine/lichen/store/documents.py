"""Rows of documents: what lists show, the snapshot, and the tail of single changes after it.

A change in the tail carries its session until it has been sealed into a change set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from lichen.store.following import tell
from lichen.store.schema import BODY, HEADS, SNAPSHOT, TITLE, changes, documents, sessions, snapshots
from lichen.store.statements import Statement, fetch_among, upsert

_APPEND = Statement("INSERT INTO lichen_changes (doc, session, continues, body) VALUES (?, ?, ?, ?)", {3: BODY})
_HEADS = Statement(
    "UPDATE lichen_documents SET heads = ?, title = ?, changed_ms = ? WHERE doc = ?", {0: HEADS, 1: TITLE}
)
_CREATE = Statement(
    "INSERT INTO lichen_documents (doc, space, created_ms, changed_ms, heads, title) VALUES (?, ?, ?, ?, ?, ?)",
    {4: HEADS, 5: TITLE},
)
_HOLD = Statement(f"{_CREATE.sql} ON CONFLICT DO NOTHING", {4: HEADS, 5: TITLE})
_BEGIN_SESSION = Statement("INSERT INTO lichen_sessions (doc, session, nonce, seq, last) VALUES (?, ?, ?, 0, NULL)")
_ADVANCE = Statement(
    "INSERT INTO lichen_sessions (doc, session, nonce, seq, last) VALUES (?, ?, NULL, ?, ?)"
    " ON CONFLICT (doc, session) DO UPDATE SET nonce = NULL, seq = excluded.seq, last = excluded.last"
)
_MARK = Statement(
    "UPDATE lichen_changes SET session = NULL WHERE num IN"
    " (SELECT num FROM lichen_changes WHERE doc = ? AND session = ? ORDER BY num LIMIT ?)"
)


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document as lists show it."""

    doc: bytes
    space: bytes
    changed_ms: int
    heads: bytes
    """Automerge hashes of 32 bytes, joined."""
    title: str | None


@dataclass(frozen=True, slots=True)
class UnsealedRow:
    """A local change that is in no change set yet."""

    doc: bytes
    session: bytes
    change: bytes
    continues: bool = False
    """It belongs to the same transaction as the change before it: both go into one change set."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """How far one session of this device has written in one document."""

    session: bytes
    nonce: bytes | None
    """The document's nonce, for the session that creates it."""
    seq: int
    last: bytes | None


_ROW = (documents.c.doc, documents.c.space, documents.c.changed_ms, documents.c.heads, documents.c.title)


def create_documents(conn: Connection, docs: Iterable[bytes], space: bytes, now_ms: int) -> None:
    """Hold documents; nothing happens to those that are held already."""
    rows = [(doc, space, now_ms, now_ms, b"", None) for doc in docs]
    if rows:
        _HOLD.many(conn, rows)


def get_document(conn: Connection, doc: bytes) -> DocumentRow | None:
    """A document by its id."""
    row = conn.execute(select(*_ROW).where(documents.c.doc == doc)).one_or_none()
    return None if row is None else DocumentRow(*row)


def list_documents(conn: Connection, space: bytes) -> list[DocumentRow]:
    """The documents of a space."""
    found = conn.execute(select(*_ROW).where(documents.c.space == space).order_by(documents.c.doc))
    return [DocumentRow(*row) for row in found]


def set_heads(conn: Connection, doc: bytes, heads: bytes, title: str | None, now_ms: int) -> None:
    """Note what lists show."""
    _HEADS.one(conn, (heads, title, now_ms, doc))


def set_many_heads(conn: Connection, shown: Iterable[tuple[bytes, bytes, str | None]], now_ms: int) -> None:
    """As `set_heads`: document, heads and title each."""
    rows = [(heads, title, now_ms, doc) for doc, heads, title in shown]
    if rows:
        _HEADS.many(conn, rows)


@dataclass(frozen=True, slots=True)
class WrittenRow:
    """What one transaction made of a document."""

    doc: bytes
    heads: bytes
    title: str | None
    changes: Sequence[UnsealedRow]
    begun: tuple[bytes, bytes] | None = None
    """The space and the nonce of one that begins with these changes."""


def write_many(conn: Connection, rows: Sequence[WrittenRow], now_ms: int) -> None:
    """As `create_documents`, `put_session`, `append_unsealed` and `set_heads`, for many documents at once.

    Followers are not told: who writes this many has written what follows from it.
    """
    new = [(row, *row.begun) for row in rows if row.begun is not None]
    if new:
        _CREATE.many(conn, [(row.doc, space, now_ms, now_ms, row.heads, row.title) for row, space, _ in new])
        _BEGIN_SESSION.many(conn, [(row.doc, row.changes[0].session, nonce) for row, _, nonce in new])
    set_many_heads(conn, [(row.doc, row.heads, row.title) for row in rows if row.begun is None], now_ms)
    changes = [(one.doc, one.session, one.continues, one.change) for row in rows for one in row.changes]
    if changes:
        _APPEND.many(conn, changes)


def append_changes(conn: Connection, changes: Mapping[bytes, Sequence[bytes]]) -> None:
    """Add changes that lie in change sets to the tails of documents."""
    rows = [(doc, None, False, change) for doc, of_one in changes.items() for change in of_one]
    if rows:
        _APPEND.many(conn, rows)
        tell(conn, changes)


def append_unsealed(conn: Connection, rows: Sequence[UnsealedRow]) -> None:
    """Add local changes that are in no change set yet to the tails of their documents."""
    if rows:
        _APPEND.many(conn, [(row.doc, row.session, row.continues, row.change) for row in rows])
        changes: dict[bytes, list[bytes]] = {}
        for row in rows:
            changes.setdefault(row.doc, []).append(row.change)
        tell(conn, changes)


def mark_sealed(conn: Connection, doc: bytes, session: bytes, count: int) -> None:
    """That many of a session's oldest unsealed changes lie in a change set now."""
    _MARK.one(conn, (doc, session, count))


def mark_many_sealed(conn: Connection, marks: Sequence[tuple[bytes, bytes, int]]) -> None:
    """As `mark_sealed`: document, session and count each."""
    _MARK.many(conn, marks)


def advance_sessions(conn: Connection, ends: Sequence[tuple[bytes, bytes, int, bytes]]) -> None:
    """Note how far sessions have sealed: document, session, seq and last set each."""
    _ADVANCE.many(conn, ends)


def load_tail(conn: Connection, doc: bytes) -> tuple[bytes | None, list[bytes]]:
    """The snapshot and the changes since."""
    found = select(snapshots.c.body, snapshots.c.folded).where(snapshots.c.doc == doc)
    row = conn.execute(found).one_or_none()
    snapshot, folded = (None, 0) if row is None else row
    tail = select(changes.c.body).where(changes.c.doc == doc, changes.c.num > folded).order_by(changes.c.num)
    return snapshot, list(conn.execute(tail).scalars())


def small(conn: Connection, docs: Sequence[bytes], most: int, most_bytes: int) -> list[bytes]:
    """Those of these documents that have no snapshot, and at most so many changes of so many bytes together."""
    query = (
        "SELECT doc FROM lichen_changes AS c WHERE doc IN (?)"
        " AND NOT EXISTS (SELECT 1 FROM lichen_snapshots AS s WHERE s.doc = c.doc)"
        f" GROUP BY doc HAVING count(*) <= {most} AND sum(length(body)) <= {most_bytes}"
    )
    return [doc for (doc,) in fetch_among(conn, query, docs)]


def load_tails(conn: Connection, docs: Sequence[bytes]) -> dict[bytes, tuple[bytes | None, list[bytes]]]:
    """As `load_tail`, for many documents at once; those that are not here are not among them."""
    found: dict[bytes, tuple[bytes | None, list[bytes]]] = {}
    folded: dict[bytes, int] = {}
    saved = "SELECT doc, folded, body FROM lichen_snapshots WHERE doc IN (?)"
    for doc, upto, body in fetch_among(conn, saved, docs, {2: SNAPSHOT}):
        found[doc], folded[doc] = (body, []), upto
    since = "SELECT doc, num, body FROM lichen_changes WHERE doc IN (?) ORDER BY num"
    for doc, num, body in fetch_among(conn, since, docs, {2: BODY}):
        if num > folded.get(doc, 0):
            found.setdefault(doc, (None, []))[1].append(body)
    return found


def long_tails(conn: Connection, docs: Sequence[bytes], most: int) -> list[bytes]:
    """Those of these documents of which the tail has so many changes."""
    query = (
        "SELECT c.doc FROM lichen_changes AS c LEFT JOIN lichen_snapshots AS s ON s.doc = c.doc"
        f" WHERE c.doc IN (?) AND c.num > coalesce(s.folded, 0) GROUP BY c.doc HAVING count(*) >= {most}"
    )
    return [doc for (doc,) in fetch_among(conn, query, docs)]


def tail_position(conn: Connection, doc: bytes) -> int:
    """The position of the newest change of a document."""
    return conn.execute(select(func.max(changes.c.num)).where(changes.c.doc == doc)).scalar_one() or 0


def replace_snapshot(conn: Connection, doc: bytes, snapshot: bytes, upto: int) -> None:
    """Fold the tail up to a position into a snapshot. Changes not sealed yet stay, marked as folded."""
    new = {"folded": upto, "body": snapshot}
    statement = upsert(conn, snapshots).values(doc=doc, **new)
    conn.execute(statement.on_conflict_do_update(index_elements=["doc"], set_=new))
    folded = (changes.c.doc == doc) & (changes.c.num <= upto) & changes.c.session.is_(None)
    conn.execute(delete(changes).where(folded))


def unsealed(conn: Connection, doc: bytes) -> list[UnsealedRow]:
    """Local changes of a document in no change set yet, in order."""
    return unsealed_of_many(conn, [doc])


def unsealed_of_many(conn: Connection, docs: Sequence[bytes]) -> list[UnsealedRow]:
    """As `unsealed`, of many documents: those of each are in order."""
    query = (
        "SELECT doc, session, body, continues FROM lichen_changes WHERE session IS NOT NULL AND doc IN (?) ORDER BY num"
    )
    return [
        UnsealedRow(doc, session, change, bool(continues))
        for doc, session, change, continues in fetch_among(conn, query, docs, {2: BODY})
    ]


def spaces_of_many(conn: Connection, docs: Sequence[bytes]) -> dict[bytes, bytes]:
    """The space of each of these documents that is here."""
    query = "SELECT doc, space FROM lichen_documents WHERE doc IN (?)"
    return {row[0]: row[1] for row in fetch_among(conn, query, docs)}


def sessions_of_many(conn: Connection, docs: Sequence[bytes]) -> dict[bytes, list[SessionRow]]:
    """How far the sessions of this device have sealed in each of these documents."""
    found: dict[bytes, list[SessionRow]] = {}
    query = "SELECT doc, session, nonce, seq, last FROM lichen_sessions WHERE doc IN (?)"
    for doc, *row in fetch_among(conn, query, docs):
        found.setdefault(doc, []).append(SessionRow(*row))
    return found


def documents_to_seal(conn: Connection) -> list[bytes]:
    """Documents with local changes in no change set yet; it reads the index of these alone."""
    query = select(changes.c.doc).where(changes.c.session.isnot(None)).distinct().order_by(changes.c.doc)
    return list(conn.execute(query).scalars())


def put_session(conn: Connection, doc: bytes, row: SessionRow) -> None:
    """Note how far a session has written."""
    new = {"nonce": row.nonce, "seq": row.seq, "last": row.last}
    statement = upsert(conn, sessions).values(doc=doc, session=row.session, **new)
    conn.execute(statement.on_conflict_do_update(index_elements=["doc", "session"], set_=new))


def get_session(conn: Connection, doc: bytes, session: bytes) -> SessionRow | None:
    """How far a session has written."""
    c = sessions.c
    found = select(c.session, c.nonce, c.seq, c.last).where(c.doc == doc, c.session == session)
    row = conn.execute(found).one_or_none()
    return None if row is None else SessionRow(*row)
