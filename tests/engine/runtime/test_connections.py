"""Dialling goes on whatever a transport does."""

from __future__ import annotations

from pathlib import Path

import pytest
from lichen import Engine
from lichen.config import Limits
from lichen.ids import SpaceId
from lichen.testing.waiting import until
from lichen.transport import Channel
from lichen.wire.frames import Prune
from lichen_transports import memory


async def test_an_error_that_a_transport_never_said_it_raises_ends_no_dialling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dial, failed = memory.transport.dial, list[str]()

    async def fails_at_first(url: str, *, message_bytes: int) -> Channel:
        if not failed:
            failed.append(url)
            raise OSError("too many open files")
        return await dial(url, message_bytes=message_bytes)

    monkeypatch.setattr(memory.transport, "dial", fails_at_first)
    async with (
        Engine.open(f"sqlite:///{tmp_path}/alice.db") as alice,
        Engine.open(f"sqlite:///{tmp_path}/bob.db", limits=Limits(reconnect_min_s=0.01)) as bob,
    ):
        connection = await bob.connect(await alice.listen("memory://stumbling"))
        await until(lambda: connection.error)
        assert "too many open files" in connection.error
        await until(lambda: connection.state == "connected")


async def test_strangers_keep_no_member_out_and_are_bounded(tmp_path: Path) -> None:
    async with (
        Engine.open(f"sqlite:///{tmp_path}/alice.db", limits=Limits(links=2)) as alice,
        Engine.open(f"sqlite:///{tmp_path}/bob.db") as bob,
        Engine.open(f"sqlite:///{tmp_path}/cal.db") as cal,
        Engine.open(f"sqlite:///{tmp_path}/dan.db") as dan,
    ):
        address = await alice.listen("memory://crowded")
        space = await alice.create_space("Family")
        await bob.join(await space.invite(mode="auto"), timeout_s=20)
        (members,) = bob._driver.links.values()
        first = await cal.connect(address)
        await until(lambda: len(alice._driver.links) == 2)
        (link,) = cal._driver.links.values()
        link.send(Prune(SpaceId(b"x" * 32), alice.device))  # a space that nobody here knows makes no member
        await until(lambda: not link.queued)
        await dan.connect(address)
        await until(lambda: first.state == "waiting")
        first.close()
        await until(lambda: {link.peer for link in alice._driver.links.values()} == {bob.device, dan.device})
        note = await space.create({"n": 1})
        await bob.space(space.id).document(note.id, wait_s=20)
        assert list(bob._driver.links.values()) == [members]


async def test_where_every_link_is_wanted_a_newcomer_is_turned_away(tmp_path: Path) -> None:
    async with (
        Engine.open(f"sqlite:///{tmp_path}/alice.db", limits=Limits(links=1)) as alice,
        Engine.open(f"sqlite:///{tmp_path}/bob.db") as bob,
        Engine.open(f"sqlite:///{tmp_path}/cal.db") as cal,
    ):
        address = await alice.listen("memory://full")
        space = await alice.create_space("Family")
        await bob.join(await space.invite(mode="auto"), timeout_s=20)
        (members,) = bob._driver.links.values()
        turned_away = await cal.connect(address)
        await until(lambda: turned_away.state == "waiting")
        assert list(bob._driver.links.values()) == [members]
