"""Hears that the server is told to end: before it does, since it waits until every answer has ended."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def heard_first(tell: Callable[[], None]) -> Iterator[None]:
    """Within the block, `tell` is called on this loop at SIGINT and SIGTERM, and then whoever handled them before.

    Only signals that somebody handles are heard; and only on the main thread, where a server can handle them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # this loop is closed, and whoever came after it has set this handler again
            loop.call_soon_threadsafe(tell)
        before[number](number, frame)

    ours = [number for number in SIGNALS if callable(before[number])]
    for number in ours:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is handle:
                signal.signal(number, before[number])
