"""Rows of change sets: their order is an order of the past, and nothing in it is ever moved or reused."""

from __future__ import annotations

import hashlib
import itertools
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen.errors import StoreError
from lichen.store import Store
from lichen.store import change_sets as sets
from lichen.store.change_sets import ChangeSetRow

SPACE, OTHER = b"s" * 32, b"o" * 32
DOC = b"d" * 16


def id_of(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def row(number: int, *deps: int, space: bytes = SPACE, doc: bytes = DOC) -> ChangeSetRow:
    return ChangeSetRow(
        id=id_of(number),
        space=space,
        doc=doc,
        author=b"a" * 32,
        session=b"n" * 16,
        seq=number,
        deps=b"".join(sorted(id_of(dep) for dep in deps)),
        access=b"h" * 32,
        time=1 << 60,
        tip=b"t" * 32,
        last_hash=id_of(1_000_000 + number),
        body=b"body %d" % number,
    )


def add(store: Store, *rows: ChangeSetRow) -> None:
    store.write(lambda conn: sets.add_change_sets(conn, rows)).result()


def ids(store: Store, space: bytes = SPACE) -> list[bytes]:
    return [known.id for known in store.read(lambda conn: sets.known_sets(conn, space)).result()]


def test_sets_come_back_in_the_order_of_arrival(store: Store) -> None:
    add(store, row(3), row(1, 3))
    add(store, row(2, 1, 3))
    assert ids(store) == [id_of(3), id_of(1), id_of(2)]


def test_what_is_known_of_a_set_is_what_was_kept(store: Store) -> None:
    add(store, row(1), row(2, 1))
    found = store.read(lambda conn: sets.known_sets(conn, SPACE)).result()[1]
    kept = row(2, 1)
    assert [getattr(found, name) for name in found.__slots__] == [getattr(kept, name) for name in found.__slots__]


def test_a_set_without_key_has_no_hash(store: Store) -> None:
    add(store, row(1)._replace(last_hash=None))
    assert store.read(lambda conn: sets.known_sets(conn, SPACE)).result()[0].last_hash is None
    assert store.read(lambda conn: sets.last_hashes(conn, DOC)).result() == []


def test_a_set_that_is_held_already_is_passed_over(store: Store) -> None:
    add(store, row(1), row(2))
    before = store.read(lambda conn: sets.scan(conn, SPACE, 0)).result()
    add(store, row(1)._replace(body=b"another"), row(2))
    assert store.read(lambda conn: sets.scan(conn, SPACE, 0)).result() == before
    assert store.read(lambda conn: sets.by_ids(conn, [id_of(1)], 99)).result() == [b"body 1"]


def test_keeping_no_sets_is_nothing(store: Store) -> None:
    add(store)
    assert ids(store) == []


@pytest.mark.parametrize("batch", [[row(2, 1)], [row(2, 1), row(1)], [row(5), row(2, 1, 5)]])
def test_a_set_before_one_that_it_depends_on_is_refused_with_its_batch(store: Store, batch: list[ChangeSetRow]) -> None:
    with pytest.raises(StoreError, match="before one that it depends on"):
        add(store, *batch)
    assert ids(store) == []


def test_a_batch_may_depend_on_more_sets_than_one_statement_names(store: Store) -> None:
    many = range(1_200)
    add(store, *(row(number) for number in many))
    add(store, row(5_000, *many))
    with pytest.raises(StoreError):
        add(store, row(5_001, *many, 6_000))
    assert ids(store)[-1] == id_of(5_000)


def test_spaces_are_apart(store: Store) -> None:
    add(store, row(1), row(2, space=OTHER, doc=b"e" * 16))
    assert (ids(store), ids(store, OTHER)) == ([id_of(1)], [id_of(2)])
    assert store.read(lambda conn: sets.count(conn, DOC)).result() == 1
    assert store.read(lambda conn: sets.last_hashes(conn, DOC)).result() == [(id_of(1_000_001), id_of(1))]


def test_the_newest_hashes_of_many_documents(store: Store) -> None:
    docs = [b"%016d" % number for number in range(sets.TERMS + 1)]
    add(store, *(row(10 * at + number, doc=doc) for number in range(5) for at, doc in enumerate(docs)))
    add(store, row(9_999, doc=docs[1])._replace(last_hash=None))
    wanted = [docs[1], docs[0], docs[-1], b"x" * 16, *docs[2:-1]]
    found = store.read(lambda conn: sets.newest_last_hashes(conn, wanted, 2)).result()
    newest = [10 * at + number for at in range(len(docs)) for number in (3, 4)]
    assert sorted(found) == sorted((docs[n // 10], id_of(1_000_000 + n), id_of(n)) for n in newest)


def test_positions_grow_and_a_scan_starts_after_one(store: Store) -> None:
    add(store, row(1))
    first = store.read(lambda conn: sets.last_num(conn, SPACE)).result()
    add(store, row(2, space=OTHER), row(3, 1))
    found = store.read(lambda conn: sets.scan(conn, SPACE, first)).result()
    assert [(set_id, deps, size) for _, set_id, deps, size in found] == [(id_of(3), id_of(1), len(b"body 3"))]
    assert found[0][0] == store.read(lambda conn: sets.last_num(conn, SPACE)).result() > first


def test_an_empty_space_has_position_zero(store: Store) -> None:
    assert store.read(lambda conn: sets.last_num(conn, SPACE)).result() == 0


def test_a_position_is_not_reused_after_its_set_is_gone(store: Store) -> None:
    add(store, row(1), row(2))
    last = store.read(lambda conn: sets.last_num(conn, SPACE)).result()
    store.write(lambda conn: conn.exec_driver_sql("DELETE FROM lichen_change_sets")).result()
    add(store, row(3))
    assert store.read(lambda conn: sets.last_num(conn, SPACE)).result() > last


def test_bodies_come_in_the_order_of_arrival_whatever_was_asked(store: Store) -> None:
    add(store, *(row(number) for number in range(1_100)))
    numbers = [num for num, *_ in store.read(lambda conn: sets.scan(conn, SPACE, 0)).result()]
    bodies = [b"body %d" % number for number in range(1_100)]
    assert store.read(lambda conn: sets.bodies(conn, numbers[::-1])).result() == bodies
    assert (
        store.read(lambda conn: sets.by_ids(conn, [id_of(n) for n in range(1_099, -1, -1)], 99_999)).result() == bodies
    )


@pytest.mark.parametrize(("most_bytes", "fits"), [(18, 3), (17, 2), (12, 2), (11, 1), (6, 1), (1, 1), (0, 1)])
def test_as_many_bodies_are_read_as_fit_and_the_first_in_any_case(store: Store, most_bytes: int, fits: int) -> None:
    add(store, *(row(number) for number in range(3)))
    wanted = [id_of(number) for number in (2, 0, 1)]
    found = store.read(lambda conn: sets.by_ids(conn, wanted, most_bytes)).result()
    assert found == [b"body 0", b"body 1", b"body 2"][:fits]


def test_what_is_not_here_is_left_out(store: Store) -> None:
    add(store, row(1))
    assert store.read(lambda conn: sets.by_ids(conn, [id_of(9), id_of(1)], 99)).result() == [b"body 1"]
    assert store.read(lambda conn: sets.bodies(conn, [77])).result() == []


@settings(max_examples=30)
@given(data=st.data())
def test_every_order_of_the_past_is_kept_as_it_came(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Random histories: each set depends on some before it; batches are cut anywhere; the order is that of arrival."""
    store = Store.open(tmp_path_factory.mktemp("store") / "notes.db", bytes(32))
    try:
        count = data.draw(st.integers(1, 12))
        rows = [
            row(n, *data.draw(st.sets(st.integers(0, n - 1), max_size=3) if n else st.just(set())))
            for n in range(count)
        ]
        cuts = sorted(data.draw(st.sets(st.integers(0, count), max_size=4)) | {0, count})
        for start, end in itertools.pairwise(cuts):
            add(store, *rows[start:end])
        assert ids(store) == [one.id for one in rows]
    finally:
        store.close()


def test_positions_rise_and_never_come_down(store: Store) -> None:
    for least in (1_000, 50):
        store.write(partial(sets.raise_position, least=least)).result()
    add(store, row(1))
    assert store.read(lambda conn: sets.last_num(conn, SPACE)).result() == 1_001
