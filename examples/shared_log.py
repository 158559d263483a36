"""A log that a crew keeps together in the terminal: each on their own device, also without a network.

    python examples/shared_log.py --name Ann             # begins a log, and prints an invitation
    python examples/shared_log.py --name Ben lichen1...  # joins it; on the same computer with --store ben.db

Enter writes an entry, and stars or unstars one in the list; Delete takes it away. The pinned text all write.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing, closing
from datetime import UTC, datetime
from typing import ClassVar

from lichen import Document, Engine, Role, Space, Text, user_store
from lichen_adapters.orm import AsyncSessions, Sessions, Synced
from lichen_adapters.textual import LiveOptionList, SyncedTextArea, printable
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from textual import work
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Footer, Input, Label, OptionList


class Base(DeclarativeBase):
    pass


class Entry(Synced, Base):
    __tablename__ = "entry"
    at: Mapped[datetime]
    who: Mapped[str]
    what: Mapped[str]
    starred: Mapped[bool] = mapped_column(default=False)


async def open_log(engine: Engine, ticket: str, name: str, address: str) -> tuple[Space, Document]:
    """The log's space and its pinned text: those of the ticket, those of before, or new ones."""
    await engine.connect_remembered()
    async with asyncio.timeout(60), aclosing(engine.events()) as events:
        if not ticket and not engine.spaces:
            await engine.create_space("Night watch", member_name=name)
        space = await engine.join(ticket, name=name) if ticket else engine.spaces[0]
        while not (found := [info for info in await space.documents() if info.title == "Pinned"]):
            if space.role == Role.OWNER:
                await space.create({"title": "Pinned", "body": Text("")})
            else:
                await anext(events)
    if space.role == Role.OWNER:
        await engine.listen(address)
        print(await space.invite(mode="auto"), flush=True)
    return space, await space.document(found[0].id)


class SharedLog(App[None]):
    """The entries on the left, the pinned text on the right, and who is there below."""

    CSS = """
    Screen { background: $surface; }
    #log { width: 2fr; padding: 1 1 0 2; }
    #side { width: 1fr; padding: 1 2 0 1; }
    .head { text-style: bold; color: $primary; padding: 0 1; }
    LiveOptionList, SyncedTextArea, Input { border: round $panel-lighten-2; background: $surface; }
    LiveOptionList:focus, SyncedTextArea:focus, Input:focus { border: round $primary; background-tint: $surface; }
    LiveOptionList, SyncedTextArea { height: 1fr; }
    #there { height: 3; content-align: left middle; padding: 1 1; color: $text-muted; }
    """
    TITLE, AUTO_FOCUS = "The shared log", "Input"
    BINDINGS: ClassVar = [("delete", "take_away", "Take away"), ("ctrl+q", "quit", "Quit")]

    def __init__(self, engine: Engine, sessions: Sessions, space: Space, pinned: Document, name: str) -> None:
        super().__init__()
        self.engine, self.sessions, self.space, self.pinned, self.author = engine, sessions, space, pinned, name
        self.writing = AsyncSessions(sessions)
        self.there = Label(id="there", markup=False)
        self.theme = "nord"

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="log"):
                yield Label(printable(self.space.name), classes="head", markup=False)
                yield LiveOptionList(self.sessions, select(Entry).order_by(Entry.at, Entry.id), shown, id="entries")
                yield Input(placeholder="What happened?", id="what")
            with Vertical(id="side"):
                yield Label("Pinned", classes="head")
                yield SyncedTextArea(self.pinned, ("body",), id="pinned", highlight_cursor_line=False)
                yield self.there
        yield Footer(show_command_palette=False)

    async def on_unmount(self) -> None:
        await self.writing.close()

    @work
    async def on_mount(self) -> None:
        async with aclosing(self.engine.events()) as events:
            while True:
                paths = (path for path in self.engine.paths(self.space.id) if path.path != "none")
                names = " and ".join(sorted({self.space.name_of(path.device) for path in paths}))
                there = f"●  {printable(names)}" if names else "○  nobody else"
                self.there.update(f"{self.author}  {there} here")
                await anext(events)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        event.input.clear()
        if what := event.value.strip():
            async with self.writing.begin(self.space) as session:
                session.add(Entry(at=datetime.now(UTC), who=self.author, what=what))

    async def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        async with self.writing.begin() as session:
            (await session.get_one(Entry, self.query_one(LiveOptionList).row(event.option).id)).starred ^= True

    async def action_take_away(self) -> None:
        if entry := self.query_one(LiveOptionList).highlighted_row:
            async with self.writing.begin() as session:
                await session.delete(await session.get_one(Entry, entry.id))


def shown(entry: Entry) -> Content:
    return Content.assemble(
        (f"{entry.at.astimezone():%H:%M}  ", "$text-muted"),
        (f"{entry.who:<6}", "$text-accent"),
        ("★ " if entry.starred else "  ", "$text-warning"),
        (entry.what, "bold" if entry.starred else ""),
    )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", help="a file; by default it is where the platform keeps such things")
    parser.add_argument("ticket", nargs="?", default="", help="an invitation, to join a log")
    parser.add_argument("--name", default="Me", help="what the others call you")
    parser.add_argument("--at", default="ws://127.0.0.1:8711", help="where the first device is found")
    given = parser.parse_args()
    store = f"sqlite:///{given.store}" if given.store else user_store("Shared log")
    async with Engine.open(store) as engine:
        with closing(Sessions(engine, Base)) as sessions:
            sessions.prepare()
            log = await open_log(engine, given.ticket, given.name, given.at)
            await SharedLog(engine, sessions, *log, given.name).run_async()


if __name__ == "__main__":
    asyncio.run(main())
