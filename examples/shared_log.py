"""A log that a crew keeps together in the terminal: each on their own device, also without a network.

    python examples/shared_log.py ann.db --name Ann             # begins a log; F2 shows an invitation
    python examples/shared_log.py ben.db lichen1... --name Ben  # joins it

Enter writes an entry, and stars or unstars one in the list; Delete takes it away. The pinned text all write."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing, closing
from datetime import UTC, datetime
from typing import ClassVar

from lichen import Document, Engine, Role, Space, Text, checked_ticket, in_words, passphrase_of, user_store
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


class SharedLog(App[None]):
    """The entries on the left, the pinned text on the right, and who is there below."""

    CSS = """
    #log { width: 2fr; padding: 1 1 0 2; } #side { width: 1fr; padding: 1 2 0 1; }
    Screen { background: $surface; } .head { text-style: bold; color: $primary; padding: 0 1; }
    LiveOptionList, SyncedTextArea, Input { border: round $panel-lighten-2; background: $surface; }
    LiveOptionList:focus, SyncedTextArea:focus, Input:focus { border: round $primary; background-tint: $surface; }
    #there { width: 1fr; height: auto; padding: 1; color: $text-muted; } #entries { border-subtitle-color: $text-muted }
    #invitation { dock: top; display: none; width: 100%; } LiveOptionList, SyncedTextArea { height: 1fr; }
    """
    TITLE, AUTO_FOCUS = "The shared log", "Input"
    BINDINGS: ClassVar = [("delete", "take_away", "Take away"), ("f2", "invite", "Invite"), ("ctrl+q", "quit", "Quit")]

    def __init__(self, engine: Engine, sessions: Sessions, space: Space, pinned: Document, name: str) -> None:
        super().__init__()
        self.engine, self.sessions, self.space, self.pinned, self.author = engine, sessions, space, pinned, name
        self.writing, self.theme, self.ticket = AsyncSessions(sessions), "nord", ""
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
                self.there.update(f"{printable(self.author)}  {there} here\n{printable(self.space.about)}".strip())
                await anext(events)

    def on_live_option_list_followed(self, event: LiveOptionList.Followed) -> None:
        event.option_list.border_subtitle = "" if event.option_list.rows else "Nothing yet: write below what happens"

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
            self.ticket = await self.space.invite(mode="auto")
            self.invitation.update(
                f"{self.ticket}\n\nCopied, if your terminal allows it. On leaving, it is printed in a line."
            )
            self.copy_to_clipboard(self.ticket)


def shown(entry: Entry) -> Content:
    return Content.assemble(
        (f"{entry.at.astimezone():%H:%M}  ", "$text-muted"),
        (f"{entry.who:<6}", "$text-accent"),
        ("★ " if entry.starred else "  ", "$text-warning"),
        (entry.what, "bold" if entry.starred else ""),
    )


async def main(given: argparse.Namespace, store: str, passphrase: str | None) -> None:
    async with Engine.open(store, passphrase=passphrase) as engine:
        with closing(Sessions(engine, Base)) as sessions:
            sessions.prepare()
            await engine.connect_remembered()
            space = await engine.open_space("Night watch", given.ticket, name=given.name, own=given.own, progress=print)
            if space.role == Role.OWNER:
                await engine.listen(given.at or space.usual_address, required=bool(given.at))
            pinned = await space.titled("Pinned", {"body": Text("")})
            await (log := SharedLog(engine, sessions, space, pinned, space.name_of(engine.device))).run_async()
    if log.ticket:
        print(log.ticket)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("store", nargs="?", default="", help="a file; else where the platform keeps such things")
    parser.add_argument("ticket", nargs="?", default="", type=checked_ticket, help="an invitation, to join a log")
    parser.add_argument("--name", default="Me", help="what the others call you, from the first start on")
    parser.add_argument("--at", default="", help="where the others find the first device: ws://HOST:PORT")
    parser.add_argument("--own", action="store_true", help="show the log that this device began, if it joined others")
    with in_words():
        given = parser.parse_intermixed_args()
        store = f"sqlite:///{given.store}" if given.store else user_store("Shared log")
        asyncio.run(main(given, store, passphrase_of(store)))
