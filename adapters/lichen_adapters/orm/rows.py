"""The rows of synced tables, as the projector finds and writes them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Container, Iterable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from lichen_adapters.orm.plan import SyncedTable
from lichen_adapters.orm.projection import Link, Place, Row
from lichen_adapters.orm.savepoints import attempt

CHUNK = 500
"""Parameters of one statement."""


def rows_of(conn: Connection, root: SyncedTable, doc: uuid.UUID) -> dict[Place, None]:
    """The rows that lie in a document, owners first."""
    there = conn.scalar(select(root.table.c.id).where(root.table.c.id == doc))
    found: dict[Place, None] = {} if there is None else {(root, doc): None}
    _add_beneath(conn, root, [doc], found)
    return found


def _add_beneath(conn: Connection, planned: SyncedTable, owners: list[uuid.UUID], found: dict[Place, None]) -> None:
    for part in planned.parts:
        keys = _owned(conn, part, owners)
        found.update(dict.fromkeys((part, key) for key in keys))
        if keys:
            _add_beneath(conn, part, keys, found)


def _owned(conn: Connection, part: SyncedTable, owners: Collection[uuid.UUID]) -> list[uuid.UUID]:
    assert part.owner is not None
    return list(conn.scalars(select(part.table.c.id).where(part.owner.in_(owners))))


def home_of(conn: Connection, place: Place) -> uuid.UUID | None:
    """The document in which the row of a table lies; None when there is no such row."""
    planned, key = place
    while planned.owner is not None and planned.above is not None:
        owner = conn.scalar(select(planned.owner).where(planned.table.c.id == key))
        if owner is None:
            return None
        planned, key = planned.above, owner
    return key


def put_row(conn: Connection, place: Place, row: Row, *, there: bool | None) -> None:
    """Insert or update a row; `there` says which, None when it is not known."""
    if there is None:
        there = is_there(conn, place)
    if there:
        update_row(conn, place, row)
    else:
        conn.execute(insert(place[0].table).values(row))


def is_there(conn: Connection, place: Place) -> bool:
    """Whether a row is in its table."""
    key = place[0].table.c.id
    return conn.scalar(select(key).where(key == place[1])) is not None


def update_row(conn: Connection, place: Place, values: Row) -> None:
    """Update columns of a row, without those that the application has stamped at each of its own updates."""
    table = place[0].table
    conn.execute(update(table).where(table.c.id == place[1]).values(kept(table) | values))


def kept(table: Table) -> dict[str, Any]:
    """The columns that an update would stamp, as they are."""
    return {column.name: column for column in table.columns if column.onupdate is not None}


def delete_rows(conn: Connection, planned: SyncedTable, keys: list[uuid.UUID]) -> None:
    """Delete rows with all that they own, whether the database would or not."""
    for part in planned.parts:
        owned = _owned(conn, part, keys)
        for start in range(0, len(owned), CHUNK):
            delete_rows(conn, part, owned[start : start + CHUNK])
    for one in planned.associations:
        assert one.owner is not None
        conn.execute(delete(one.table).where(one.owner.in_(keys)))
    conn.execute(delete(planned.table).where(planned.table.c.id.in_(keys)))


def links_of(conn: Connection, wanted: Iterable[Link], owners: Collection[Place]) -> dict[Link, None]:
    """The rows of associations that these rows own, and those that they are to own."""
    found = {link: None for link in wanted if link.owner in owners}
    for owner in owners:
        for one in owner[0].associations:
            assert one.owner is not None
            others = conn.scalars(select(one.key).where(one.owner == owner[1]))
            found.update(dict.fromkeys(Link(one, owner, other) for other in others))
    return found


def write_links(conn: Connection, wanted: Container[Link], links: Iterable[Link]) -> None:
    """Bring rows of associations up to date; those whose owner is held are not there."""
    for link in links:
        planned = link.table
        assert planned.owner is not None
        values = {planned.owner.name: link.owner[1], planned.key.name: link.other}
        pair = and_(*(planned.table.c[name] == value for name, value in values.items()))
        there = conn.execute(select(planned.key).where(pair)).first() is not None
        if there and link not in wanted:
            conn.execute(delete(planned.table).where(pair))
        elif not there and link in wanted:
            with suppress(IntegrityError), attempt(conn):
                conn.execute(insert(planned.table).values(values))
