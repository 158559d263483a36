"""Who reads events: each has a feed of its own, which ends when the engine is closed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

from lichen.api.events import Event
from lichen.api.feed import Feed
from lichen.errors import StoreError

T = TypeVar("T")


class Readers:
    """The readers of one engine's events, and of those of its documents."""

    def __init__(self) -> None:
        self._events: list[Feed[Event]] = []
        self._feeds: list[Feed[Any]] = []  # Any: of the engine's events, or of one document's
        self._closed = False

    def publish(self, event: Event) -> None:
        """Tell everyone who reads the engine's events."""
        for feed in list(self._events):
            feed.put(event)

    def events(self) -> AsyncGenerator[Event, None]:
        """The engine's events from now on."""
        feed: Feed[Event] = Feed()
        self._events.append(feed)
        return self.read(feed, lambda: self._events.remove(feed))

    def read(self, feed: Feed[T], done: Callable[[], object]) -> AsyncGenerator[T, None]:
        """Read a feed; `done` is called when the reader stops."""
        if self._closed:
            feed.close()
        self._feeds.append(feed)

        def ended() -> None:
            self._feeds.remove(feed)
            done()

        return feed.items(ended)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when it holds, which is looked at after each event. Raises `StoreError` when the engine is closed."""
        async with contextlib.aclosing(self.events()) as events:
            while not holds():
                try:
                    await anext(events)
                except StopAsyncIteration:
                    raise StoreError("this engine is closed") from None

    def close(self) -> None:
        """Every reader's loop ends, after what waits for it."""
        self._closed = True
        for feed in list(self._feeds):
            feed.close()
