"""One page's websocket: its live queries and texts, each a task.

A page sends `{"do", "id", ...}`: `live` and `text` begin something under an id of its choice, `edit` and `saw` belong
to a text, `end` ends it. It is told `{"id", ...}`: rows and differences, or what `PageText` has; `error` ends that id.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Protocol

from lichen.errors import LichenError, LimitExceeded, StoreError
from sqlalchemy.exc import NoResultFound
from starlette.websockets import WebSocket, WebSocketDisconnect

from lichen_adapters.asgi.bounds import BROKEN, ENDING, FRAME_BYTES, LAST_S, SLOW, SLOW_S, SUBSCRIPTIONS
from lichen_adapters.asgi.errors import BadFrame, TooSlow, described
from lichen_adapters.asgi.page_text import Known, Message, PageText
from lichen_adapters.asgi.rows import text_of

log = logging.getLogger("lichen.asgi")

Edits = asyncio.Queue[Message | None]
"""An edit at most, and after it None: no more will come."""


class Source(Protocol):
    """Where a page's live queries and texts come from."""

    def live(self, name: object, given: object) -> AsyncGenerator[Message, None]:
        """The rows of a query, and again what is different. Raises `LichenError`."""

    async def text(self, name: object, given: object, known: Known) -> PageText:
        """A text. Raises `LichenError`."""

    async def alone(self, client: str) -> None:
        """Let this task be the only one that serves a page's text of this name: end the one before it."""


class Closing(Exception):
    """The socket is to be closed."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class PageSocket:
    """Serves one page until it goes, or is let go."""

    def __init__(self, socket: WebSocket, source: Source, ending: asyncio.Event) -> None:
        self._socket = socket
        self._source = source
        self._ending = ending
        self._turn = asyncio.Lock()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._edits: dict[int, tuple[PageText, Edits]] = {}

    async def serve(self) -> None:
        """Until the page goes."""
        await self._socket.accept()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._end())
                await self._receive(tasks)
        except Exception as failure:
            match _first(failure):
                case Closing() as closing:
                    await self._close(closing)
                case WebSocketDisconnect():
                    pass
                case _:
                    raise

    async def _close(self, closing: Closing) -> None:
        with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
            async with asyncio.timeout(LAST_S):
                await self._socket.close(closing.code, str(closing)[:100])

    async def _end(self) -> None:
        await self._ending.wait()
        raise Closing(ENDING, "the program ends")

    # To the page

    async def _tell(self, message: Message) -> None:
        try:
            text = text_of(message)
            async with asyncio.timeout(SLOW_S), self._turn:
                await self._socket.send_text(text)
        except TimeoutError:
            raise Closing(SLOW, "this page reads too slowly") from None

    # From the page

    async def _receive(self, tasks: asyncio.TaskGroup) -> None:
        try:
            while True:
                text = await self._socket.receive_text()
                if len(text) > FRAME_BYTES:
                    raise BadFrame(f"a message has more than {FRAME_BYTES} characters")
                message = _parsed(text)
                try:
                    self._do(message, tasks)
                except LimitExceeded as error:  # which is told before more is read
                    await self._failed(_whole(message, "id"), error)
        except (BadFrame, KeyError) as error:  # a KeyError of Starlette's: it was no text
            raise Closing(BROKEN, str(error)) from error

    def _do(self, message: Message, tasks: asyncio.TaskGroup) -> None:
        number = _whole(message, "id")
        match message.get("do"):
            case "live":
                self._begin(number, partial(self._live, number, message), tasks)
            case "text":
                self._begin(number, partial(self._text, number, message), tasks)
            case "edit" | "saw":
                if number in self._edits:  # else it ended meanwhile
                    self._edit(*self._edits[number], message)
            case "end":
                self._finish(number)
            case _:
                raise BadFrame("a page asks for nothing that is known")

    def _edit(self, text: PageText, edits: Edits, message: Message) -> None:
        if message["do"] == "saw":
            text.saw(_whole(message, "version"))
        elif not edits.empty():
            raise BadFrame("a page sent an edit before it heard of the one before it")
        else:
            edits.put_nowait(message)

    def _begin(self, number: int, work: Callable[[], Awaitable[None]], tasks: asyncio.TaskGroup) -> None:
        if number in self._running:
            raise BadFrame("a page follows one thing twice")
        following = sum(not task.cancelling() for task in self._running.values())
        if following >= SUBSCRIPTIONS or len(self._running) >= 2 * SUBSCRIPTIONS:
            raise LimitExceeded(f"a page follows {SUBSCRIPTIONS} things already", hint="end some")
        task = tasks.create_task(self._run(number, work))
        self._running[number] = task
        task.add_done_callback(lambda _: self._running.pop(number))

    def _finish(self, number: int) -> None:
        """End it, a text after the edit that is under way."""
        if number not in self._edits:
            if number in self._running:
                self._running[number].cancel()
            return
        _, edits = self._edits[number]
        if not edits.full():  # else it was told so twice
            edits.put_nowait(None)

    async def _run(self, number: int, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as failure:
            await self._failed(number, _first(failure))

    async def _failed(self, number: int, error: Exception) -> None:
        match error:
            case Closing() | WebSocketDisconnect():
                raise error
            case BadFrame():
                raise Closing(BROKEN, str(error)) from error
            case TooSlow():
                raise Closing(SLOW, str(error)) from error
            case LichenError() | NoResultFound():
                again = isinstance(error, StoreError)
            case _:
                log.error("what a page follows failed", exc_info=error)
                again = True
        await self._tell({"id": number, "error": described(error), "again": again})

    # What a page follows

    async def _live(self, number: int, message: Message) -> None:
        async with aclosing(self._source.live(message.get("name"), message.get("params", {}))) as told:
            async for part in told:
                await self._tell({"id": number, **part})

    async def _text(self, number: int, message: Message) -> None:
        known = _known(message)
        await self._source.alone(known.client)
        text = await self._source.text(message.get("name"), message.get("params", {}), known)
        edits: Edits = asyncio.Queue(2)
        self._edits[number] = (text, edits)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_write(text, edits, self._running[number]))
                async with aclosing(text.messages()) as told:
                    async for part in told:
                        await self._tell({"id": number, **part})
        finally:
            del self._edits[number]


async def _write(text: PageText, edits: Edits, serving: asyncio.Task[None]) -> None:
    while edit := await edits.get():
        await text.write(_whole(edit, "number"), _whole(edit, "seen"), edit.get("delta"))
    serving.cancel()


def _first(failure: Exception) -> Exception:
    """What happened first, of a group."""
    while isinstance(failure, ExceptionGroup):
        failure = failure.exceptions[0]
    return failure


def _parsed(text: str) -> Message:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise BadFrame("a message is no JSON object")
    return message


def _whole(message: Message, key: str) -> int:
    value = message.get(key)
    if type(value) is not int or not 0 <= value < 2**53:
        raise BadFrame(f"{key} is not a whole number")
    return value


def _known(message: Message) -> Known:
    client, heads = message.get("client"), message.get("heads", [])
    if not isinstance(client, str) or not client.isascii() or not 16 <= len(client) <= 64:
        raise BadFrame("a page does not say its name for a text")
    if not isinstance(heads, list) or len(heads) > 1_000:
        raise BadFrame("heads are no list")
    try:
        return Known(client, tuple(bytes.fromhex(head) for head in heads), _whole(message, "flying"))
    except (TypeError, ValueError) as error:
        raise BadFrame("heads are not hashes") from error
