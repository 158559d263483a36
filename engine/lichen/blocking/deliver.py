"""On which thread callbacks are called."""

from __future__ import annotations

import queue
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol


class Deliver(Protocol):
    """Sees to it that a call is made on the thread that wants it, soon and in order; returns at once.

    It is called on threads of lichen's own. An `Inbox` is one. So is a toolkit's own function that hands a call to
    its thread, such as the `emit` of a Qt signal that is connected with a queue. What delivers to one listener is
    called again only after the call before has been made.
    """

    def __call__(self, call: Callable[[], None], /) -> object:
        """Have `call` made."""


class Inbox:
    """Calls that wait until their thread asks for them: `Inbox.run` from a timer, or in a loop.

    It holds at most one call of each listener.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def __call__(self, call: Callable[[], None], /) -> None:
        """Keep a call; from any thread."""
        self._calls.put(call)

    def run(self, wait_s: float = 0.0) -> int:
        """Make the calls that wait, on this thread, and return how many; waits up to `wait_s` seconds for the first.

        What a call raises is raised; the others keep waiting.
        """
        made = 0
        with suppress(queue.Empty):
            call = self._calls.get(timeout=wait_s) if wait_s > 0 else self._calls.get_nowait()
            for _ in range(self._calls.qsize()):
                call()
                made += 1
                call = self._calls.get_nowait()
            call()
            made += 1
        return made
