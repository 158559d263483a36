"""Documents that another connection began, sealed many at a time and without being loaded.

An application that adds rows by the thousand begins as many documents, and needs none of them in memory.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from lichen.core.events import SetSealed
from lichen.ids import DocId
from lichen.runtime import rows
from lichen.runtime.sealer import SessionLog
from lichen.wire.changeset import ChangeSet

if TYPE_CHECKING:
    from lichen.runtime.document import Host

log = logging.getLogger("lichen.documents")

BATCH = 64
"""Documents sealed and stored at a time."""


class Beginnings:
    """The documents that are being sealed so. `left(doc)` is called for one that must be loaded to be sealed."""

    def __init__(self, host: Host, left: Callable[[DocId], None]) -> None:
        self._host = host
        self._left = left
        self._busy: dict[DocId, asyncio.Future[None]] = {}

    def busy(self, doc: DocId) -> asyncio.Future[None] | None:
        """Resolves when a document may be loaded: to do so before that could seal it twice."""
        return self._busy.get(doc)

    async def settle(self) -> None:
        """Return when all are sealed, as far as they can be."""
        await asyncio.gather(*self._busy.values())

    def seal(self, written: Sequence[rows.WrittenDocument]) -> None:
        """Seal these, which are on disk."""
        loop = asyncio.get_running_loop()
        fitting = []
        for one in written:
            if self._fits(one):
                fitting.append(one)
            else:
                self._left(one.doc)
        if fitting:
            self._busy.update((one.doc, loop.create_future()) for one in fitting)
            if self._host.spawn(self._seal_all(fitting), "seal what was begun") is None:
                self._let_go(fitting)

    def _fits(self, one: rows.WrittenDocument) -> bool:
        """Whether one change set holds it, and this device can seal that now."""
        assert one.begun is not None
        sealer = self._host.sealer
        return sealer.ready(one.begun[0]) and len(sealer.next_run(one.changes)) == len(one.changes)

    async def _seal_all(self, written: Sequence[rows.WrittenDocument]) -> None:
        try:
            for start in range(0, len(written), BATCH):
                batch = written[start : start + BATCH]
                try:
                    await self._seal_batch(batch)
                except Exception:
                    log.exception("what another connection began could not be sealed together")
                    for one in batch:
                        self._left(one.doc)
                self._let_go(batch)
        finally:
            self._let_go(written)

    async def _seal_batch(self, batch: Sequence[rows.WrittenDocument]) -> None:
        plans = [self._plan(one) for one in batch]
        sets = await asyncio.to_thread(lambda: [plan() for plan in plans])
        made = [(one, sealed.header.space, sealed) for one, sealed in zip(batch, sets, strict=True)]
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[None] = loop.create_future()

        def end(error: BaseException | None) -> None:
            if stored.done():  # the engine is closing
                return
            if error is not None:
                stored.set_exception(error)
                return
            stored.set_result(None)
            for one, space, sealed in made:  # pushed in this turn, before peers are told a position behind it
                self._host.sealed(SetSealed(space, sealed, one.changes[-1].hash))

        def done(_result: object, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(end, error)

        def job(conn: Connection) -> None:
            rows.save_many_sealed(conn, [(sealed, one.changes[-1].hash, len(one.changes)) for one, _, sealed in made])

        self._host.write_soon(job, done)
        await stored

    def _plan(self, one: rows.WrittenDocument) -> Callable[[], ChangeSet]:
        assert one.begun is not None
        space, nonce = one.begun
        session = SessionLog(one.changes[0].session, nonce=nonce)
        return self._host.sealer.plan(space, one.doc, session, one.changes, {}, os.urandom(32))

    def _let_go(self, written: Sequence[rows.WrittenDocument]) -> None:
        for one in written:
            future = self._busy.pop(one.doc, None)
            if future is not None and not future.done():
                future.set_result(None)
