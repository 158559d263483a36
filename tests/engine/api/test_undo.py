"""Undo of open documents: an ordinary change that is kept, synced and seen, of what this device wrote."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from lichen import Document, Engine, Role, Text
from lichen.errors import AccessDenied, ChangeTooLarge
from lichen.runtime.document import Applied
from lichen.testing.waiting import until
from lichen_crdt import TransactionOpen, Undo, Undone

from .conftest import Devices


async def write(note: Document, text: str) -> None:
    async with note.change() as doc:
        doc["body"].append(text)


async def test_a_step_is_taken_back_and_brought_back_on_every_device(devices: Devices, tmp_path: Path) -> None:
    ann, bob = await devices("ann", "bob")
    await ann.listen(f"memory://{tmp_path.name}")
    space = await ann.create_space("Family")
    note = await space.create({"body": Text("eggs")})
    copy = await (await bob.join(await space.invite(mode="auto"))).document(note.id, wait_s=20)
    steps, told = Undo(note.doc), list[Applied]()
    await write(note, " and milk")
    note.listen(told.append)
    undone = await note.undo(steps)
    assert undone is not None
    assert [one.local for one in told] == [True]
    await write(note, "!")
    await until(lambda: note.heads == copy.heads)
    assert str(copy.doc["body"]) == "eggs!"
    await note.undo(steps)
    await note.redo(steps)
    await until(lambda: note.heads == copy.heads)
    assert str(copy.doc["body"]) == "eggs!"
    assert await note.redo(steps) is None
    (reader,) = await devices("carl")
    joined = await reader.join(await space.invite(mode="auto", role=Role.READER))
    theirs = await joined.document(note.id, wait_s=20)
    with pytest.raises(AccessDenied):
        await theirs.undo(Undo(theirs.doc))


async def test_it_is_on_disk_when_it_returns(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/notes.db"
    async with Engine.open(url) as engine:
        note = await (await engine.create_space("Family")).create({"body": Text("eggs")})
        await write(note, " and milk")
        await note.undo(Undo(note.doc))
        assert note._opened.saving.quiet
        heads = note.heads
    async with Engine.open(url) as engine:
        again = await engine.document(note.id)
        assert (str(again.doc["body"]), again.heads) == ("eggs", heads)


async def test_it_waits_for_a_transaction(devices: Devices) -> None:
    (ann,) = await devices("ann")
    note = await (await ann.create_space("Family")).create({"body": Text("eggs")})
    await write(note, " and milk")
    async with note.change() as doc:
        undoing = asyncio.ensure_future(note.undo(Undo(note.doc)))
        looking = asyncio.ensure_future(note.look(lambda doc: str(doc["body"])))
        await asyncio.sleep(0)
        doc["title"] = "Plans"
        assert not undoing.done()
    await undoing
    assert "title" not in note.doc, "the newest step is the newest when its turn comes"
    assert await looking == "eggs and milk"


class Held(Undo):
    """Waits on its thread until it is let go."""

    def __init__(self, note: Document) -> None:
        super().__init__(note.doc)
        self.begun, self.let_go = threading.Event(), threading.Event()

    def undo(self, time: int | None = None) -> Undone | None:
        self.begun.set()
        assert self.let_go.wait(60), "the loop goes on meanwhile"
        return super().undo(time)


async def test_the_loop_goes_on_meanwhile_and_nobody_else_writes(devices: Devices) -> None:
    (ann,) = await devices("ann")
    note = await (await ann.create_space("Family")).create({"body": Text("eggs")})
    await write(note, " and milk")
    steps = Held(note)
    undoing = asyncio.ensure_future(note.undo(steps))
    await until(steps.begun.is_set)
    with pytest.raises(TransactionOpen), note.change() as doc:
        doc["title"] = "Plans"
    writing = asyncio.ensure_future(write(note, "!"))
    await asyncio.sleep(0)
    assert not writing.done()
    steps.let_go.set()
    await undoing
    await writing
    assert note.doc.to_py() == {"body": "eggs!"}


async def test_one_that_is_cancelled_is_done_all_the_same_and_on_disk(devices: Devices) -> None:
    (ann,) = await devices("ann")
    note = await (await ann.create_space("Family")).create({"body": Text("eggs")})
    await note.settled()
    await write(note, " and milk")
    await note.settled()  # else what is sealed late goes into one set
    steps = Held(note)
    undoing = asyncio.ensure_future(note.undo(steps))
    await until(steps.begun.is_set)
    for _ in range(2):
        undoing.cancel()
        await asyncio.sleep(0)
    steps.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await undoing
    await note.settled()
    assert str(note.doc["body"]) == "eggs"
    assert await ann.count_sets(note.id) == 3


class Broken(Undo):
    """Fails when a part of it is made."""

    def undo(self, time: int | None = None) -> Undone | None:
        super().undo(time)
        raise RuntimeError("in the middle")


async def test_of_one_that_fails_in_the_middle_nothing_is_kept(devices: Devices) -> None:
    (ann,) = await devices("ann")
    note = await (await ann.create_space("Family")).create({"body": Text("eggs")})
    await write(note, " and milk")
    with pytest.raises(RuntimeError, match="in the middle"):
        await note.undo(Broken(note.doc))
    assert isinstance(note.failure, RuntimeError)
    again = await ann.document(note.id)
    await write(again, "!")
    assert str(again.doc["body"]) == "eggs and milk!"


async def test_one_that_no_change_set_can_hold_is_refused_and_nothing_of_it_is_kept(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ann,) = await devices("ann")
    note = await (await ann.create_space("Family")).create({"body": Text("eggs")})
    await write(note, " and milk")
    monkeypatch.setattr("lichen.api.document.CHANGE_BYTES", 10)
    with pytest.raises(ChangeTooLarge):
        await note.undo(Undo(note.doc))
    monkeypatch.undo()
    again = await ann.document(note.id)
    await write(again, "!")
    assert str(again.doc["body"]) == "eggs and milk!"
