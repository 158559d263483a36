"""A log that a crew keeps together in the terminal: each on their own device, also without a network.

    python examples/shared_log.py --name Ann             # begins a log; F2 shows an invitation
    python examples/shared_log.py --name Ben lichen1...  # joins it; on the same computer with --store ben.db

Enter writes an entry, and stars or unstars one in the list; Delete takes it away. The pinned text all write."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing, closing
from datetime import UTC, datetime
from typing import ClassVar

from lichen import Document, Engine, Role, Space, Text, in_words, user_store
from lichen_adapters.orm import AsyncSessions, Sessions, Synced, in_space
from lichen_adapters.textual import LiveOptionList, SyncedTextArea, printable
from sqlalchemy import delete, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from textual import work
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Footer, Input, Label, OptionList


class Base(DeclarativeBase): ...


class Entry(Synced, Base):
    __tablename__ = "entry"
    at: Mapped[datetime]
    who: Mapped[str]
    what: Mapped[str]
    starred: Mapped[bool] = mapped_column(default=False)


async def open_log(engine: Engine, given: argparse.Namespace) -> tuple[Space, Document]:
    """The log's space and its pinned text: those of the ticket, those that came last, or new ones."""
    await engine.connect_remembered()
    space = await engine.open_space("Night watch", given.ticket, name=given.name, own=given.own, progress=print)
    if space.role == Role.OWNER:
        await engine.listen(given.at or space.usual_address, required=bool(given.at))
    return space, await space.titled("Pinned", {"body": Text("")})


class SharedLog(App[None]):
    """The entries on the left, the pinned text on the right, and who is there below."""

    CSS = """
    #log { width: 2fr; padding: 1 1 0 2; } #side { width: 1fr; padding: 1 2 0 1; }
    Screen { background: $surface; } .head { text-style: bold; color: $primary; padding: 0 1; }
    LiveOptionList, SyncedTextArea, Input { border: round $panel-lighten-2; background: $surface; }
    LiveOptionList:focus, SyncedTextArea:focus, Input:focus { border: round $primary; background-tint: $surface; }
    #there { width: 100%; height: auto; content-align: left middle; padding: 1 1; color: $text-muted; }
    #invitation { dock: top; display: none; width: 100%; } LiveOptionList, SyncedTextArea { height: 1fr; }
    """
    TITLE, AUTO_FOCUS = "The shared log", "Input"
    BINDINGS: ClassVar = [("delete", "take_away", "Take away"), ("f2", "invite", "Invite"), ("ctrl+q", "quit", "Quit")]

    def __init__(self, engine: Engine, sessions: Sessions, space: Space, pinned: Document, name: str) -> None:
        super().__init__()
        self.engine, self.sessions, self.space, self.pinned, self.author = engine, sessions, space, pinned, name
        self.writing, self.theme = AsyncSessions(sessions), "nord"
        self.there, self.invitation = Label(id="there", markup=False), Label(id="invitation", markup=False)

    def compose(self) -> ComposeResult:
        entries = select(Entry).where(in_space(Entry, self.space)).order_by(Entry.at, Entry.id)
        yield self.invitation
        with Horizontal():
            with Vertical(id="log"):
                yield Label(printable(self.space.name), classes="head", markup=False)
                yield LiveOptionList(self.sessions, entries, shown, id="entries")
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
                here = {self.space.name_of(one.device) for one in self.engine.paths(self.space.id) if one.via != "none"}
                there = f"●  {printable(' and '.join(sorted(here)))}" if here else "○  nobody else"
                others = (one.name for one in self.engine.spaces if one.id != self.space.id)
                more = [f"Also on this device: {printable(name)} (see --own)" for name in others]
                if len(self.space.members()) == 1:
                    more = ["A log of your own. To join another, start with its invitation.", *more]
                self.there.update("\n".join([f"{self.author}  {there} here", *more]))
                await anext(events)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        event.input.clear()
        if what := event.value.strip():
            async with self.writing.begin(self.space) as session:
                session.add(Entry(at=datetime.now(UTC), who=self.author, what=what))

    async def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        async with self.writing.begin() as session:
            row = self.query_one(LiveOptionList).row(event.option)
            await session.execute(update(Entry).where(Entry.id == row.id).values(starred=~Entry.starred))

    async def action_take_away(self) -> None:
        if row := self.query_one(LiveOptionList).highlighted_row:
            async with self.writing.begin() as session:
                await session.execute(delete(Entry).where(Entry.id == row.id))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool:
        return action != "invite" or self.space.role == Role.OWNER

    async def action_invite(self) -> None:
        self.invitation.display ^= True
        if self.invitation.display:
            self.invitation.update(ticket := await self.space.invite(mode="auto"))
            self.copy_to_clipboard(ticket)  # which not every terminal lets us


def shown(entry: Entry) -> Content:
    return Content.assemble(
        (f"{entry.at.astimezone():%H:%M}  ", "$text-muted"),
        (f"{entry.who:<6}", "$text-accent"),
        ("★ " if entry.starred else "  ", "$text-warning"),
        (entry.what, "bold" if entry.starred else ""),
    )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", type="sqlite:///{}".format, help="a file; else where the platform keeps such things")
    parser.add_argument("ticket", nargs="?", default="", help="an invitation, to join a log")
    parser.add_argument("--name", default="Me", help="what the others call you")
    parser.add_argument("--at", default="", help="where the others find the first device: ws://HOST:PORT")
    parser.add_argument("--own", action="store_true", help="show the log that this device began, if it joined others")
    given = parser.parse_args()
    async with Engine.open(given.store or user_store("Shared log")) as engine:
        with closing(Sessions(engine, Base)) as sessions:
            sessions.prepare()
            await SharedLog(engine, sessions, *await open_log(engine, given), given.name).run_async()


if __name__ == "__main__":
    with in_words():
        asyncio.run(main())
