"""What peers gave the store to do: while it is too much, links are read no further."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from lichen.config import KIB
from lichen.store import Store
from lichen.store.worker import Done, Job

JOB_BYTES = 16 * KIB
"""What each job counts as, beside the bytes that it writes: a message of a few bytes can ask for much."""


class Backlog:
    """The jobs of one node's links that wait in the store's queue. Without a bound they would leave no place in it."""

    def __init__(self, store: Store, most_bytes: int) -> None:
        self._store = store
        self._most = most_bytes
        self._bytes = 0
        self._gate = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._wanted = False
        """Somebody waits for room."""

    @property
    def full(self) -> bool:
        """Nothing more should be read from links."""
        return self._bytes > self._most

    def put(self, job: Job, done: Done, size_bytes: int = 0) -> None:
        """As `Store.write_soon`, for a job that writes about so many bytes."""
        size = JOB_BYTES + size_bytes
        with self._gate:
            self._bytes += size

        def ended(result: object, error: BaseException | None) -> None:
            try:
                done(result, error)
            finally:
                self._took(size)

        self._store.write_soon(job, ended)

    def _took(self, size: int) -> None:
        with self._gate:
            self._bytes -= size
            wake = self._wanted and self._bytes <= self._most // 2
            if wake:
                self._wanted = False
        if wake:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                self._loop.call_soon_threadsafe(self._room.set)

    async def room(self) -> None:
        """Return when it is not full."""
        while self.full:
            self._room.clear()
            with self._gate:
                self._wanted = self.full
            if self._wanted:
                await self._room.wait()
