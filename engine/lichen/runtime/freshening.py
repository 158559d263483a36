"""Title and heads of documents that others have changed while these were not in memory, brought up to date for lists.

A device that was away for long comes home to thousands of them, and needs none of them in memory for that: what lists
show is found out where the changes lie, many documents at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from lichen_crdt import Record
from sqlalchemy import Connection

from lichen.ids import DocId, SpaceId
from lichen.runtime import rows
from lichen.runtime.awaited import awaited
from lichen.runtime.building import build_crdt
from lichen.store import documents

if TYPE_CHECKING:
    from lichen.runtime.document import Host

log = logging.getLogger("lichen.documents")

BATCH = 64
"""Documents of one job."""
GATHER_S = 0.05
"""Who waits for a change itself comes first, and a burst gathers."""


class Freshening:
    """The documents that lists show as they were.

    `asleep(doc)` says whether one is not in memory, nor being loaded; `load(doc)` loads one and brings it up to date.
    """

    def __init__(self, host: Host, asleep: Callable[[DocId], bool], load: Callable[[DocId], Awaitable[None]]) -> None:
        self._host = host
        self._asleep = asleep
        self._load = load
        self._stale: dict[DocId, SpaceId] = {}
        self._running: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    async def settle(self) -> None:
        """Return when all are up to date."""
        if self._running is not None:
            self._hurry.set()
            await asyncio.wait([self._running])

    def freshen(self, doc: DocId, space: SpaceId) -> None:
        """Bring a document up to date soon."""
        self._stale[doc] = space
        if self._running is None:
            self._hurry.clear()
            self._running = self._host.spawn(self._freshen_all(), "freshen")

    async def _freshen_all(self) -> None:
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), GATHER_S)
            while self._stale:
                batch = dict(islice(self._stale.items(), BATCH))
                for doc in batch:
                    del self._stale[doc]
                await self._freshen(batch)
        finally:
            self._running = None

    async def _freshen(self, batch: Mapping[DocId, SpaceId]) -> None:
        asleep = [doc for doc in batch if self._asleep(doc)]
        done: Set[DocId] = frozenset()
        try:
            done = await awaited(self._host.write_soon, lambda conn: write_heads(conn, asleep))
        except Exception:
            log.exception("documents that others have changed could not be read together")
        for doc in asleep:  # one that has been opened meanwhile was brought up to date by that
            space = batch[doc]
            if self._host.holds(space) and not (doc in done and self._host.changed_asleep(space, doc)):
                await self._load(doc)


def write_heads(conn: Connection, docs: Sequence[DocId]) -> set[DocId]:
    """Write title and heads of those of these documents that are small, as their changes have them; which these are."""
    tails = documents.load_tails(conn, documents.small(conn, docs, rows.SMALL_TAIL, rows.SMALL_TAIL_BYTES))
    found = {DocId(doc): _shown(tail) for doc, (_, tail) in tails.items()}
    rows.save_many_heads(conn, [(doc, heads, title) for doc, (heads, title) in found.items()])
    return {*found}


def _shown(tail: Sequence[bytes]) -> tuple[Sequence[bytes], str | None]:
    """The heads and the title of a document with these changes."""
    record = Record()
    if record.take(tail) is not None:
        return record.heads, rows.title_of(record.to_py())
    crdt = build_crdt(None, tail, None)
    return crdt.heads, rows.title_of(crdt)
