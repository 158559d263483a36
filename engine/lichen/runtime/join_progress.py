"""What a program can tell a person who waits for a join."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

log = logging.getLogger("lichen.joining")

TELL_S = 5.0
"""So often it is told; first after a second, since most joins take less."""
SHOWN = 3
"""Most addresses that are named."""


@dataclass(frozen=True, slots=True)
class JoinProgress:
    """How a join stands. As text it is a line for whoever waits: what is looked for, since when, and what to do."""

    waited_s: int
    timeout_s: float
    unreached: tuple[str, ...]
    """The addresses that do not answer, without tokens."""
    linked: bool
    """Somebody was reached: who invited, or a relay."""

    def __str__(self) -> str:
        since = f"{self.waited_s} of {self.timeout_s:g} s"
        if self.linked:
            return f"waiting for the answer of who invited you: {since}; their program has to be running"
        where = f" at {' and '.join(self.unreached[:SHOWN])}" if self.unreached else ""
        return f"looking for who invited you{where}: {since}; their program has to be running"


@contextlib.asynccontextmanager
async def telling(
    tell: Callable[[JoinProgress], object] | None, look: Callable[[int], JoinProgress]
) -> AsyncIterator[None]:
    """Call `tell` now and then for as long as the block takes, with what `look` finds after so many seconds.

    What it raises is logged, and it is called no more.
    """
    if tell is None:
        yield
        return
    task = asyncio.create_task(_tell(tell, look))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _tell(tell: Callable[[JoinProgress], object], look: Callable[[int], JoinProgress]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    pause = 1.0
    try:
        while True:
            await asyncio.sleep(pause)
            tell(look(round(loop.time() - began)))
            pause = TELL_S
    except Exception:
        log.exception("the progress of a join could not be told")
