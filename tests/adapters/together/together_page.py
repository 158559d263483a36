"""A page in a browser in which a person types, and the program on a device of its own that serves it."""

from __future__ import annotations

import asyncio
import copy
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from lichen import Document
from lichen.testing.browser import chromium
from lichen_adapters.asgi import Lichen
from lichen_crdt import from_utf16, utf16_length
from playwright.async_api import Page
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from together_person import Person

SHOWN = """<!doctype html><meta charset="utf-8"><title>Notes</title><textarea id="notes"></textarea>
<script type="module">
import { bindText } from "/lichen/lichen.js";
bindText(document.querySelector("#notes"), "/lichen", "notes", {}, {
  onState: ({ connected, saved }) => (document.title = connected && saved ? "saved" : "Notes") });
</script>"""

TYPE = """([seen, start, end, piece]) => {
  const notes = document.querySelector("#notes");
  if (notes.value !== seen) return false;
  notes.focus();
  notes.setSelectionRange(start, end);
  document.execCommand(piece ? "insertText" : "delete", false, piece);
  return true;
}"""


class TypingPage:
    """A person before a page."""

    def __init__(self, page: Page, which: int, edits: int) -> None:
        self._page = page
        self._person = Person(which, edits)
        self._typing: asyncio.Task[None] | None = None

    async def tell(self) -> dict[str, Any]:
        """What it shows; the first time its person begins to type."""
        if self._typing is None:
            self._typing = asyncio.create_task(self._type())
        elif self._typing.done():
            self._typing.result()
        text = await self._page.input_value("#notes")
        place: int = await self._page.evaluate("document.querySelector('#notes').selectionEnd")
        done = not self._person.left and await self._page.title() == "saved"
        here = self._person.is_where_it_was_left(text, from_utf16(text, place))
        return {"text": text, "done": done, "here": here, "balance": self._person.balance}

    async def _type(self) -> None:
        while self._person.left:
            person, text = copy.deepcopy(self._person), await self._page.input_value("#notes")
            place, piece = person.next(text)
            start, end = (utf16_length(text[:at]) for at in (place, place if piece else place + 1))
            if await self._page.evaluate(TYPE, [text, start, end, piece]):
                self._person = person


@asynccontextmanager
async def typing_page(store: Path, ticket: str, which: int, edits: int) -> AsyncIterator[TypingPage]:
    """Join a space with its note, and serve and open a page of it."""
    lichen = Lichen(f"sqlite:///{store}")
    found: list[Document] = []
    app = Starlette(routes=[Route("/", lambda _request: HTMLResponse(SHOWN))])
    lichen.install(app)

    @lichen.text
    def notes() -> tuple[Document, tuple[str]]:
        return found[0], ("body",)

    async with lichen.open() as engine:
        space = await engine.join(ticket)
        async with aclosing(engine.events()) as events:
            while not (documents := await space.documents()):
                await anext(events)
        found.append(await space.document(documents[0].id))
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=5))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        async with chromium() as browser:
            page = await browser.new_page()
            await page.goto(lichen.address(f"http://127.0.0.1:{listening.getsockname()[1]}"))
            await page.wait_for_function("document.title === 'saved'")
            yield TypingPage(page, which, edits)
        server.should_exit = True
        await serving
