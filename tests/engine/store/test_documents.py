"""Rows of documents: no change is lost between its tail, its change set and the snapshot it is folded into."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lichen.store import Store
from lichen.store import documents as docs
from lichen.store.documents import DocumentRow, SessionRow, UnsealedRow
from lichen.store.schema import changes
from sqlalchemy import Connection, select

T = TypeVar("T")
DOC, OTHER = b"d" * 16, b"e" * 16
SPACE = b"s" * 32
MINE, EARLIER = b"m" * 16, b"p" * 16


def do(store: Store, job: Callable[[Connection], T]) -> T:
    return store.write(job).result()


def begin(store: Store) -> None:
    do(store, lambda conn: docs.create_documents(conn, [DOC], SPACE, 1_000))


def append(store: Store, session: bytes | None, *changes: bytes, doc: bytes = DOC) -> None:
    if session is None:
        do(store, lambda conn: docs.append_changes(conn, {doc: changes}))
    else:
        do(store, lambda conn: docs.append_unsealed(conn, [UnsealedRow(doc, session, one) for one in changes]))


def tail(store: Store) -> tuple[bytes | None, list[bytes]]:
    return do(store, lambda conn: docs.load_tail(conn, DOC))


def waiting(store: Store) -> list[bytes]:
    return [row.change for row in do(store, lambda conn: docs.unsealed(conn, DOC))]


def test_a_new_document_is_empty(store: Store) -> None:
    begin(store)
    assert do(store, lambda conn: docs.get_document(conn, DOC)) == DocumentRow(DOC, SPACE, 1_000, b"", None)
    assert tail(store) == (None, [])


def test_creating_a_document_again_changes_nothing(store: Store) -> None:
    begin(store)
    do(store, lambda conn: docs.set_heads(conn, DOC, b"h" * 32, "Groceries", 2_000))
    do(store, lambda conn: docs.create_documents(conn, [DOC], b"t" * 32, 3_000))
    assert do(store, lambda conn: docs.get_document(conn, DOC)) == DocumentRow(
        DOC, SPACE, 2_000, b"h" * 32, "Groceries"
    )


def test_a_document_that_is_not_here_is_none(store: Store) -> None:
    assert do(store, lambda conn: docs.get_document(conn, DOC)) is None


def test_a_list_holds_the_documents_of_its_space(store: Store) -> None:
    begin(store)
    do(store, lambda conn: docs.create_documents(conn, [OTHER], SPACE, 1))
    do(store, lambda conn: docs.create_documents(conn, [b"f" * 16], b"t" * 32, 1))
    assert [row.doc for row in do(store, lambda conn: docs.list_documents(conn, SPACE))] == [DOC, OTHER]


def test_changes_come_back_in_order_of_their_own_document(store: Store) -> None:
    begin(store)
    append(store, MINE, b"1", b"2")
    append(store, None, b"x", doc=OTHER)
    append(store, None, b"3")
    assert tail(store) == (None, [b"1", b"2", b"3"])


def test_appending_nothing_is_nothing(store: Store) -> None:
    begin(store)
    append(store, MINE)
    assert tail(store) == (None, [])


def test_only_local_changes_wait_to_be_sealed(store: Store) -> None:
    begin(store)
    append(store, MINE, b"1")
    append(store, None, b"2")
    assert do(store, lambda conn: docs.unsealed(conn, DOC)) == [UnsealedRow(DOC, MINE, b"1")]
    assert do(store, docs.documents_to_seal) == [DOC]


def test_sealing_takes_the_oldest_of_its_session(store: Store) -> None:
    begin(store)
    append(store, EARLIER, b"1")
    append(store, MINE, b"2", b"3")
    append(store, EARLIER, b"4")
    append(store, MINE, b"5")
    append(store, MINE, b"x", doc=OTHER)
    do(store, lambda conn: docs.mark_sealed(conn, DOC, MINE, 2))
    assert waiting(store) == [b"1", b"4", b"5"]
    do(store, lambda conn: docs.mark_sealed(conn, DOC, EARLIER, 2))
    assert waiting(store) == [b"5"]
    assert do(store, docs.documents_to_seal) == [DOC, OTHER]
    assert tail(store)[1] == [b"1", b"2", b"3", b"4", b"5"]


def test_folding_replaces_the_sealed_tail_by_a_snapshot(store: Store) -> None:
    begin(store)
    append(store, None, b"1", b"2")
    upto = do(store, lambda conn: docs.tail_position(conn, DOC))
    append(store, None, b"3")
    do(store, lambda conn: docs.replace_snapshot(conn, DOC, b"1 and 2", upto))
    assert tail(store) == (b"1 and 2", [b"3"])
    left = do(store, lambda conn: conn.scalars(select(changes.c.body)).all())
    assert left == [b"3"]


def test_folding_leaves_what_is_not_sealed_to_be_sealed(store: Store) -> None:
    begin(store)
    append(store, None, b"1")
    append(store, MINE, b"2", b"3")
    upto = do(store, lambda conn: docs.tail_position(conn, DOC))
    do(store, lambda conn: docs.replace_snapshot(conn, DOC, b"1 to 3", upto))
    assert tail(store) == (b"1 to 3", [])
    assert waiting(store) == [b"2", b"3"]
    do(store, lambda conn: docs.mark_sealed(conn, DOC, MINE, 2))
    append(store, None, b"4")
    assert tail(store) == (b"1 to 3", [b"4"])


def test_folding_again_removes_what_was_sealed_since(store: Store) -> None:
    begin(store)
    append(store, MINE, b"1")
    do(store, lambda conn: docs.replace_snapshot(conn, DOC, b"1", docs.tail_position(conn, DOC)))
    do(store, lambda conn: docs.mark_sealed(conn, DOC, MINE, 1))
    append(store, None, b"2")
    do(store, lambda conn: docs.replace_snapshot(conn, DOC, b"1 and 2", docs.tail_position(conn, DOC)))
    assert tail(store) == (b"1 and 2", [])
    assert do(store, lambda conn: conn.exec_driver_sql("SELECT count(*) FROM lichen_changes").scalar_one()) == 0


def test_a_position_is_not_reused_after_folding(store: Store) -> None:
    """A reused position would lie below what is folded, and its change would be lost."""
    begin(store)
    append(store, None, b"1", b"2")
    do(store, lambda conn: docs.replace_snapshot(conn, DOC, b"1 and 2", docs.tail_position(conn, DOC)))
    append(store, None, b"3")
    assert tail(store) == (b"1 and 2", [b"3"])


def test_an_empty_tail_has_position_zero(store: Store) -> None:
    assert do(store, lambda conn: docs.tail_position(conn, DOC)) == 0


def test_a_session_goes_on_where_it_was(store: Store) -> None:
    assert do(store, lambda conn: docs.get_session(conn, DOC, MINE)) is None
    for row in (SessionRow(MINE, b"n" * 16, 0, None), SessionRow(MINE, None, 7, b"i" * 32)):
        do(store, lambda conn, row=row: docs.put_session(conn, DOC, row))  # type: ignore[misc]
        assert do(store, lambda conn: docs.get_session(conn, DOC, MINE)) == row
    assert do(store, lambda conn: docs.get_session(conn, OTHER, MINE)) is None


def plan(store: Store, query: str) -> str:
    found = do(store, lambda conn: conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all())
    return "\n".join(row[3] for row in found)


def test_small_are_those_of_few_bytes_and_changes_without_a_snapshot(store: Store) -> None:
    append(store, None, b"12345", b"678")
    append(store, MINE, b"1", b"2", b"3", doc=OTHER)

    def small(most: int, most_bytes: int) -> set[bytes]:
        return {*do(store, lambda conn: docs.small(conn, [DOC, OTHER, MINE], most, most_bytes))}

    sealed = 64  # bytes that sealing may add to each
    assert small(9, 9 * sealed) == {DOC, OTHER}
    assert small(2, 9 * sealed) == {DOC}
    assert small(9, 3) <= {OTHER}
    do(store, lambda conn: docs.replace_snapshot(conn, OTHER, b"123", 5))
    assert small(9, 9 * sealed) == {DOC}


def test_finding_what_to_seal_does_not_read_long_tails(opened: Callable[..., Store]) -> None:
    store = opened()
    marking = docs._MARK.sql.replace("?", "1")
    assert "ix_lichen_changes_unsealed" in plan(store, marking)
    assert "ix_lichen_changes_unsealed" in plan(
        store, "SELECT DISTINCT doc FROM lichen_changes WHERE session IS NOT NULL ORDER BY doc"
    )
