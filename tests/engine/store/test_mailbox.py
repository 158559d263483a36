"""Rows of mail: in order, bounded, taken once."""

from __future__ import annotations

import pytest
from lichen.errors import LimitExceeded
from lichen.store import Store, mailbox

ALICE, BOB, CAROL = b"a" * 32, b"b" * 32, b"c" * 32


def put(store: Store, receiver: bytes, body: bytes, now_ms: int = 0, most_in_all: int = 99) -> None:
    bounds = {"most": 3, "most_in_all": most_in_all}
    store.write(lambda conn: mailbox.put_mail(conn, receiver, CAROL, body, now_ms, **bounds)).result()


def take(store: Store, receiver: bytes) -> list[bytes]:
    return [body for _, body in store.write(lambda conn: mailbox.take_mail(conn, receiver)).result()]


def test_mail_is_taken_in_order_and_once(store: Store) -> None:
    put(store, ALICE, b"1")
    put(store, BOB, b"x")
    put(store, ALICE, b"2")
    assert store.write(lambda conn: mailbox.take_mail(conn, ALICE)).result() == [(CAROL, b"1"), (CAROL, b"2")]
    assert take(store, ALICE) == []
    assert take(store, BOB) == [b"x"]


def test_mail_above_the_limit_of_its_receiver_is_refused(store: Store) -> None:
    for number in range(3):
        put(store, ALICE, b"%d" % number)
    with pytest.raises(LimitExceeded, match="3 mails"):
        put(store, ALICE, b"one more")
    put(store, BOB, b"x")
    assert take(store, ALICE) == [b"0", b"1", b"2"]


def test_a_repeated_mail_is_kept_once_and_as_long_as_the_last(store: Store) -> None:
    put(store, ALICE, b"1", now_ms=1)
    put(store, ALICE, b"2", now_ms=2)
    for now_ms in range(3, 10):
        put(store, ALICE, b"1", now_ms=now_ms)
    put(store, BOB, b"1", now_ms=1)
    store.write(lambda conn: mailbox.expire_mail(conn, 2)).result()
    assert take(store, ALICE) == [b"1", b"2"]
    assert take(store, BOB) == []


def test_a_repeated_mail_is_no_mail_above_the_limit(store: Store) -> None:
    for _ in range(2):
        for number in range(3):
            put(store, ALICE, b"%d" % number)
    assert take(store, ALICE) == [b"0", b"1", b"2"]


def test_old_mail_is_dropped(store: Store) -> None:
    put(store, ALICE, b"old", now_ms=99)
    put(store, ALICE, b"new", now_ms=100)
    store.write(lambda conn: mailbox.expire_mail(conn, 100)).result()
    assert take(store, ALICE) == [b"new"]


def test_mail_to_receivers_without_end_is_bounded_and_the_oldest_gives_way(store: Store) -> None:
    for number in range(10):
        put(store, bytes((number,)) * 32, b"%d" % number, most_in_all=4)
    assert [take(store, bytes((number,)) * 32) for number in range(10)] == [[]] * 6 + [[b"6"], [b"7"], [b"8"], [b"9"]]
