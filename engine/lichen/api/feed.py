"""A bounded feed of events to one reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from lichen.errors import LimitExceeded

T = TypeVar("T")

MOST_WAITING = 65_536
"""Events that may wait for a reader; above, the reader is told that it fell behind."""


class Feed(Generic[T]):
    """Put from the event loop, read by one `async for`.

    A reader that falls behind by more than `MOST_WAITING` events gets `LimitExceeded` instead of a gap.
    """

    def __init__(self) -> None:
        self._waiting: deque[T] = deque()
        self._something = asyncio.Event()
        self._closed = False
        self._overrun = False

    def put(self, event: T) -> None:
        """Add an event."""
        if len(self._waiting) >= MOST_WAITING:
            self._overrun = True
        else:
            self._waiting.append(event)
        self._something.set()

    def close(self) -> None:
        """End the reader's loop after what waits."""
        self._closed = True
        self._something.set()

    def items(self, done: Callable[[], object]) -> AsyncGenerator[T, None]:
        """Iterate until closed; `done` is called when the reader stops, also one that never began."""
        items = self._items(done)
        with suppress(StopIteration):  # it has come to its first yield: from here on its end is the end of its block
            items.asend(None).send(None)
        return items

    async def _items(self, done: Callable[[], object]) -> AsyncGenerator[T, None]:
        try:
            yield  # type: ignore[misc]  # to nobody
            while True:
                while self._waiting:
                    yield self._waiting.popleft()
                if self._overrun:
                    raise LimitExceeded(f"a reader of events fell behind by more than {MOST_WAITING}")
                if self._closed:
                    return
                self._something.clear()
                await self._something.wait()
        finally:
            done()
