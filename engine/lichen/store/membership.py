"""Rows about spaces: their access logs, epoch keys and tickets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from lichen.errors import LimitExceeded
from lichen.store import following
from lichen.store.schema import (
    change_sets,
    changes,
    documents,
    epoch_keys,
    operations,
    peers,
    redemptions,
    sessions,
    snapshots,
    spaces,
    tickets,
)
from lichen.store.statements import Statement, upsert

_HOLDS = Statement("SELECT 1 FROM lichen_spaces WHERE space = ?")


@dataclass(frozen=True, slots=True)
class SpaceRow:
    """A space here."""

    space: bytes
    inviter: bytes | None
    """Whose ticket let this device in."""


def add_space(conn: Connection, space: bytes, joined_ms: int, inviter: bytes | None) -> None:
    """Hold a space; nothing happens when it is held already."""
    row = {"space": space, "joined_ms": joined_ms, "inviter": inviter}
    conn.execute(upsert(conn, spaces).values(**row).on_conflict_do_nothing())


def holds_space(conn: Connection, space: bytes) -> bool:
    """Whether a space is here."""
    return bool(_HOLDS.fetch(conn, (space,)))


def drop_space(conn: Connection, space: bytes) -> None:
    """Keep nothing of a space, and tell who follows its documents that they are gone."""
    inside = select(documents.c.doc).where(documents.c.space == space)
    following.tell_gone(conn, list(conn.scalars(inside)))
    for table in (changes, snapshots, sessions):
        conn.execute(delete(table).where(table.c.doc.in_(inside)))
    issued = select(tickets.c.id).where(tickets.c.space == space)
    conn.execute(delete(redemptions).where(redemptions.c.ticket.in_(issued)))
    for table in (documents, change_sets, operations, epoch_keys, peers, tickets, spaces):
        conn.execute(delete(table).where(table.c.space == space))


def list_spaces(conn: Connection) -> list[SpaceRow]:
    """Every space here, in the order in which they came."""
    found = conn.execute(select(spaces.c.space, spaces.c.inviter).order_by(spaces.c.joined_ms, spaces.c.space))
    return [SpaceRow(row.space, row.inviter) for row in found]


def add_operations(conn: Connection, space: bytes, rows: Sequence[tuple[bytes, bytes]]) -> None:
    """Keep access operations, `(id, body)` each, in this order; those held already are passed over."""
    if rows:
        values = [{"id": op_id, "space": space, "body": body} for op_id, body in rows]
        conn.execute(upsert(conn, operations).on_conflict_do_nothing(), values)


def load_operations(conn: Connection, space: bytes) -> list[bytes]:
    """The access operations of a space in the order in which they came."""
    found = select(operations.c.body).where(operations.c.space == space).order_by(operations.c.num)
    return list(conn.execute(found).scalars())


def add_epoch_key(conn: Connection, space: bytes, epoch: bytes, key: bytes) -> None:
    """Keep an epoch's key."""
    conn.execute(upsert(conn, epoch_keys).values(space=space, epoch=epoch, key=key).on_conflict_do_nothing())


def load_epoch_keys(conn: Connection, space: bytes) -> dict[bytes, bytes]:
    """The keys of a space by epoch."""
    found = select(epoch_keys.c.epoch, epoch_keys.c.key).where(epoch_keys.c.space == space)
    return {row.epoch: row.key for row in conn.execute(found.order_by(epoch_keys.c.epoch))}


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A ticket that this device issued."""

    id: bytes
    space: bytes
    seed: bytes
    role: int
    uses_left: int
    expires_ms: int
    mode: str


def add_ticket(conn: Connection, row: TicketRow, most: int, now_ms: int) -> None:
    """Keep a ticket. Raises `LimitExceeded` when `most` are open already."""
    still_open = (tickets.c.uses_left > 0) & (tickets.c.expires_ms > now_ms)
    if conn.execute(select(func.count()).select_from(tickets).where(still_open)).scalar_one() >= most:
        raise LimitExceeded(f"{most} tickets are open already", hint="wait until some have expired")
    conn.execute(insert(tickets).values({name: getattr(row, name) for name in TicketRow.__slots__}))


def list_tickets(conn: Connection) -> list[TicketRow]:
    """Every ticket that was issued here."""
    return [TicketRow(*row) for row in conn.execute(select(tickets).order_by(tickets.c.id))]


def get_ticket(conn: Connection, ticket: bytes) -> TicketRow | None:
    """A ticket by its id."""
    row = conn.execute(select(tickets).where(tickets.c.id == ticket)).one_or_none()
    return None if row is None else TicketRow(*row)


def redeem(conn: Connection, ticket: bytes, device: bytes, now_ms: int) -> bool:
    """Use a ticket for a device, once for each: the same device again is True without another use."""
    held = select(redemptions.c.device).where(redemptions.c.ticket == ticket, redemptions.c.device == device)
    if conn.execute(held).one_or_none() is not None:
        return True
    good = (tickets.c.id == ticket) & (tickets.c.uses_left > 0) & (tickets.c.expires_ms > now_ms)
    used = conn.execute(update(tickets).where(good).values(uses_left=tickets.c.uses_left - 1))
    if used.rowcount != 1:
        return False
    conn.execute(insert(redemptions).values(ticket=ticket, device=device, redeemed_ms=now_ms))
    return True
