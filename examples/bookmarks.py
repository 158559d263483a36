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
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import uvicorn
from fastapi import Body, FastAPI
from fastapi.responses import HTMLResponse
from lichen import Document, Engine, LichenError, Role, Text, in_words
from lichen.errors import ConfigError
from lichen_adapters.asgi import Lichen
from lichen_adapters.asgi.fastapi import session_of
from lichen_adapters.orm import Synced, in_space, synced_counter
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
parser.add_argument("--own", action="store_true", help="show what this device began, if it joined others")
parser.add_argument("--port", type=int, default=8000, help="of the page")
given = parser.parse_args()

lichen = Lichen(store := f"sqlite:///{given.store}", Base)
SessionOf = Annotated[AsyncSession, session_of(lichen)]


async def begin() -> None:
    """Join with the ticket, or make what is missing, before there is a page: so Ctrl-C ends what is waited for."""
    async with Engine.open(store) as engine:
        await engine.connect_remembered()
        space = await engine.open_space("Bookmarks", given.ticket, name=given.name, own=given.own, progress=print)
        notes = await space.titled("Notes", {"body": Text("")})
        app.state.space, app.state.notes_id = space.id, notes.id


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with lichen.open() as engine:
        space = lichen.space = engine.space(app.state.space)
        app.state.notes = await engine.document(app.state.notes_id)
        await engine.connect_remembered()
        if space.role == Role.OWNER:
            try:
                await engine.listen(given.at or space.usual_address)
                print(await space.invite(mode="auto"), flush=True)
            except LichenError as error:  # the page is of use all the same
                print(f"nobody can join: {error}: choose another place with --at", flush=True)
        print(lichen.address(app.state.address), flush=True)
        yield


app = FastAPI(lifespan=lifespan)
lichen.install(app)


@lichen.query
def bookmarks() -> Select[Any]:
    here = select(Bookmark).where(in_space(Bookmark, app.state.space))
    return here.order_by(Bookmark.stars.desc(), Bookmark.title)


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
async def page() -> HTMLResponse:
    others = [space for space in lichen.engine.spaces if space.id != app.state.space]
    about = [f"Also on this device: {space.name} (see --own)." for space in others]
    if len(lichen.engine.space(app.state.space).members()) == 1:
        about = ["Bookmarks of your own, so far. To join others', start with their invitation.", *about]
    text = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    return HTMLResponse(text.replace("NAME", escape(given.name)).replace("ABOUT", escape(" ".join(about))))


def main() -> None:
    try:
        listening = socket.create_server(("127.0.0.1", given.port))
    except (OSError, OverflowError) as error:
        sys.exit(f"the page cannot be at port {given.port}: {error}: choose another with --port")
    with listening, in_words():
        app.state.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        asyncio.run(begin())
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listening])


if __name__ == "__main__":
    main()
