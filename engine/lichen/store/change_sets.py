"""Rows of change sets. Their `num` is the order of arrival, in which ancestors come first."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from lichen.errors import StoreError
from lichen.ids import HASH_BYTES
from lichen.store.schema import LAST_HASH, change_sets
from lichen.store.statements import CHUNK, Statement, fetch_among, padded

_INSERT = Statement(
    "INSERT INTO lichen_change_sets"
    " (id, space, doc, author, session, seq, deps, access, time, tip, last_hash, size, body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    {10: LAST_HASH},
)

TERMS = 64
"""Terms of one statement; SQLite takes 500."""


class ChangeSetRow(NamedTuple):
    """A change set to keep."""

    id: bytes
    space: bytes
    doc: bytes
    author: bytes
    session: bytes
    seq: int
    deps: bytes
    """Ids of 32 bytes, joined."""
    access: bytes
    """Ids of 32 bytes, joined."""
    time: int
    tip: bytes
    last_hash: bytes | None
    """The Automerge hash of the last change; None at a node without the key."""
    body: bytes


@dataclass(frozen=True, slots=True)
class KnownRow:
    """What a node keeps in memory of a change set."""

    id: bytes
    doc: bytes
    author: bytes
    session: bytes
    seq: int
    access: bytes
    deps: bytes
    tip: bytes
    last_hash: bytes | None


def add_change_sets(conn: Connection, rows: Sequence[ChangeSetRow]) -> None:
    """Keep change sets in this order; those held already are passed over.

    Raises `StoreError` when a set that one of them depends on is not here: positions are an order of the past.
    """
    _check_past(conn, rows)
    if rows:
        _INSERT.many(conn, [_values(row) for row in rows])


def _values(row: ChangeSetRow) -> tuple[object, ...]:
    place = (row.id, row.space, row.doc, row.author, row.session, row.seq)
    return (*place, row.deps, row.access, row.time, row.tip, row.last_hash, len(row.body), row.body)


def _check_past(conn: Connection, rows: Sequence[ChangeSetRow]) -> None:
    earlier: set[bytes] = set()
    needed: dict[bytes, None] = {}
    for row in rows:
        ids = (row.deps[start : start + HASH_BYTES] for start in range(0, len(row.deps), HASH_BYTES))
        needed.update((dep, None) for dep in ids if dep not in earlier)
        earlier.add(row.id)
    held = sum(1 for _ in fetch_among(conn, "SELECT 1 FROM lichen_change_sets WHERE id IN (?)", list(needed)))
    if held != len(needed):
        raise StoreError("a change set was to be kept before one that it depends on")


def known_sets(conn: Connection, space: bytes) -> list[KnownRow]:
    """Every change set of a space, without its body, in the order of arrival."""
    c = change_sets.c
    columns = (c.id, c.doc, c.author, c.session, c.seq, c.access, c.deps, c.tip, c.last_hash)
    found = conn.execute(select(*columns).where(c.space == space).order_by(c.num))
    return [KnownRow(*row) for row in found]


def scan(conn: Connection, space: bytes, since: int) -> list[tuple[int, bytes, bytes, int]]:
    """`(num, id, deps, size)` of what arrived after a position, in order."""
    c = change_sets.c
    found = select(c.num, c.id, c.deps, c.size).where(c.space == space, c.num > since).order_by(c.num)
    return [(row.num, row.id, row.deps, row.size) for row in conn.execute(found)]


def bodies(conn: Connection, numbers: Sequence[int]) -> list[bytes]:
    """The sets at these positions, in the order of arrival."""
    found: list[tuple[int, bytes]] = []
    for start in range(0, len(numbers), CHUNK):
        chunk = numbers[start : start + CHUNK]
        query = select(change_sets.c.num, change_sets.c.body).where(change_sets.c.num.in_(chunk))
        found.extend((row.num, row.body) for row in conn.execute(query))
    return [body for _, body in sorted(found)]


def by_ids(conn: Connection, ids: Sequence[bytes], most_bytes: int) -> list[bytes]:
    """The sets with these ids that are here, in the order of arrival: as many as fit, but at least one."""
    c = change_sets.c
    sizes: list[tuple[int, int]] = []
    for start in range(0, len(ids), CHUNK):
        found = conn.execute(select(c.num, c.size).where(c.id.in_(ids[start : start + CHUNK])))
        sizes.extend((row.num, row.size) for row in found)
    sizes.sort()
    totals = itertools.accumulate(size for _, size in sizes)
    fitting = [num for (num, _), total in zip(sizes, totals, strict=True) if total <= most_bytes]
    return bodies(conn, fitting or [num for num, _ in sizes[:1]])


def raise_position(conn: Connection, least: int) -> None:
    """Give what arrives from now on positions above `least`; a position never comes down again."""
    table = change_sets.name
    if conn.dialect.name != "sqlite":
        counter = f"pg_get_serial_sequence('{table}', 'num')::regclass"
        conn.exec_driver_sql(f"SELECT setval({counter}, greatest(pg_sequence_last_value({counter}), %s))", (least,))
        return
    raised = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?"
    if not conn.exec_driver_sql(raised, (least, table)).rowcount:
        conn.exec_driver_sql("INSERT INTO sqlite_sequence (seq, name) VALUES (?, ?)", (least, table))


def last_num(conn: Connection, space: bytes) -> int:
    """The newest position in a space, 0 when it is empty."""
    found = select(func.max(change_sets.c.num)).where(change_sets.c.space == space)
    return conn.execute(found).scalar_one() or 0


def last_hashes(conn: Connection, doc: bytes) -> list[tuple[bytes, bytes]]:
    """`(last_hash, id)` of every set of a document that holds changes."""
    c = change_sets.c
    found = conn.execute(select(c.last_hash, c.id).where(c.doc == doc, c.last_hash.isnot(None)))
    return [(row.last_hash, row.id) for row in found]


def last_hashes_of_many(conn: Connection, docs: Sequence[bytes]) -> list[tuple[bytes, bytes, bytes]]:
    """`(doc, last_hash, id)` of every set of these documents that holds changes."""
    query = "SELECT doc, last_hash, id FROM lichen_change_sets WHERE last_hash IS NOT NULL AND doc IN (?)"
    return [(doc, last_hash, set_id) for doc, last_hash, set_id in fetch_among(conn, query, docs, {1: LAST_HASH})]


def newest_last_hashes(conn: Connection, docs: Sequence[bytes], most: int) -> list[tuple[bytes, bytes, bytes]]:
    """As `last_hashes_of_many`, of the newest so many sets of each: soon read, however many there are."""
    of_one = (
        "SELECT * FROM (SELECT doc, last_hash, id FROM lichen_change_sets WHERE doc = ? AND last_hash IS NOT NULL"
        f" ORDER BY num DESC LIMIT {most}) AS newest"
    )
    found: dict[tuple[bytes, bytes, bytes], None] = {}
    for start in range(0, len(docs), TERMS):
        chunk = padded(docs[start : start + TERMS])
        query = Statement(" UNION ALL ".join([of_one] * len(chunk)))
        for doc, last_hash, set_id in query.fetch(conn, chunk, {1: LAST_HASH}):
            found[doc, last_hash, set_id] = None
    return [*found]


def count(conn: Connection, doc: bytes) -> int:
    """How many change sets of a document are here."""
    return conn.execute(select(func.count()).where(change_sets.c.doc == doc)).scalar_one()
