"""How long calls may wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from lichen.errors import ConfigError

T = TypeVar("T")

_deadline: ContextVar[float | None] = ContextVar("lichen.blocking.deadline", default=None)


@contextmanager
def timeout(seconds: float) -> Iterator[None]:
    """Let the blocking calls of this thread in the block wait until `seconds` from now, all together.

    A call that is not done by then is cancelled, as a coroutine is, and raises `TimeoutError` once it has ended; one
    that begins later does nothing, and raises it at once. A transaction is never taken back by this: where its block
    ends too late, its change is in the document and will be saved, and `Document.saved` waits for that. In a block
    within a block the earlier end counts. Closing is not bounded. Raises `ConfigError` for a negative time.
    """
    if not seconds >= 0:
        raise ConfigError(f"a time-out of {seconds} s is none", hint="give seconds, 0 or more")
    outer, ends = _deadline.get(), time.monotonic() + seconds
    token = _deadline.set(ends if outer is None else min(outer, ends))
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining(what: str) -> float | None:
    """Seconds that a call may take; None for any. Raises `TimeoutError` when there are none left."""
    ends = _deadline.get()
    if ends is None:
        return None
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"{what} was not begun: the time of the block was over")
    return left


async def within(begin: Callable[[], Coroutine[Any, Any, T]], seconds: float | None, what: str) -> T:
    """The result of a coroutine, which is cancelled when it takes longer."""
    if seconds is None:
        return await begin()
    try:
        async with asyncio.timeout(seconds) as limit:
            return await begin()
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimeoutError(f"{what} was not done in {seconds:.3g} s, and was cancelled") from None
