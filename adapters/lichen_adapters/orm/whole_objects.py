"""Objects over joined tables that a session writes: all of their rows, and those alone that their class has."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from sqlalchemy import Connection, select

from lichen_adapters.orm.clash import Clashes
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.held import Held
from lichen_adapters.orm.journal import Touched
from lichen_adapters.orm.plan import DELETED, SyncedTable
from lichen_adapters.orm.projection import Content, Place, contents, incomplete, sources
from lichen_adapters.orm.rows import home_of, is_there


def touch_whole(conn: Connection, held: Held, touched: dict[SyncedTable, Touched]) -> None:
    """Have all rows of an object written that is held and still in its tables, where one of them is."""
    for planned, what in [*touched.items()]:
        tables = (planned.first, *planned.first.joined)
        for one in tables if len(tables) > 1 and held.any(conn, planned.first) else ():
            for key in [key for key in what.keys if held.holds(conn, one, key) and is_there(conn, (one, key))]:
                owner = None if one.owner is None else conn.scalar(select(one.owner).where(one.table.c.id == key))
                touched.setdefault(one, Touched({}, {})).add(key, owner)


def check_whole(
    conn: Connection,
    root: SyncedTable,
    doc: uuid.UUID,
    content: Content,
    objects: Collection[Place],
) -> None:
    """Raises `SessionMisuse` where objects of a document have not the rows of their class, by their first rows.

    Other devices would not show such an object.
    """
    there = sources(root, doc, content)
    for (planned, key), missing in incomplete(there).items():
        if (planned.first, key) in objects:
            raise SessionMisuse(
                f"the object {key} of {planned.first.name} cannot be as it was written: {missing}",
                hint="delete what is over several tables in all of them, as `session.delete()` does",
            )
    for place, lying in contents(root, doc, content).items():
        planned, key = place
        if place not in there and not lying.get(DELETED) and (planned.first, key) in objects and is_there(conn, place):
            raise SessionMisuse(
                f"row {key} of {planned.name} belongs to an object of a class that has no rows there",
                hint="delete that row too, or leave the class of the object as it is",
            )


def forget_gone(
    conn: Connection, held: Held, clashes: Clashes, root: SyncedTable, doc: uuid.UUID, content: Content
) -> None:
    """Nothing is noted of rows that a document stands for no more, as what was owned by those that were deleted."""
    there = sources(root, doc, content)
    for planned, key in held.of(conn, (root, *root.beneath), doc):
        shown = is_there(conn, (planned, key))
        if (planned, key) not in there and not (shown and home_of(conn, (planned, key)) == doc):
            claim = clashes.claim(conn, (planned, key)) if planned.unique and not shown else None
            held.release(conn, planned, key, doc)
            if claim is not None:
                clashes.changed(conn, planned, claim, None)
