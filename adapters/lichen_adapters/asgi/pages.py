"""What an application serves to its pages: live queries and texts by name, and nothing besides."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

from lichen import Document, Engine
from lichen.api.events import Event, SpaceChanged
from lichen.errors import LimitExceeded
from sqlalchemy import Executable
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from lichen_adapters.asgi.bounds import PAGES, TOO_MANY
from lichen_adapters.asgi.declared import Served
from lichen_adapters.asgi.events import EventStream
from lichen_adapters.asgi.page_text import Known, Message, PageText
from lichen_adapters.asgi.rows import AsJson, different, text_of, whole
from lichen_adapters.asgi.socket import PageSocket
from lichen_adapters.orm import Sessions, live

MODULE = Path(__file__).parent / "static" / "lichen.js"

Query = Callable[..., Executable]
Place = tuple[Document, Sequence[str]]
"""A text: its document, and the keys that lead to it."""
FindText = Callable[..., Place | Awaitable[Place]]


class Program(Protocol):
    """What pages need of the program."""

    @property
    def engine(self) -> Engine:
        """Its engine, while that is open."""

    @property
    def sessions(self) -> Sessions:
        """Where live queries run."""


class Pages:
    """The pages of one program, and what they may name."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.queries: Served[Query] = Served("query")
        self.rows_as_json: dict[str, AsJson] = {}
        self.texts: Served[FindText] = Served("text", may_wait=True)
        self._count = 0
        self._ending = asyncio.Event()
        self._shown: WeakSet[PageText] = WeakSet()
        self._serving: dict[str, asyncio.Task[Any]] = {}
        """Which task serves a text of a page, by the page's name for it."""

    def begin(self) -> None:
        """The server begins."""
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Let all pages go: they come back when the program does."""
        self._ending.set()

    @property
    def routes(self) -> list[BaseRoute]:
        """Where pages find all that, and the module."""
        return [
            Route("/lichen.js", _module),
            Route("/live/{name}", self._stream),
            WebSocketRoute("/socket", self._socket),
        ]

    # Answers

    async def _socket(self, socket: WebSocket) -> None:
        if self._full:
            await socket.accept()
            await socket.close(TOO_MANY, f"more than {PAGES} pages listen")
            return
        with self._counted():
            await PageSocket(socket, self, self._ending).serve()

    async def _stream(self, request: Request) -> ASGIApp:
        if self._full:
            raise LimitExceeded(f"more than {PAGES} pages listen", hint="close some")
        statement, as_json = self._statement(request.path_params["name"], dict(request.query_params), texts=True)
        texts = self._texts(statement, as_json)
        return EventStream(texts, request.headers.get("last-event-id", ""), self._ending, self._counted())

    @property
    def _full(self) -> bool:
        return self._count >= PAGES

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1

    # Live queries

    async def _texts(self, statement: Executable, as_json: AsJson) -> AsyncGenerator[str, None]:
        async with aclosing(live(self._program.sessions, statement)) as found:
            async for rows in found:
                yield text_of(whole(rows, as_json)["rows"])

    async def live(self, name: object, given: object) -> AsyncGenerator[Message, None]:
        """As `Source.live`."""
        statement, as_json = self._statement(name, given)
        make = whole
        async with aclosing(live(self._program.sessions, statement)) as found:
            async for rows in found:
                yield make(rows, as_json)
                make = different

    def _statement(self, name: object, given: object, *, texts: bool = False) -> tuple[Executable, AsJson]:
        query = self.queries.named(name)
        return query.function(**query.arguments(given, texts=texts)), self.rows_as_json[query.name]

    # Texts

    async def text(self, name: object, given: object, known: Known) -> PageText:
        """As `Source.text`."""
        found = self.texts.named(name)
        place = found.function(**found.arguments(given))
        note, path = await place if inspect.isawaitable(place) else place
        if note.failure is not None:  # what the application holds is of no more use, as after a full disk
            note = await self._program.engine.document(note.id)
        shown = PageText(note, path, known, self._program.engine.derive_secret("lichen.asgi edits"))
        self._shown.add(shown)
        return shown

    async def watch(self, events: AsyncGenerator[Event, None]) -> None:
        """Have pages told where this device gains or loses the right to write, until cancelled or the engine closes."""
        async with aclosing(events):
            async for event in events:
                if isinstance(event, SpaceChanged):
                    for text in [text for text in self._shown if text.space == event.space]:
                        text.access_changed()

    async def alone(self, client: str) -> None:
        """As `Source.alone`."""
        task = asyncio.current_task()
        assert task is not None
        while (before := self._serving.get(client)) is not None:
            before.cancel()
            await asyncio.wait([before])
        self._serving[client] = task
        task.add_done_callback(lambda _: self._serving.pop(client))


async def _module(_request: Request) -> FileResponse:
    """The module for pages; looked for anew each time, since the program may be another version's after a start."""
    return FileResponse(MODULE, media_type="text/javascript", headers={"Cache-Control": "no-cache"})
