"""What the program keeps for its pages: a note goes on after its document had to be loaded anew."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from lichen import Engine, Text
from lichen.errors import ChangeTooLarge, ConfigError, StoreFull
from lichen.ids import DeviceKey
from lichen.testing.waiting import until
from lichen_notes.authority import Update
from lichen_notes.desk import COLOURS, Desk, Page, colours
from lichen_notes.room import Room
from sqlalchemy import Connection


def fill_disk(conn: Connection) -> None:
    conn.exec_driver_sql(f"PRAGMA max_page_count = {conn.exec_driver_sql('PRAGMA page_count').scalar_one()}")


def free_disk(conn: Connection) -> None:
    conn.exec_driver_sql("PRAGMA max_page_count = 4294967294")


async def make_room(engine: Engine) -> None:
    """A job that is in one group with what waits for room fails with it."""
    while True:
        with contextlib.suppress(StoreFull):
            return await asyncio.wrap_future(engine.store.write(free_disk))


async def type_here(room: Room, text: str) -> None:
    """As a page pushes it: at the end."""
    length = len(room.authority.text)
    await room.push("c", room.authority.version, 1, [Update("c", [length, [0, text]] if length else [[0, text]])])


async def type_until_full(room: Room) -> None:
    while True:
        await type_here(room, "x" * 1_000)


async def test_after_a_full_disk_the_pages_go_on_from_what_is_on_disk(tmp_path: Path) -> None:
    async with Engine.open(f"sqlite:///{tmp_path}/a.db") as engine:
        space = await engine.create_space("Family")
        note = await space.create({"title": "Plans", "body": Text("")})
        desk = Desk(engine, "Ada")
        running = asyncio.create_task(desk.run())
        told: list[dict[str, Any]] = []
        page = Page(told.append)
        desk.add(page)
        room = await desk.room(page, note.id.hex())
        await asyncio.wrap_future(engine.store.write(fill_disk))
        with pytest.raises(StoreFull):
            await type_until_full(room)
        await until(lambda: [message for message in told if message["type"] == "note"])
        renewed = next(message for message in told if message["type"] == "note")
        assert renewed["epoch"] != room.epoch
        assert set(renewed["text"]) <= {"x"}
        await make_room(engine)
        again = await desk.room(page, note.id.hex())
        await type_here(again, "later")
        assert str((await engine.document(note.id)).doc["body"]) == renewed["text"] + "later"
        desk.remove(page)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def one_room(tmp_path: Path) -> AsyncIterator[tuple[Room, list[dict[str, Any]]]]:
    async with Engine.open(f"sqlite:///{tmp_path}/a.db") as engine:
        space = await engine.create_space("Family")
        note = await space.create({"title": "Plans", "body": Text("")})
        desk, told = Desk(engine, "Ada"), list[dict[str, Any]]()
        page = Page(told.append)
        desk.add(page)
        yield await desk.room(page, note.id.hex()), told
        desk.remove(page)


async def test_a_page_is_told_what_of_its_own_was_saved_whatever_others_write(tmp_path: Path) -> None:
    """It drops what it believes saved; who is in the space sees the names of pages, and may write any message."""
    async with one_room(tmp_path) as (room, _told):
        heads = room.heads
        await type_here(room, "eggs")
        assert (await room.opened("c", heads))["saved"] == 1
        (pushed,) = [info.message or "" for info in room.note.history(since=[bytes.fromhex(head) for head in heads])]
        for forged in ("page c:9", "page c:²", pushed.replace(":1:", ":9:"), "page c:9:é", ""):
            async with room.note.change(forged) as doc:
                doc["body"].append("!")
        assert (await room.opened("c", heads))["saved"] == 1
        assert (await room.opened("another", heads))["saved"] == 0


async def test_what_the_document_takes_back_no_page_is_left_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_room(tmp_path) as (room, told):
        await type_here(room, "eggs")
        with monkeypatch.context() as patched:
            patched.setattr("lichen.api.document.CHANGE_BYTES", 10)
            with pytest.raises(ChangeTooLarge):
                await type_here(room, " and milk")
        assert (room.authority.text, str(room.note.doc["body"])) == ("eggs", "eggs")
        await until(lambda: told[-1]["from"] + len(told[-1]["updates"]) == room.authority.version)
        await type_here(room, "!")
        assert (room.authority.text, str(room.note.doc["body"])) == ("eggs!", "eggs!")


async def test_who_joins_remembers_the_addresses_of_the_ticket_alone(tmp_path: Path) -> None:
    async with (
        Engine.open(f"sqlite:///{tmp_path}/a.db") as ann,
        Engine.open(f"sqlite:///{tmp_path}/b.db") as bob,
    ):
        await ann.listen("memory://ticket")
        space = await ann.create_space("Family")
        ticket = await space.invite(mode="auto")
        here = await bob.connect(await ann.listen("memory://for-this-once"))
        await here.connected.wait()
        await Desk(bob, "Bob").join(ticket, "", 20)
        await until(lambda: not [task for task in bob._driver._running if task.get_name().startswith("remember")])
        assert await bob.remembered() == ["memory://ticket"]


async def test_nobody_is_invited_by_a_device_that_nobody_could_find(tmp_path: Path) -> None:
    async with Engine.open(f"sqlite:///{tmp_path}/a.db") as engine:
        space = (await engine.create_space("Family")).id.hex()
        desk = Desk(engine, "Ada")
        with pytest.raises(ConfigError, match="no relay"):
            await desk.invite(space)
        await engine.connect("ws://127.0.0.1:1")  # where it may be later
        assert (await desk.invite(space))["ticket"]


def test_devices_have_colours_of_their_own_while_there_are_enough() -> None:
    devices = [DeviceKey(bytes([number]) * 32) for number in range(len(COLOURS) + 1)]
    given = colours(devices)
    assert given == colours(reversed(devices))
    assert len(set(given.values())) == len(COLOURS)
    assert len(set(colours(devices[:-1]).values())) == len(COLOURS)


async def test_spaces_of_one_name_are_told_apart(tmp_path: Path) -> None:
    async with Engine.open(f"sqlite:///{tmp_path}/a.db") as engine:
        made = [await engine.create_space(name) for name in ("Family", "Family", "Work")]
        spaces = (await Desk(engine, "Ada").state())["spaces"]
        assert [space["name"] for space in spaces] == [made[0].told, made[1].told, "Work"]
        assert len({space["name"] for space in spaces}) == 3
