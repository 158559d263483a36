"""Bookmarks that a few people keep together, as a page in the browser: each on their own device, offline too.

    python examples/bookmarks.py ann.db --name Ann                          # begins, and prints an invitation
    python examples/bookmarks.py ben.db lichen1... --name Ben --port 8001   # joins

The address that is printed last opens the page, `bookmarks.html`. It needs `lichen[fastapi,uvicorn]`.
"""

from __future__ import annotations

import argparse
import asyncio
from html import escape
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import Body, FastAPI
from fastapi.responses import HTMLResponse
from lichen import Document, Role, Text, checked_ticket, in_words, passphrase_of
from lichen.errors import ConfigError
from lichen_adapters.asgi import Lichen
from lichen_adapters.asgi.fastapi import session_of
from lichen_adapters.asgi.uvicorn import listen, serve
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
parser.add_argument("ticket", nargs="?", default="", type=checked_ticket, help="an invitation, to join others")
parser.add_argument("--name", default="Me", help="what the others call you, from the first start on")
parser.add_argument("--at", default="", help="where the others find the first device: ws://HOST:PORT")
parser.add_argument("--own", action="store_true", help="show what this device began, if it joined others")
parser.add_argument("--port", type=int, default=8000, help="of the page")
with in_words():
    given = parser.parse_args()

app = FastAPI()
lichen = Lichen(store := f"sqlite:///{given.store}", Base)
lichen.install(app)
SessionOf = Annotated[AsyncSession, session_of(lichen)]


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
    text = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    space = app.state.space
    name = space.name_of(lichen.engine.device)
    return HTMLResponse(text.replace("NAME", escape(name)).replace("ABOUT", escape(space.about)))


async def main(passphrase: str | None) -> None:
    with listen(given.port) as listening:
        async with lichen.open(passphrase=passphrase) as engine:
            await engine.connect_remembered()
            space = await engine.open_space("Bookmarks", given.ticket, name=given.name, own=given.own, progress=print)
            lichen.space = app.state.space = space
            app.state.notes = await space.titled("Notes", {"body": Text("")})
            if space.role == Role.OWNER:
                await engine.listen(given.at or space.usual_address, required=bool(given.at))
                print(await space.invite(mode="auto"), flush=True)
            print(lichen.address(f"http://127.0.0.1:{listening.getsockname()[1]}"), flush=True)
            await serve(lichen, app, listening)


if __name__ == "__main__":
    with in_words():
        asyncio.run(main(passphrase_of(store)))
