"""A peer cannot fill the store's queue: links are read no further while the store has much to do."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from lichen import Engine, Text
from lichen.config import Limits
from lichen.core.space import short_id
from lichen.runtime.backlog import JOB_BYTES, Backlog
from lichen.testing.waiting import until
from lichen.wire.frames import Graft

SMALL = Limits(unstored_bytes=16 * JOB_BYTES, writer_jobs=64, heartbeat_s=0.02, silence_s=0.2)


async def test_a_peer_that_asks_faster_than_the_store_answers_leaves_room_for_others(tmp_path: Path) -> None:
    """Local edits that the full queue refused would take their document out of memory."""
    async with (
        Engine.open(f"sqlite:///{tmp_path}/alice.db", limits=SMALL) as alice,
        Engine.open(f"sqlite:///{tmp_path}/bob.db") as bob,
    ):
        await alice.listen("memory://flooded")
        space = await alice.create_space("Family")
        note = await space.create({"body": Text("")})
        bobs = await bob.join(await space.invite(mode="auto"), timeout_s=20)
        copy = await bobs.document(note.id, wait_s=20)
        (link,) = bob._driver.links.values()
        (alices,) = alice._driver.links.values()
        ask = Graft(space.id, tuple(short_id(known) for known in alice._state(space.id).known), ())
        go_on = threading.Event()
        alice.store.write_soon(lambda _conn: go_on.wait(20), lambda *_: None)
        for _ in range(500):
            link.send(ask)
        await until(lambda: alices._holding)
        read = alices._last_received
        await until(lambda: alices._last_received > read + 2 * SMALL.silence_s)  # not read is not silent
        assert alice.store._writer._jobs.qsize() <= 20
        with note.change() as doc:
            doc["body"].insert(0, "mine")
        go_on.set()
        await note.saved()
        await until(lambda: copy.heads == note.heads)
        assert list(alice._driver.links.values()) == [alices]
        await until(lambda: not alice._driver._backlog._bytes)


async def test_what_is_large_counts_as_large(tmp_path: Path) -> None:
    async with Engine.open(f"sqlite:///{tmp_path}/alice.db") as alice:
        backlog, go_on = Backlog(alice.store, 16 * JOB_BYTES), threading.Event()
        backlog.put(lambda _conn: go_on.wait(20), lambda *_: None)
        assert not backlog.full
        backlog.put(lambda _conn: None, lambda *_: None, 16 * JOB_BYTES)
        assert backlog.full
        waiting = [asyncio.create_task(backlog.room()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        go_on.set()
        await asyncio.gather(*waiting)
        assert not backlog.full
