"""Rows about the node itself: its keys, whom it has read how far, what it dials."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from lichen.store.schema import addresses, meta, peers
from lichen.store.statements import upsert


def get_meta(conn: Connection, key: str) -> bytes | None:
    """A value by its name."""
    return conn.execute(select(meta.c.value).where(meta.c.key == key)).scalar_one_or_none()


def set_meta(conn: Connection, key: str, value: bytes) -> None:
    """Set a value, new or not."""
    statement = upsert(conn, meta).values(key=key, value=value)
    conn.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": value}))


def drop_meta(conn: Connection, key: str) -> None:
    """Keep a value no longer."""
    conn.execute(delete(meta).where(meta.c.key == key))


def cursor(conn: Connection, peer: bytes, space: bytes) -> tuple[bytes, int] | None:
    """How far a peer's store was read: that store's id, and a position in it."""
    found = select(peers.c.store, peers.c.position).where(peers.c.peer == peer, peers.c.space == space)
    row = conn.execute(found).one_or_none()
    return None if row is None else (row.store, row.position)


def set_cursor(conn: Connection, peer: bytes, space: bytes, store: bytes, position: int) -> None:
    """Note how far a peer's store was read."""
    new = {"store": store, "position": position}
    statement = upsert(conn, peers).values(peer=peer, space=space, **new)
    conn.execute(statement.on_conflict_do_update(index_elements=["peer", "space"], set_=new))


def add_address(conn: Connection, url: str) -> None:
    """Dial this after a restart."""
    conn.execute(upsert(conn, addresses).values(url=url).on_conflict_do_nothing())


def drop_address(conn: Connection, url: str) -> None:
    """Do not dial this any more."""
    conn.execute(delete(addresses).where(addresses.c.url == url))


def list_addresses(conn: Connection) -> list[str]:
    """What is dialled after a restart."""
    return list(conn.execute(select(addresses.c.url).order_by(addresses.c.url)).scalars())
