"""A store that is open for the time of a block, opened and closed on threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from lichen.config import Limits
from lichen.errors import LichenError
from lichen.runtime.unlock import open_store
from lichen.store import Store
from lichen.store.backend import Durability


@contextlib.asynccontextmanager
async def open_for(
    url: str,
    *,
    passphrase: str | None,
    create: bool,
    limits: Limits,
    durability: Durability = "process",
    clear_rows: bool = False,
) -> AsyncIterator[Store]:
    """The store at `url`, as `open_store` opens it. Cancelled while it opens, it is closed first."""
    opening = asyncio.ensure_future(
        asyncio.to_thread(
            open_store,
            url,
            passphrase=passphrase,
            create=create,
            durability=durability,
            limits=limits,
            clear_rows=clear_rows,
        )
    )
    try:
        store = await asyncio.shield(opening)
    except asyncio.CancelledError:
        with contextlib.suppress(LichenError):
            await asyncio.to_thread((await opening).close)
        raise
    try:
        yield store
    finally:
        await asyncio.to_thread(store.close)
