"""A program in a terminal that is not there, with a synced text and rows, whose user types numbers. See `endings`.

Usage: terminal_window.py URL END. It says on stdout each number that is on disk.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextlib import closing

from endings import LAST
from lichen import Document, Engine, Text
from lichen_adapters.orm import AsyncSessions, Sessions
from lichen_adapters.textual import LiveOptionList, SyncedTextArea
from tasks import TASKS, Base, Task
from textual.app import App, ComposeResult


class Program(App[None]):
    """Writes a number into its text and a row for it, again and again."""

    CSS = "SyncedTextArea, LiveOptionList { height: 8; }"

    def __init__(self, engine: Engine, sessions: Sessions, note: Document, end: str) -> None:
        super().__init__()
        self.sessions, self.note, self.end = sessions, note, end
        self.writing, self.in_space = AsyncSessions(sessions), engine.space(note.space)
        self.number = 0

    def compose(self) -> ComposeResult:
        """Yield the list and the text."""
        yield LiveOptionList(self.sessions, TASKS, lambda task: task.title)
        yield SyncedTextArea(self.note, ("body",))

    def on_mount(self) -> None:
        """Begin to type."""
        self.set_interval(0.001, self.type)

    async def on_unmount(self) -> None:
        """End the sessions."""
        await self.writing.close()

    async def type(self) -> None:
        """A number more, if the one before is in the document."""
        area = self.query_one(SyncedTextArea)
        if not area.binding.saved:
            return
        if self.number:
            await self.note.saved()
            os.write(1, b"%d\n" % self.number)
        if self.number == LAST and self.end:
            self.close()
            return
        self.number += 1
        area.insert(f"{self.number} ", area.document.end)
        async with self.writing.begin(self.in_space) as session:
            session.add(Task(title=str(self.number), rank=self.number))

    def close(self) -> None:
        """End as it is to end."""
        match self.end:
            case "raises in a callback":
                raise ZeroDivisionError
            case "exits in a handler":
                sys.exit(3)
            case _:
                self.exit()


async def main(url: str, end: str) -> int:
    """Run until something ends it."""
    async with Engine.open(url) as engine:
        with closing(Sessions(engine, Base)) as sessions:
            sessions.prepare()
            note = await (await engine.create_space("Family")).create({"body": Text("")})
            app = Program(engine, sessions, note, end)
            await app.run_async(headless=True)
            if end == "exits":
                sys.exit(3)
    return app.return_code or 0


if __name__ == "__main__":
    code = asyncio.run(main(sys.argv[1], sys.argv[2]))
    assert threading.enumerate() == [threading.main_thread()]
    sys.exit(code)
