"""A web program for the tests, served on this computer, and what talks to it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from lichen import Document, Role, Text
from lichen.testing.waiting import until
from lichen_adapters.asgi import Lichen
from lichen_adapters.orm import Synced, synced_counter, synced_text
from sqlalchemy import Select, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect

PAGE = """<!doctype html><meta charset="utf-8"><title>Notes</title><textarea id="notes" rows="8" cols="60"></textarea>
<ul id="tasks"></ul><template><li></li></template><p id="state"></p><script type="module">
import { bindText, live, showIn } from "/lichen/lichen.js";
window.errors = [];
window.calls = 0;
const onError = (error) => window.errors.push(error);
window.notes = bindText(document.querySelector("#notes"), "/lichen", "notes", {}, { onError,
  onState: ({ connected, saved }) => (document.querySelector("#state").textContent = `${connected} ${saved}`) });
const [list, template] = ["#tasks", "template"].map((one) => document.querySelector(one));
const show = showIn(list, template, (item, { title, stars }) => (item.textContent = `${title} ${stars}`));
window.end = live("/lichen", "tasks", { least: 0 }, (...given) => {
  window.calls++;
  show(...given);
}, { onError });
</script>"""


class Base(DeclarativeBase):
    pass


class Task(Synced, Base):
    __tablename__ = "task"
    title: Mapped[str]
    body: Mapped[str] = synced_text()
    stars: Mapped[int] = synced_counter()
    secret: Mapped[str] = mapped_column(default="")


class Program:
    """A program with tasks, and one note."""

    def __init__(self, folder: Path, name: str = "ann", **options: Any) -> None:
        self.lichen = lichen = Lichen(f"sqlite:///{folder}/{name}.db", Base, **options)
        self.app = FastAPI(lifespan=lichen.lifespan)
        lichen.install(self.app)
        self.note: Document | None = None
        self.url = ""

        @lichen.query
        def tasks(least: int = 0) -> Select[Any]:
            return select(Task.id, Task.title, Task.stars).where(Task.stars >= least).order_by(Task.title)

        @lichen.query(row=lambda task: task.title.upper())
        def titles() -> Select[Any]:
            return select(Task).order_by(Task.title)

        @lichen.query(row=lambda _: "x" * 4_000_000)
        def large() -> Select[Any]:
            return select(Task).limit(1)

        @lichen.text
        def notes() -> tuple[Document, tuple[str]]:
            assert self.note is not None
            return self.note, ("body",)

        @lichen.text
        async def body(task: UUID) -> tuple[Document, tuple[str]]:
            async with lichen.session() as session:
                found = await session.get_one(Task, task)
            return await lichen.sessions.document(found), ("body",)

        @self.app.get("/")
        def page() -> HTMLResponse:
            return HTMLResponse(PAGE)

    async def begin(self, body: str = "milk") -> None:
        """Create a space and the note."""
        self.lichen.space = space = await self.lichen.engine.create_space("Family")
        self.note = await space.create({"body": Text(body), "title": "Notes"})

    async def invite(self, role: Role = Role.WRITER) -> str:
        """A ticket to the space, found in memory."""
        assert self.note is not None
        await self.lichen.engine.listen(f"memory://{self.note.id.hex()}")
        return await self.lichen.engine.space(self.note.space).invite(mode="auto", role=role)

    async def join(self, ticket: str, note: Document) -> None:
        """Join the space of another program, with its note."""
        self.lichen.space = space = await self.lichen.engine.join(ticket)
        self.note = await space.document(note.id, wait_s=20)

    async def add(self, *titles: str) -> None:
        """Add tasks."""
        async with self.lichen.session() as session:
            session.add_all([Task(title=title, body="") for title in titles])

    @property
    def body(self) -> str:
        """The note's text in its document."""
        assert self.note is not None
        return str(self.note.doc["body"])

    @property
    def headers(self) -> dict[str, str]:
        """Those of the program's own page."""
        return {"Origin": self.url, "Cookie": f"lichen_{self.url.rpartition(':')[2]}={self.lichen._open.keys.cookie}"}

    def socket(self, headers: dict[str, str] | None = None, **options: Any) -> connect:
        """A websocket as a page has it."""
        address = f"{self.url.replace('http', 'ws')}/lichen/socket"
        return connect(address, additional_headers=self.headers | (headers or {}), proxy=None, **options)


@asynccontextmanager
async def served(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Serve until the end of the block; the address."""
    listening = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=5))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await until(lambda: server.started or serving.done())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def running(program: Program, *, begin: bool = True, port: int = 0) -> AsyncIterator[Program]:
    """Serve a program."""
    async with served(program.app, port) as program.url:
        if begin:
            await program.begin()
        yield program


async def told(page: ClientConnection) -> dict[str, Any]:
    """The next message to a page."""
    async with asyncio.timeout(20):
        message: dict[str, Any] = json.loads(await page.recv())
    return message


async def ask(page: ClientConnection, do: str, id_: int, /, **more: Any) -> None:
    """Send a message of a page's."""
    await page.send(json.dumps({"do": do, "id": id_, **more}))
