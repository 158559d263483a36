"""Waiting for what happens by itself, for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    """Return when `condition()` holds. Raises `TimeoutError`."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0)
