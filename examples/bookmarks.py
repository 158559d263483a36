"""Bookmarks that a few people keep together, as a page in the browser: each on their own device, offline too.

    python examples/bookmarks.py ann.db --name Ann                          # begins, and prints an invitation
    python examples/bookmarks.py ben.db lichen1... --name Ben --port 8001   # joins

The address that is printed last opens the page, `bookmarks.html`. It needs `lichen[fastapi]` and uvicorn.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from html import escape
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import uvicorn
from fastapi import Body, FastAPI
from fastapi.responses import HTMLResponse
from lichen import Document, Engine, Role, Text
from lichen.errors import ConfigError, LichenError, Unreachable
from lichen_adapters.asgi import Lichen
from lichen_adapters.asgi.fastapi import session_of
from lichen_adapters.orm import Synced, synced_counter
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped


class Base(DeclarativeBase):
    pass


class Bookmark(Synced, Base):
    __tablename__ = "bookmark"
    title: Mapped[str]
    url: Mapped[str]
    stars: Mapped[int] = synced_counter()


parser = argparse.ArgumentParser()
parser.add_argument("store", help="the file of this device")
parser.add_argument("ticket", nargs="?", default="", help="an invitation, to join others")
parser.add_argument("--name", default="Me", help="what the others call you")
parser.add_argument("--at", default="", help="where the others find the first device: ws://HOST:PORT")
parser.add_argument("--port", type=int, default=8000, help="of the page")
given = parser.parse_args()

lichen = Lichen(store := f"sqlite:///{given.store}", Base)
SessionOf = Annotated[AsyncSession, session_of(lichen)]


async def begin() -> None:
    """Join with the ticket, or make what is missing, before there is a page: so Ctrl-C ends what is waited for."""
    async with Engine.open(store) as engine, aclosing(engine.events()) as events:
        await engine.connect_remembered()
        if not given.ticket and not engine.spaces:
            await engine.create_space("Bookmarks", member_name=given.name)
        if given.ticket:
            print("asking who invited you", flush=True)
        space = await engine.join(given.ticket, name=given.name) if given.ticket else engine.spaces[0]
        while not (found := [info.id for info in await space.documents() if info.title == "Notes"]):
            owner = space.role == Role.OWNER
            await (space.create({"title": "Notes", "body": Text("")}) if owner else anext(events))
        app.state.space, app.state.notes_id = space.id, found[0]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with lichen.open() as engine:
        space = lichen.space = engine.space(app.state.space)
        app.state.notes = await engine.document(app.state.notes_id)
        await engine.connect_remembered()
        if space.role == Role.OWNER:
            own_port = 10_000 + int.from_bytes(space.id) % 20_000  # the same at every start
            try:
                await engine.listen(given.at or f"ws://127.0.0.1:{own_port}")
                print(await space.invite(mode="auto"), flush=True)
            except Unreachable as error:  # the page is of use all the same
                print(f"nobody can join: {error}: choose another place with --at", flush=True)
        print(lichen.address(app.state.address), flush=True)
        yield


app = FastAPI(lifespan=lifespan)
lichen.install(app)


@lichen.query
def bookmarks() -> Select[Any]:
    return select(Bookmark).order_by(Bookmark.stars.desc(), Bookmark.title)


@lichen.text
def notes() -> tuple[Document, tuple[str]]:
    return app.state.notes, ("body",)


@app.post("/bookmarks")
async def add(title: Annotated[str, Body()], url: Annotated[str, Body()], session: SessionOf) -> None:
    if not url.startswith(("https://", "http://")):
        raise ConfigError(f"{url} is no address of a page", hint="begin it with https://")
    session.add(Bookmark(title=title or url, url=url))


@app.post("/bookmarks/{key}/star")
async def star(key: UUID, session: SessionOf) -> None:
    (await session.get_one(Bookmark, key)).stars += 1


@app.delete("/bookmarks/{key}")
async def delete(key: UUID, session: SessionOf) -> None:
    await session.delete(await session.get_one(Bookmark, key))


@app.get("/")
def page() -> HTMLResponse:
    text = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    return HTMLResponse(text.replace("NAME", escape(given.name)))


def main() -> None:
    try:
        listening = socket.create_server(("127.0.0.1", given.port))
    except (OSError, OverflowError) as error:
        sys.exit(f"the page cannot be at port {given.port}: {error}: choose another with --port")
    with listening:
        app.state.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            asyncio.run(begin())
            uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listening])
        except LichenError as error:
            sys.exit(f"{error}: {error.hint}")
        except KeyboardInterrupt:
            sys.exit()


if __name__ == "__main__":
    main()
