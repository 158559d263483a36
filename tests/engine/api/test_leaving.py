"""A space leaves a device: nothing of it stays, nothing comes any more, and it can be joined again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import NoneType
from typing import Any

import pytest
from lichen import Document, Engine, Space, Text
from lichen.api.events import SpaceLeft
from lichen.core import events as happened
from lichen.errors import NotFound, Unreachable
from lichen.ids import DocId
from lichen.runtime import folding, sealer
from lichen.store import membership
from lichen.testing.waiting import until
from lichen.wire.changeset import ChangeSet
from sqlalchemy import Connection, inspect

from .conftest import Devices


def traces(conn: Connection, needles: list[bytes]) -> list[str]:
    """The tables that hold any of these in any column."""
    return [
        table
        for table in inspect(conn).get_table_names()
        if any(
            needle in value
            for row in conn.exec_driver_sql(f'SELECT * FROM "{table}"')
            for value in row
            for needle in needles
            if isinstance(value, bytes)
        )
    ]


async def left_behind(engine: Engine, *needles: bytes) -> list[str]:
    return await asyncio.wrap_future(engine.store.read(lambda conn: traces(conn, [*needles])))


async def shared(alice: Engine, bob: Engine) -> tuple[Space, Space, DocId]:
    """A space of both, with a document that both have."""
    address = await alice.listen(f"memory://{alice.device.hex()[:12]}")
    space = await alice.create_space("Family", member_name="Alice")
    note = await space.create({"body": Text("alice")})
    bobs = await bob.join(await space.invite(mode="auto", hints=[address]), name="Bob", timeout_s=20)
    copy = await bobs.document(note.id, wait_s=20)
    async with copy.change() as doc:
        doc["body"].insert(0, "bob ")
    await until(lambda: note.heads == copy.heads and bob.up_to_date)
    return space, bobs, note.id


async def level(one: Document, other: Document) -> None:
    await until(lambda: one.heads == other.heads)


async def test_nothing_of_it_stays_and_other_spaces_do(devices: Devices) -> None:
    alice, bob = await devices("alice", "bob")
    space, bobs, note = await shared(alice, bob)
    own = await bob.create_space("Own")
    kept = await own.create({"body": Text("kept")})
    copy = await bobs.document(note)
    assert await left_behind(bob, space.id, note)
    events = bob.events()
    await bobs.leave()
    assert await left_behind(bob, space.id, note) == []
    assert [one.id for one in bob.spaces] == [own.id]
    while await anext(events) != SpaceLeft(space.id):
        pass
    assert str((await own.document(kept.id)).doc["body"]) == "kept"
    for refused in (bobs.leave(), bobs.documents(), bobs.create({}), bobs.document(note), bob.document(note)):
        with pytest.raises(NotFound):
            await refused
    with pytest.raises(NotFound):
        async with copy.change() as doc:
            doc["body"].insert(0, "lost ")
    with pytest.raises(NotFound):
        bobs.members()
    await events.aclose()


async def test_what_others_write_does_not_come_back_with_the_next_link(devices: Devices) -> None:
    alice, bob = await devices("alice", "bob")
    space, bobs, note_id = await shared(alice, bob)
    other = await alice.create_space("Other")
    await bob.join(await other.invite(mode="auto"), timeout_s=20)
    await bobs.leave()
    note = await space.document(note_id)
    async with note.change() as doc:
        doc["body"].insert(0, "more ")
    seen = await other.create({"title": "seen"})
    await bob.space(other.id).document(seen.id, wait_s=20)  # over a link that was made since
    assert await left_behind(bob, space.id, note_id) == []


async def test_it_can_be_joined_again_and_written_in(devices: Devices) -> None:
    """Under a new session: the old one's log would be continued from where it was forgotten, which is a split."""
    alice, bob = await devices("alice", "bob")
    space, bobs, note_id = await shared(alice, bob)
    mine = await bobs.create({"body": Text("begun by bob")})
    await space.document(mine.id, wait_s=20)
    await bobs.leave()
    again = await bob.join(await space.invite(mode="auto"), name="Bob", timeout_s=20)
    note = await space.document(note_id)
    for doc_id in (note_id, mine.id):
        copy = await again.document(doc_id, wait_s=20)
        theirs = await space.document(doc_id)
        await level(copy, theirs)
        async with copy.change() as doc:
            doc["body"].insert(0, "again ")
        await level(copy, theirs)
    assert str(note.doc["body"]) == "again bob alice"
    assert again.name_of(bob.device) == "Bob"


async def test_after_a_restart_it_is_still_gone(tmp_path: Path) -> None:
    async with Engine.open(f"sqlite:///{tmp_path}/a.db") as engine:
        space = await engine.create_space("Family")
        await space.create({"body": Text("gone")})
        own = await engine.create_space("Own")
        await space.leave()
    async with Engine.open(f"sqlite:///{tmp_path}/a.db") as engine:
        assert [one.id for one in engine.spaces] == [own.id]
        assert await left_behind(engine, space.id) == []


async def test_its_tickets_are_good_for_nothing(devices: Devices) -> None:
    alice, bob = await devices("alice", "bob")
    address = await alice.listen("memory://leaving")
    space = await alice.create_space("Family")
    ticket = await space.invite(mode="auto", hints=[address], expires=timedelta(hours=1))
    await space.leave()
    with pytest.raises(Unreachable):
        await bob.join(ticket, timeout_s=1)
    assert bob.spaces == []


