"""Live queries as server-sent events, for pages without the module, and for programs."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing

from lichen.errors import LichenError
from starlette.types import Receive, Scope, Send

from lichen_adapters.asgi.bounds import BEAT_S, SLOW_S
from lichen_adapters.asgi.errors import described
from lichen_adapters.asgi.rows import text_of

log = logging.getLogger("lichen.asgi")

HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]


class EventStream:
    """An ASGI answer that sends texts as events, until whoever reads goes, is too slow, or the program ends.

    An event is whole: it says all, and its id is what it says. Who comes back with the id of the last is told nothing
    until there is something else to say.
    """

    def __init__(
        self, texts: AsyncGenerator[str, None], last: str, ending: asyncio.Event, counted: AbstractContextManager[None]
    ) -> None:
        self._texts = texts
        self._last = last
        self._ending = ending
        self._counted = counted
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await send({"type": "http.response.body", "body": b""})
            return
        with self._counted:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            work = [self._send(send), self._beat(send), _gone(receive), self._ending.wait()]
            tasks = [asyncio.ensure_future(part) for part in work]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            errors = [error for task in tasks if task in done and (error := task.exception())]
            await self._end(errors[0] if errors else None, send)

    async def _end(self, error: BaseException | None, send: Send) -> None:
        match error:
            case None:
                await send({"type": "http.response.body", "body": b""})
            case TimeoutError() | OSError():
                pass  # it is too slow, or gone
            case _:
                if not isinstance(error, LichenError):
                    log.error("what a page follows failed", exc_info=error)
                await self._write(send, f"event: refused\ndata: {text_of(described(error))}\n\n")
                await send({"type": "http.response.body", "body": b""})

    async def _send(self, send: Send) -> None:
        async with aclosing(self._texts) as texts:
            async for text in texts:
                name = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
                if name != self._last:
                    self._last = name
                    lines = "".join(f"data: {line}\n" for line in text.split("\n"))
                    await self._write(send, f"id: {name}\n{lines}\n")

    async def _beat(self, send: Send) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await self._write(send, ": here\n\n")

    async def _write(self, send: Send, text: str) -> None:
        async with asyncio.timeout(SLOW_S), self._turn:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
