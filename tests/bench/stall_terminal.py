"""As `stall_window.py`, for Textual: TOOLKIT is `textual`, and what is measured is a timer of the one event loop.

There is no terminal: Textual draws all the same, to nobody.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable

from lichen import Document, Engine
from lichen.blocking import steady
from lichen.ids import DocId
from lichen_adapters.orm import Sessions
from lichen_adapters.textual import LiveOptionList, SyncedTextArea
from sqlalchemy import select
from stall_models import Base, Line
from textual.app import App, ComposeResult


def say(**value: object) -> None:
    """Print an object."""
    print(json.dumps(value), file=sys.__stdout__, flush=True)


class Terminal(App[None]):
    """A text area, or an option list."""

    def __init__(self, what: str, sessions: Sessions, note: Document) -> None:
        super().__init__()
        self.what, self.sessions, self.note = what, sessions, note

    def compose(self) -> ComposeResult:
        """Yield it."""
        if self.what == "text":
            yield SyncedTextArea(self.note, ("body",))
        else:
            yield LiveOptionList(self.sessions, select(Line).order_by(Line.place), lambda line: line.text)

    @property
    def shown(self) -> int:
        """How much is shown."""
        if self.what == "text":
            return len(self.query_one(SyncedTextArea).binding.text)
        return len(self.query_one(LiveOptionList).rows)


async def gaps(until: Callable[[], bool]) -> list[float]:
    """How long it was from each beat of a timer of one millisecond to the next, sorted."""
    found: list[float] = []
    last = looked = time.perf_counter()
    while True:
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        found.append(now - last)
        last = now
        if now - looked > 0.02:
            if until():
                return sorted(found)
            looked = now


async def main() -> None:
    """Join, show, and measure."""
    _, what, store, ticket, url, document, count, how = sys.argv[1:]
    key = DocId(bytes.fromhex(document))
    async with Engine.open(store, passphrase="benchmark") as engine:
        await (await engine.join(ticket, name="B")).document(key, wait_s=60)
    say(away=True)
    await asyncio.to_thread(sys.stdin.readline)
    async with Engine.open(store, passphrase="benchmark") as engine:
        sessions = Sessions(engine, Base)
        await asyncio.to_thread(sessions.prepare)
        note = await engine.document(key)
        app = Terminal(what, sessions, note)
        async with app.run_test(size=(100, 40)):
            ends = time.perf_counter() + 1
            quiet = await gaps(lambda: time.perf_counter() > ends)
            wanted = app.shown + int(count)
            if how == "steady":
                steady()
            began = time.perf_counter()
            await engine.connect(url)
            busy = await gaps(lambda: app.shown >= wanted)
            seconds = time.perf_counter() - began
            say(longest=busy[-1], p99=busy[len(busy) * 99 // 100], beats=len(busy), seconds=seconds, quiet=quiet[-1])
        await asyncio.to_thread(sessions.close)


asyncio.run(main())
