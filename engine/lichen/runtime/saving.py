"""Saving: what local transactions make goes to disk in batches of whatever has gathered (group commit).

One batch is on its way at a time. Only a burst that nobody waits for gathers some milliseconds longer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lichen.runtime import rows
from lichen.runtime.sealer import Unsealed

if TYPE_CHECKING:
    from lichen.runtime.document import OpenDocument

log = logging.getLogger("lichen.document")

BURST_CHANGES = 8
"""After a batch of so many changes, the next one gathers for `GATHER_S` while nobody waits for it."""
GATHER_S = 0.004


@dataclass(slots=True)
class Saving:
    """The local changes of one document that are in memory only, and its heads and title for lists.

    Its methods are given the document that it belongs to: a reference of its own would keep that in memory.
    """

    waiting: list[Unsealed] = field(default_factory=list)
    """For the next batch."""
    busy: bool = False
    """A batch is on its way to the disk, or gathers."""
    _stale: bool = False
    """Heads and title in the store are old."""
    _gathering: asyncio.TimerHandle | None = None
    _recorded: int = 0
    _saved: int = 0
    _waiters: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)

    @property
    def all_saved(self) -> bool:
        """Everything added so far is on disk."""
        return self._saved >= self._recorded

    @property
    def quiet(self) -> bool:
        """Everything is on disk."""
        return not self.busy and not self.waiting

    def add(self, opened: OpenDocument, changes: Sequence[Unsealed]) -> None:
        """Save these, at once or with the next batch."""
        self.waiting += changes
        self._recorded += len(changes)
        if not self.busy:
            self._save(opened)

    def heads_changed(self, opened: OpenDocument) -> None:
        """Write heads and title, at once or with the next batch."""
        self._stale = True
        if not self.busy:
            self._save(opened)

    def go_on(self, opened: OpenDocument) -> None:
        """Write heads and title that could not be read while the turn was lent."""
        if self._stale and not self.busy:
            self._save(opened)

    async def wait(self, opened: OpenDocument) -> None:
        """Return when everything added so far is on disk. Raises `StoreError` when it could not be written."""
        if opened.failure is None and self.all_saved:
            return
        if opened.failure is not None and not self.busy:
            raise opened.failure
        if self._gathering is not None:
            self._save(opened)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self._recorded, waiter))
        await waiter

    def fail(self, error: BaseException) -> None:
        """Nothing more is saved. What is on its way may still arrive: who waits for that hears so."""
        self.waiting.clear()
        if self._gathering is not None:
            self._stop_gathering()
            self.busy = False
        if not self.busy:
            self._let_go(error)

    def _stop_gathering(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def _save(self, opened: OpenDocument) -> None:
        """Write all that has gathered; when it is on disk, the next."""
        self._stop_gathering()
        if opened.failure is not None or (opened.lent and not self.waiting):
            return
        doc, changes = opened.id, self.waiting
        listed = None if opened.lent else (opened.crdt.heads, rows.title_of(opened.crdt))
        self.waiting = []
        self.busy, self._stale = True, listed is None
        loop = asyncio.get_running_loop()
        now_ms = int(time.time() * 1000)

        def job(conn: Any) -> None:
            rows.save_changes(conn, doc, changes)
            if listed is not None:
                rows.save_heads(conn, doc, *listed, now_ms)

        def done(_result: object, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(self._ended, opened, changes, error)

        opened.host.write_soon(job, done)

    def _ended(self, opened: OpenDocument, changes: list[Unsealed], error: BaseException | None) -> None:
        self.busy = False
        opened.progress.set()
        if error is not None:
            log.error("document %s could not be saved: %s", opened.id.hex(), error)
            opened.fail(error)
            return
        self._saved += len(changes)
        self._let_go(opened.failure)
        opened.saved_to_disk(changes)
        if opened.failure is not None:
            return
        if len(changes) >= BURST_CHANGES and self.waiting and not self._waiters:
            self.busy = True
            self._gathering = asyncio.get_running_loop().call_later(GATHER_S, self._save, opened)
        elif self.waiting or self._stale:
            self._save(opened)

    def _let_go(self, failure: BaseException | None) -> None:
        """Tell who waits for what is on disk; after a failure also everyone else, that it never will be."""
        while self._waiters and (failure is not None or self._waiters[0][0] <= self._saved):
            reached, waiter = self._waiters.popleft()
            if waiter.done():
                continue
            if failure is not None and reached > self._saved:
                waiter.set_exception(failure)
            else:
                waiter.set_result(None)
