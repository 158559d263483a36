"""The rows of documents that leave the device, with their space."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence

from sqlalchemy import Connection, delete, select
from sqlalchemy.exc import IntegrityError

from lichen_adapters.orm.clash import Clashes
from lichen_adapters.orm.disputes import disputed
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.held import held_rows, repaired_rows
from lichen_adapters.orm.joins import joined_rows
from lichen_adapters.orm.plan import Plan, SyncedTable
from lichen_adapters.orm.rows import CHUNK, delete_rows
from lichen_adapters.orm.savepoints import savepoint

log = logging.getLogger("lichen.orm")


def delete_documents(conn: Connection, plan: Plan, clashes: Clashes, docs: Sequence[bytes], *, keeping: bool) -> None:
    """Delete the rows of documents, and all that is noted of them.

    Where the database keeps a row, it stays without its unique keys, if `keeping`; else `SessionMisuse` is raised.
    """
    for start in range(0, len(docs), CHUNK):
        names = [uuid.UUID(bytes=doc) for doc in docs[start : start + CHUNK]]
        for planned in plan:
            if planned.owner is None:
                there = select(planned.table.c.id).where(planned.table.c.id.in_(names))
                _delete(conn, clashes, planned, list(conn.scalars(there)), keeping=keeping)
        for noted in (held_rows, repaired_rows, disputed):
            conn.execute(delete(noted).where(noted.c.doc.in_(names)))
        conn.execute(delete(joined_rows).where(joined_rows.c.id.in_(names)))


def _delete(conn: Connection, clashes: Clashes, planned: SyncedTable, keys: list[uuid.UUID], *, keeping: bool) -> None:
    try:
        with savepoint(conn):
            delete_rows(conn, planned, keys)
    except IntegrityError as error:
        if not keeping:
            raise SessionMisuse(
                f"rows of {planned.name} cannot leave this device: {error.orig}",
                hint="delete the rows of the device alone that point at them, or let those go too (ON DELETE)",
            ) from error
        if len(keys) > 1:
            for key in keys:
                _delete(conn, clashes, planned, [key], keeping=True)
            return
        clashes.disclaim(conn, (planned, keys[0]))
        log.warning("row %s of %s has left the device, but cannot be deleted: %s", keys[0], planned.name, error.orig)
