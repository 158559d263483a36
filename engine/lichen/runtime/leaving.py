"""Taking a space off this device, whole or not at all."""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection

from lichen.core import events as happened
from lichen.errors import NotFound
from lichen.ids import SpaceId
from lichen.runtime import rows, ticket_rows
from lichen.runtime.documents import Documents
from lichen.runtime.driver import Driver


async def leave(space: SpaceId, driver: Driver, documents: Documents) -> None:
    """Take a space that is here off the store, and out of memory.

    Raises what keeps a row from being deleted, and `StoreError`: then it is as it was.
    """
    driver.feed(happened.SpaceLeft(space))
    hint = "open the document again; where the space is gone, join it with a new ticket"
    left = NotFound(f"space {space.hex()[:12]} has left this device, or was to leave it", hint=hint)
    store = driver.store
    try:
        await documents.leave(space, left)
        await asyncio.wrap_future(store.write(lambda conn: _drop(conn, space)))
    except Exception:
        for stored in await asyncio.wrap_future(store.write(rows.load_spaces)):
            if stored.space == space:
                driver.feed(stored)
        documents.seal(await asyncio.wrap_future(store.write(rows.documents_to_seal)))
        raise


def _drop(conn: Connection, space: SpaceId) -> None:
    rows.drop_space(conn, space)
    ticket_rows.forget_join(conn, space)
