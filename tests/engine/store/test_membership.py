"""Rows of spaces: logs, epoch keys, and tickets that are used once for each device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from lichen.errors import LimitExceeded
from lichen.store import Store, membership
from lichen.store.membership import SpaceRow, TicketRow
from sqlalchemy import Connection

T = TypeVar("T")
SPACE, OTHER = b"s" * 32, b"o" * 32
TICKET = TicketRow(b"t" * 16, SPACE, b"x" * 32, 3, 2, 5_000, "auto")
ALICE, BOB, CAROL = b"a" * 32, b"b" * 32, b"c" * 32


def do(store: Store, job: Callable[[Connection], T]) -> T:
    return store.write(job).result()


def test_spaces_come_back_in_the_order_in_which_they_came(store: Store) -> None:
    do(store, lambda conn: membership.add_space(conn, SPACE, 2, None))
    do(store, lambda conn: membership.add_space(conn, OTHER, 1, ALICE))
    do(store, lambda conn: membership.add_space(conn, SPACE, 0, BOB))
    assert do(store, membership.list_spaces) == [SpaceRow(OTHER, ALICE), SpaceRow(SPACE, None)]


def test_operations_come_back_in_the_order_in_which_they_came(store: Store) -> None:
    do(store, lambda conn: membership.add_operations(conn, SPACE, [(b"2", b"second"), (b"1", b"first")]))
    do(store, lambda conn: membership.add_operations(conn, SPACE, [(b"1", b"again"), (b"3", b"third")]))
    do(store, lambda conn: membership.add_operations(conn, OTHER, [(b"4", b"other")]))
    do(store, lambda conn: membership.add_operations(conn, SPACE, []))
    assert do(store, lambda conn: membership.load_operations(conn, SPACE)) == [b"second", b"first", b"third"]


def test_an_epoch_keeps_the_key_that_came_first(store: Store) -> None:
    for epoch, key in ((b"1", b"one"), (b"2", b"two"), (b"1", b"forged")):
        do(store, lambda conn, epoch=epoch, key=key: membership.add_epoch_key(conn, SPACE, epoch, key))  # type: ignore[misc]
    assert do(store, lambda conn: membership.load_epoch_keys(conn, SPACE)) == {b"1": b"one", b"2": b"two"}
    assert do(store, lambda conn: membership.load_epoch_keys(conn, OTHER)) == {}


def issue(store: Store, ticket: TicketRow = TICKET, most: int = 10, now_ms: int = 0) -> None:
    do(store, lambda conn: membership.add_ticket(conn, ticket, most, now_ms))


def redeem(store: Store, device: bytes, now_ms: int = 0) -> bool:
    return do(store, lambda conn: membership.redeem(conn, TICKET.id, device, now_ms))


def test_a_ticket_comes_back_as_it_was_issued(store: Store) -> None:
    issue(store)
    assert do(store, lambda conn: membership.get_ticket(conn, TICKET.id)) == TICKET
    assert do(store, membership.list_tickets) == [TICKET]
    assert do(store, lambda conn: membership.get_ticket(conn, b"?" * 16)) is None


def test_a_ticket_is_used_once_for_each_device_and_not_more_often_than_it_says(store: Store) -> None:
    issue(store)
    assert [redeem(store, device) for device in (ALICE, ALICE, BOB, CAROL, BOB)] == [True, True, True, False, True]
    left = do(store, lambda conn: membership.get_ticket(conn, TICKET.id))
    assert left is not None
    assert left.uses_left == 0


def test_an_expired_ticket_is_good_only_for_who_has_used_it(store: Store) -> None:
    issue(store)
    assert redeem(store, ALICE, 4_999)
    assert not redeem(store, BOB, 5_000)
    assert redeem(store, ALICE, 9_000)


def test_an_unknown_ticket_is_refused(store: Store) -> None:
    assert not redeem(store, ALICE)


def test_tickets_above_the_limit_are_refused_until_some_are_over(store: Store) -> None:
    issue(store, most=2)
    issue(store, replace(TICKET, id=b"u" * 16, expires_ms=9_000), most=2)
    third = replace(TICKET, id=b"v" * 16)
    with pytest.raises(LimitExceeded, match="2 tickets"):
        issue(store, third, most=2)
    issue(store, third, most=2, now_ms=5_000)
    assert len(do(store, membership.list_tickets)) == 3
