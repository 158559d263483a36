"""A peer that stops reading costs a bounded queue, whatever is written meanwhile, and then gets everything."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from lichen import Engine, Text
from lichen.config import KIB, Limits
from lichen.runtime.link import Link
from lichen.testing.waiting import until

LIMITS = Limits(send_queue_bytes=64 * KIB, silence_s=600.0)
EDIT_BYTES = 20 * KIB


class Stopped:
    """A channel from which nothing is read until it goes on."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self.on = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    async def receive(self) -> bytes:
        await self.on.wait()
        received: bytes = await self._channel.receive()
        return received


async def test_memory_stays_flat_while_a_peer_does_not_read(tmp_path: Path) -> None:
    async with (
        Engine.open(f"sqlite:///{tmp_path}/alice.db", limits=LIMITS) as alice,
        Engine.open(f"sqlite:///{tmp_path}/bob.db", limits=LIMITS) as bob,
    ):
        await alice.listen("memory://slow")
        space = await alice.create_space("Family")
        note = await space.create({"body": Text("")})
        bobs = await bob.join(await space.invite(mode="auto"), timeout_s=20)
        copy = await bobs.document(note.id, wait_s=20)
        (reader,) = bob._driver.links.values()
        (writer,) = alice._driver.links.values()
        stopped = Stopped(reader.channel)
        reader.channel = stopped  # type: ignore[assignment]  # as much of one as is needed
        most = await type_and_watch(note, writer)
        assert LIMITS.send_queue_bytes < most <= LIMITS.send_queue_bytes + 2 * EDIT_BYTES
        on_link = alice._node.state.links[writer.number].spaces[space.id]
        assert on_link.behind
        assert not on_link.missed
        stopped.on.set()
        await until(lambda: copy.heads == note.heads, 60)
        assert list(alice._driver.links.values()) == [writer]


async def type_and_watch(note: Any, link: Link) -> int:
    """Write three megabytes that do not compress; returns how much waited for the link at most."""
    most = 0
    for _ in range(150):
        async with note.change() as doc:
            doc["body"].insert(0, os.urandom(EDIT_BYTES // 2).hex())
        most = max(most, link._queued_bytes)
    return most