async def test_when_the_store_cannot_forget_it_the_space_stays(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await devices("alice", "bob")
    space, bobs, note_id = await shared(alice, bob)

    def fails(_conn: Connection, _space: bytes) -> None:
        raise OSError("it cannot be written")

    monkeypatch.setattr(membership, "drop_space", fails)
    with pytest.raises(OSError, match="cannot be written"):
        await bobs.leave()
    copy = await bobs.document(note_id)
    async with copy.change() as doc:
        doc["body"].insert(0, "still ")
    note = await space.document(note_id)
    await until(lambda: str(note.doc["body"]) == "still bob alice")


async def test_what_is_being_written_meanwhile_leaves_no_trace(devices: Devices) -> None:
    alice, bob = await devices("alice", "bob")
    space, bobs, note_id = await shared(alice, bob)
    copy = await bobs.document(note_id)

    async def type_on() -> None:
        with contextlib.suppress(NotFound):
            while True:
                async with copy.change() as doc:
                    doc["body"].insert(0, "x")
                await asyncio.sleep(0)

    async def create() -> None:
        with contextlib.suppress(NotFound):
            while True:
                await bobs.create({"title": "new"})

    writing = [asyncio.create_task(type_on()), asyncio.create_task(create())]
    await until(lambda: str(copy.doc["body"]).startswith("xx"))
    await bobs.leave()
    await asyncio.gather(*writing)
    await bob.settled()
    assert await left_behind(bob, space.id, note_id) == []


async def test_what_is_being_sealed_meanwhile_leaves_no_trace(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alice,) = await devices("alice")
    space = await alice.create_space("Family")
    await alice.settled()
    plan, begun, go_on, sealed = alice.sealer.plan, threading.Event(), threading.Event(), threading.Event()

    def later(*arguments: Any) -> Callable[[], ChangeSet]:
        work = plan(*arguments)

        def wait() -> ChangeSet:
            begun.set()
            assert go_on.wait(20)
            sealed.set()
            return work()

        return wait

    monkeypatch.setattr(alice.sealer, "plan", later)
    monkeypatch.setattr(sealer, "INLINE_BYTES", -1)
    note = await space.create({"body": Text("begun")})
    await until(begun.is_set)
    leaving = asyncio.create_task(space.leave())
    await until(lambda: alice.spaces == [])
    await asyncio.wrap_future(alice.store.write(lambda _conn: None))  # the space would be gone from the store by now
    go_on.set()
    await leaving
    await until(sealed.is_set)
    await alice.settled()
    await asyncio.wrap_future(alice.store.write(lambda _conn: None))  # behind what sealing may have written
    assert await left_behind(alice, space.id, note.id) == []


async def test_what_still_comes_of_it_leads_to_nothing(devices: Devices) -> None:
    (alice,) = await devices("alice")
    space = await alice.create_space("Family")
    await space.leave()
    node = alice._node
    for event in (
        happened.SetsChecked(space.id, ()),
        happened.SetsNotStored(space.id, ()),
        happened.OperationsAuthored(space.id, ()),
        happened.PositionRead(space.id, 1),
        happened.PresenceSet(space.id, DocId(bytes(16)), b"here"),
    ):
        assert node.handle(event, 0.0) == []


async def test_what_begins_is_opened_and_is_folded_meanwhile_does_not_come_back(
    tmp_path: Path, devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be an object of the forgotten log: after joining again, devices would differ for good."""
    (alice,) = await devices("alice")
    verify, begun, go_on = folding._verify, threading.Event(), threading.Event()

    def slow(*arguments: Any) -> None:
        begun.set()
        assert go_on.wait(20)
        verify(*arguments)

    async with Engine.open(f"sqlite:///{tmp_path}/bob.db") as bob:
        space, bobs, note_id = await shared(alice, bob)
        other = await space.create({"body": Text("two")})
        copy = await bobs.document(note_id)
        await bobs.document(other.id, wait_s=20)
        for connection in bob.connections:
            connection.close()
        async with copy.change() as doc:
            doc["body"].insert(0, "lost ")
        await bob.settled()
        monkeypatch.setattr(folding, "_verify", slow)
        copy._opened.fold_from(1)
        await until(begun.is_set)
        bob._documents._recent.clear()
        gc.collect()
        ended = await asyncio.gather(
            bobs.create({"title": "ghost"}), bob.document(other.id), bobs.leave(), return_exceptions=True
        )
        go_on.set()
        await bob.settled()
        assert [type(one) for one in ended] in ([NotFound, NotFound, NoneType], [NotFound, Document, NoneType])
        assert bob._documents.all_open() == []
        assert await left_behind(bob, space.id, note_id) == []
    async with Engine.open(f"sqlite:///{tmp_path}/bob.db") as bob:
        again = await bob.join(await space.invite(mode="auto"), timeout_s=20)
        note = await space.document(note_id)
        copy = await again.document(note_id, wait_s=20)
        async with copy.change() as doc:
            doc["body"].insert(0, "again ")
        await until(lambda: note.heads == copy.heads)
        assert str(note.doc["body"]) == "again bob alice"
        assert {one.id for one in await again.documents()} == {one.id for one in await space.documents()}


async def test_who_gives_up_waiting_does_not_leave_it_half_done(devices: Devices) -> None:
    (alice,) = await devices("alice")
    space = await alice.create_space("Family")
    go_on = threading.Event()
    alice.store.write_soon(lambda _conn: go_on.wait(20), lambda *_: None)
    leaving = asyncio.create_task(space.leave())
    await until(lambda: alice.spaces == [])
    leaving.cancel()
    await asyncio.wait([leaving])
    go_on.set()
    async with contextlib.aclosing(alice.events()) as events:
        assert await anext(events) == SpaceLeft(space.id)
    assert await left_behind(alice, space.id) == []
