"""Rows of mail that a relay keeps for devices that are not there."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, select, update

from lichen.errors import LimitExceeded
from lichen.store.schema import mail


def put_mail(
    conn: Connection, receiver: bytes, sender: bytes, body: bytes, now_ms: int, *, most: int, most_in_all: int
) -> None:
    """Keep a mail. One that is kept already only becomes as young as this: who waits for an answer repeats it.

    Raises `LimitExceeded` when `most` are kept for its receiver already. Where `most_in_all` are kept, the oldest gives
    way: receivers cost a sender nothing, so the bound of one receiver bounds no disk.
    """
    same = (mail.c.receiver == receiver, mail.c.sender == sender, mail.c.body == body)
    if conn.execute(update(mail).where(*same).values(received_ms=now_ms)).rowcount:
        return
    kept = conn.execute(select(func.count()).where(mail.c.receiver == receiver)).scalar_one()
    if kept >= most:
        raise LimitExceeded(f"{most} mails are kept for device {receiver.hex()[:12]} already")
    if conn.execute(select(func.count()).select_from(mail)).scalar_one() >= most_in_all:
        conn.execute(delete(mail).where(mail.c.num == select(func.min(mail.c.num)).scalar_subquery()))
    conn.execute(insert(mail).values(receiver=receiver, sender=sender, body=body, received_ms=now_ms))


def take_mail(conn: Connection, receiver: bytes) -> list[tuple[bytes, bytes]]:
    """`(sender, body)` of each mail for a device, oldest first; they are no longer kept."""
    found = conn.execute(select(mail.c.sender, mail.c.body).where(mail.c.receiver == receiver).order_by(mail.c.num))
    mails = [(row.sender, row.body) for row in found]
    conn.execute(delete(mail).where(mail.c.receiver == receiver))
    return mails


def expire_mail(conn: Connection, before_ms: int) -> None:
    """Drop mail that came before a moment."""
    conn.execute(delete(mail).where(mail.c.received_ms < before_ms))
