"""Rows of tickets and of joining with one, as `lichen.runtime.rows` for all else."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from lichen.config import Limits
from lichen.errors import TicketError
from lichen.ids import HASH_BYTES, DeviceKey, SpaceId
from lichen.runtime.rows import check_room, remember_address
from lichen.store import membership, node
from lichen.wire.operation import Role
from lichen.wire.ticket import Ticket, ticket_psk

JOIN = "join"
"""The join that was begun last and not refused: its space, and where others were looked for, in UTF-8."""


@dataclass(frozen=True, slots=True)
class OpenTicketRow:
    """What is needed to answer who comes with a ticket."""

    id: bytes
    space: bytes
    psk: bytes


def new_ticket(ticket: Ticket, role: Role, uses: int, mode: str, expires_ms: int) -> membership.TicketRow:
    """The row of a ticket."""
    return membership.TicketRow(ticket.id, ticket.space, ticket.seed, int(role), uses, expires_ms, mode)


def add_ticket(conn: Connection, row: membership.TicketRow, limits: Limits) -> None:
    """Keep a ticket. Raises `LimitExceeded` above the bound of open ones."""
    membership.add_ticket(conn, row, limits.tickets, int(time.time() * 1000))


def open_tickets(conn: Connection) -> list[OpenTicketRow]:
    """Every ticket kept here, good or not: who comes with an old one is told why it is refused."""
    return [OpenTicketRow(row.id, row.space, ticket_psk(row.seed)) for row in membership.list_tickets(conn)]


def redeem(conn: Connection, ticket_id: bytes, device: DeviceKey, now_ms: int) -> membership.TicketRow:
    """Use a ticket for a device, once for each device. Raises `TicketError` when it is not good any more."""
    row = membership.get_ticket(conn, ticket_id)
    if row is None:
        raise TicketError("this ticket is not known to who issued it")
    if not membership.redeem(conn, ticket_id, device, now_ms):
        reason = "has expired" if row.expires_ms <= now_ms else "was used already"
        raise TicketError(f"this ticket {reason}", hint="ask for a new one")
    return row


def note_join(conn: Connection, space: SpaceId, where: str) -> None:
    """A join begins."""
    node.set_meta(conn, JOIN, space + where.encode())


def forget_join(conn: Connection, space: SpaceId) -> None:
    """Nothing will come of a join into this space any more."""
    if (node.get_meta(conn, JOIN) or b"").startswith(space):
        node.drop_meta(conn, JOIN)


def noted_join(conn: Connection) -> str | None:
    """Where others were looked for in the join that was begun last, empty if unknown; None where there is none."""
    noted = node.get_meta(conn, JOIN)
    return None if noted is None else noted[HASH_BYTES:].decode()


def add_joined(conn: Connection, ticket: Ticket, urls: Sequence[str], now_ms: int, limits: Limits) -> None:
    """A space that this device is about to join, found at these addresses. Raises `LimitExceeded`."""
    check_room(conn, ticket.space, limits)
    membership.add_space(conn, ticket.space, now_ms, ticket.issuer)
    for url in urls:
        remember_address(conn, url)
