"""Bookmarks that a few people keep together, as a page in the browser: each on their own device, offline too.

    python examples/bookmarks.py ann.db --name Ann                          # begins, and prints an invitation
    python examples/bookmarks.py ben.db lichen1... --name Ben --port 8001   # joins

The address that is printed last opens the page. It needs `lichen[fastapi]` and uvicorn."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import uvicorn
from fastapi import Body, FastAPI
from fastapi.responses import HTMLResponse
from lichen import Document, Engine, Role, Space, Text
from lichen.errors import ConfigError
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
parser.add_argument("--at", default="ws://127.0.0.1:8710", help="where the first device is found")
parser.add_argument("--port", type=int, default=8000, help="of the page")
given = parser.parse_args()

lichen = Lichen(f"sqlite:///{given.store}", Base)
SessionOf = Annotated[AsyncSession, session_of(lichen)]


async def open_space(engine: Engine) -> tuple[Space, Document]:
    """The space and its notes: those of the ticket, those of before, or new ones."""
    await engine.connect_remembered()
    async with asyncio.timeout(60), aclosing(engine.events()) as events:
        if not given.ticket and not engine.spaces:
            await engine.create_space("Bookmarks", member_name=given.name)
        space = await engine.join(given.ticket, name=given.name) if given.ticket else engine.spaces[0]
        while not (found := [info for info in await space.documents() if info.title == "Notes"]):
            begin = space.role == Role.OWNER
            await (space.create({"title": "Notes", "body": Text("")}) if begin else anext(events))
    if space.role == Role.OWNER:
        await engine.listen(given.at)
        print(await space.invite(mode="auto"), flush=True)
    return space, await space.document(found[0].id)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with lichen.open() as engine:
        lichen.space, app.state.notes = await open_space(engine)
        print(lichen.address(f"http://127.0.0.1:{given.port}"), flush=True)
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


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Bookmarks</title><style>
  body { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 14px 28px; margin: 28px auto;
    max-width: 900px; padding: 0 28px; background: #f5f2eb; color: #2b2b28; font: 16px/1.5 "DejaVu Sans", sans-serif }
  h1, h2 { margin: 0; font-size: 22px } small { color: #1f7a6d } textarea { resize: none; height: 320px }
  form { display: flex; gap: 8px } form button { background: #1f7a6d; color: #fff } input { flex: 1; min-width: 0 }
  button, input, textarea { font: inherit; border: 1px solid #e4e0d5; border-radius: 8px; padding: 8px 12px }
  ul { margin: 0; padding: 0; list-style: none; background: #fff; border: 1px solid #e4e0d5; border-radius: 8px }
  li { display: flex; align-items: center; gap: 12px; padding: 10px 14px } li + li { border-top: 1px solid #e4e0d5 }
  li a { flex: 1; min-width: 0; color: inherit; text-decoration: none } :focus { outline: 1px solid #1f7a6d }
  li span { display: block; font-size: 80%; opacity: .5; overflow: hidden; text-overflow: ellipsis; white-space: pre }
  li button { border: 0; padding: 4px; background: none; color: #a09d94 } li button:hover, a:hover { color: #1f7a6d }
  p { margin: 4px 0; min-height: 20px; color: #b4532a; font-size: 13px } #state { color: #a09d94; font-size: 13px }
</style><h1>Bookmarks <small>NAME</small></h1><h2>Notes</h2><div><form><input name="title" placeholder="Title">
<input name="url" placeholder="https://…" required><button>Add</button></form><p role="alert"></p><ul></ul></div>
<textarea dir="auto" placeholder="What we think of them"></textarea><div id="state"></div><script type="module">
  import { bindText, live } from "/lichen/lichen.js";
  const [form, said, list, area, state] = ["form", "p", "ul", "textarea", "#state"].map((one) =>
    document.querySelector(one));
  const make = (kind, more, ...inside) => {
    const made = Object.assign(document.createElement(kind), more); made.append(...inside); return made; };
  const say = ({ message, hint }) => (said.textContent = message && `${message}: ${hint}`);
  const ask = async (method, path = "", body) => {
    const answer = await fetch("/bookmarks" + path, { method, body, headers: { "Content-Type": "application/json" } });
    say(answer.ok ? { message: "" } : (await answer.json()).error); return answer.ok; };
  form.onsubmit = async (event) => { event.preventDefault(); const given = Object.fromEntries(new FormData(form));
    if (await ask("POST", "", JSON.stringify(given))) form.reset(); };
  const item = ({ id, title, url, stars }) => make("li", {},
    make("a", { href: url, target: "_blank", rel: "noreferrer" }, title, make("span", {}, url)),
    make("button", { title: "Star", onclick: () => ask("POST", `/${id}/star`) }, `★ ${stars || ""}`),
    make("button", { title: "Delete", onclick: () => ask("DELETE", `/${id}`) }, "✕"));
  live("/lichen", "bookmarks", {}, (rows) => list.replaceChildren(...rows.map(item)));
  bindText(area, "/lichen", "notes", {}, { onError: say, onState: ({ connected, saved }) =>
    (state.textContent = connected ? (saved ? "● saved" : "○ saving") : "○ the program is not running") });
</script></html>"""


@app.get("/")
def page() -> HTMLResponse:
    return HTMLResponse(PAGE.replace("NAME", given.name))


if __name__ == "__main__":
    uvicorn.run(app, port=given.port, log_level="warning")
