"""What a coroutine waits for on other threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from lichen.store.worker import Done, Job

T = TypeVar("T")


async def awaited(
    write_soon: Callable[[Job, Done], None], job: Callable[[Any], T], then: Callable[[T], object] = lambda _: None
) -> T:
    """Run a job on the writer thread; when it is on disk, call `then` on the loop before anything else there hears of
    it, and return what the job returned. Raises what the job raises, and `StoreError`.
    """
    loop = asyncio.get_running_loop()
    written: asyncio.Future[T] = loop.create_future()

    def ended(result: Any, error: BaseException | None) -> None:
        if written.done():  # the engine is closing
            return
        if error is not None:
            written.set_exception(error)
        else:
            written.set_result(result)
            then(result)

    def done(result: Any, error: BaseException | None) -> None:
        loop.call_soon_threadsafe(ended, result, error)

    write_soon(job, done)
    return await written


async def to_its_end(work: asyncio.Future[T]) -> asyncio.CancelledError | None:
    """Return when it is done, also where who waits is cancelled: what that was cancelled with, to be raised then."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled
