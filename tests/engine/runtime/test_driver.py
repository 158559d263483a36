"""The driver and its store: what is told of it, and a link that ends when it fails under what the link waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lichen import Engine
from lichen.core.effects import ReadPosition, StoreCursor, StoreSets
from lichen.errors import StoreError
from lichen.ids import DeviceKey
from lichen.runtime import catch_up_rows, rows
from lichen.runtime.link import Link
from lichen.store import node
from lichen.testing.waiting import until
from lichen.wire.frames import Message, Position, Sets

from .conftest import Joined


def failing(job: Callable[..., Any], failed: list[str], times: int = 2) -> Callable[..., Any]:
    """A job of the store that fails the first two times, or so many."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        if len(failed) < times:
            failed.append(job.__name__)
            raise StoreError("a page cannot be read")
        return job(*args, **kwargs)

    return fail


@pytest.mark.parametrize("job", ["plan_catch_up", "bodies", "read_cursor", "store_cursor"])
async def test_a_link_whose_store_failed_is_followed_by_one_that_brings_everything(
    joined: Joined, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    alice, bob, note, copy = joined.alice, joined.bob, joined.note, joined.copy
    bob.connections[0].close()
    await until(lambda: not alice._driver.links)
    writer, apart = (bob, copy) if job == "store_cursor" else (alice, note)
    async with apart.change() as doc:
        doc["body"].insert(0, "while nobody listened")
    await until(lambda: not any(state.unreported for state in writer._node.state.spaces.values()))
    failed: list[str] = []
    monkeypatch.setattr(catch_up_rows, job, failing(getattr(catch_up_rows, job), failed))
    await bob.connect(joined.address)
    async with asyncio.timeout(20):
        await until(lambda: len(failed) == 2 and copy.heads == note.heads and bob.up_to_date)
        async with note.change() as doc:
            doc["body"].insert(0, "live, ")
        await until(lambda: copy.heads == note.heads and bob.up_to_date)


async def test_a_position_that_could_not_be_read_is_told_later(joined: Joined, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without another edit, else who waits until its peers have everything would wait for the next one."""
    alice, bob, note, space = joined.alice, joined.bob, joined.note, joined.space
    await until(lambda: bob.up_to_date and not any(s.unreported for s in alice._node.state.spaces.values()))
    failed: list[str] = []
    monkeypatch.setattr(catch_up_rows, "read_position", failing(catch_up_rows.read_position, failed, 4))
    async with note.change() as doc:
        doc["body"].insert(0, "live")
    (link,) = alice._driver.links
    on_link = alice._node.state.links[link].spaces[space.id]
    told = on_link.told_position
    async with asyncio.timeout(20):
        await until(lambda: len(failed) == 4 and on_link.settled_position == on_link.told_position > told)


async def test_no_peer_is_told_a_position_before_it_is_sent_what_stands_there(
    joined: Joined, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would pull from behind that position after the link broke, and what was not sent yet would never come."""
    alice, note, copy, space = joined.alice, joined.note, joined.copy, joined.space
    await note.settled()
    ask = ReadPosition(space.id)
    before = await asyncio.wrap_future(alice.store.read(lambda conn: catch_up_rows.read_position(conn, ask)))
    write_soon, sent = alice.write_soon, list[Message]()

    def write_and_ask(job: Callable[[Any], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """In the same commit as what a document writes, find out how far the store has come."""
        gate = threading.Event()
        alice.store.write_soon(lambda _conn: gate.wait(20), lambda *_: None)
        write_soon(job, done)
        alice._driver._carry_out(ask)
        gate.set()

    def send(link: Link, message: Message) -> None:
        if link in alice._driver.links.values():
            sent.append(message)
        original(link, message)

    original = Link.send
    monkeypatch.setattr(Link, "send", send)
    monkeypatch.setattr(alice, "write_soon", write_and_ask)
    async with note.change() as doc:
        doc["body"].insert(0, "sealed")
    await until(lambda: any(isinstance(one, Position) and one.position > before.position for one in sent))
    told = [type(one) for one in sent if isinstance(one, Sets) or getattr(one, "position", 0) > before.position]
    assert told[0] is Sets
    await until(lambda: copy.heads == note.heads)


async def test_a_cursor_does_not_move_past_change_sets_that_were_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash they would be asked for no more."""
    async with Engine.open(f"sqlite:///{tmp_path}/bob.db") as bob:
        space, peer, driver = (await bob.create_space("Family")).id, DeviceKey(bytes(32)), bob._driver
        lost: list[str] = []
        monkeypatch.setattr(rows, "store_sets", failing(rows.store_sets, lost))

        async def cursor() -> int | None:
            held = await asyncio.wrap_future(bob.store.write(lambda conn: node.cursor(conn, peer, space)))
            return held[1] if held else None

        gate = threading.Event()
        bob.store.write_soon(lambda _conn: gate.wait(20), lambda *_: None)
        driver._carry_out(StoreSets(space, ()))
        driver._carry_out(StoreCursor(1, peer, space, bytes(16), 7))
        gate.set()
        assert await cursor() is None
        await until(lambda: driver._losses_known == 1)
        driver._carry_out(StoreCursor(1, peer, space, bytes(16), 8))
        assert await cursor() == 8
