"""A store that is open for the time of a block, opened and closed on threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from lichen.config import Limits
from lichen.errors import LichenError
from lichen.runtime.unlock import open_store
from lichen.store import Store
from lichen.store.database import Durability

T = TypeVar("T")


@contextlib.asynccontextmanager
async def open_for(
    url: str, *, passphrase: str | None, create: bool, limits: Limits, durability: Durability = "process"
) -> AsyncIterator[Store]:
    """The store at `url`, as `open_store` opens it. However often it is cancelled, it leaves the store closed."""
    opening = asyncio.ensure_future(
        asyncio.to_thread(open_store, url, passphrase=passphrase, create=create, durability=durability, limits=limits)
    )
    try:
        store = await _outlast(opening)
    except asyncio.CancelledError:
        with contextlib.suppress(LichenError):
            await _outlast(asyncio.to_thread(opening.result().close))
        raise
    try:
        yield store
    finally:
        await _outlast(asyncio.to_thread(store.close))


async def _outlast(work: Awaitable[T]) -> T:
    """Wait for work on a thread to its end. A cancellation is raised after that."""
    running = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return running.result()
