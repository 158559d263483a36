"""Waiting for what happens by itself, for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import isawaitable

TURNS = 64
"""Turns of the loop that are looked at one after the other: what waits for no thread or process is there by then."""
PAUSE_S = 0.002
"""Pause between two looks after these, which leaves the processor to what is waited for."""


async def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    """Return when `condition()` holds, or what it returns to be awaited. Raises `TimeoutError`."""
    turns = 0
    async with asyncio.timeout(within_s):
        while not await _held(condition):
            await asyncio.sleep(0 if turns < TURNS else PAUSE_S)
            turns += 1


async def _held(condition: Callable[[], object]) -> object:
    found = condition()
    return await found if isawaitable(found) else found
