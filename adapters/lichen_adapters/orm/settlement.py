"""The unique keys of what a session commits.

The unique index has refused what it could see. What it cannot see is seen to here: rows whose space the database was
not told, and keys that are claimed by rows which stand back, or are held.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, RowMapping, bindparam, exc, func, update

from lichen_adapters.orm.claims import Claim, Key, keys_of
from lichen_adapters.orm.clash import Clashes
from lichen_adapters.orm.plan import SyncedTable
from lichen_adapters.orm.unique_keys import BEGUN, SPACE

Rows = Mapping[uuid.UUID, RowMapping]


def complete(
    conn: Connection, planned: SyncedTable, rows: Rows, space_of: Callable[[uuid.UUID], bytes], now_ms: int
) -> bool:
    """Say of what space rows are where their statement did not, or another; whether any were such.

    `space_of` takes the id of a row. Raises `IntegrityError`.
    """
    wrong = [{"row": key, "space": space} for key, row in rows.items() if row[SPACE] != (space := space_of(key))]
    if wrong:
        c = planned.table.c
        values = {SPACE: bindparam("space"), BEGUN: func.coalesce(c[BEGUN], now_ms)}
        conn.execute(update(planned.table).where(c.id == bindparam("row")).values(values), wrong)
    return bool(wrong)


def settle(
    conn: Connection,
    clashes: Clashes,
    planned: SyncedTable,
    before: Mapping[uuid.UUID, Claim | None],
    rows: Rows,
) -> None:
    """Make flags right after a transaction that has written these rows.

    Raises `IntegrityError` for a new key that is taken.
    """
    after = {key: Claim(row[SPACE], row[BEGUN], keys_of(planned, row)) for key, row in rows.items()}
    clashes.changed(conn, planned, *before.values(), *after.values())
    fresh = (key for key, claim in after.items() if claim.keys - _keys(before.get(key)))
    for key in clashes.losers(conn, planned, fresh):
        names = {name for columns, _ in after[key].keys for name in columns}
        what = ", ".join(f"{planned.name}.{name}" for name in sorted(names))
        dbapi = conn.dialect.loaded_dbapi
        raise exc.IntegrityError("COMMIT", {}, dbapi.IntegrityError(f"UNIQUE constraint failed: {what}"))


def _keys(claim: Claim | None) -> frozenset[Key]:
    return frozenset() if claim is None else claim.keys
