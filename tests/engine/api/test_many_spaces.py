"""A device at the limit of spaces: all of them work over one link, and one more is refused before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from lichen import Engine, Relay
from lichen.config import Limits
from lichen.errors import LimitExceeded
from lichen.testing.waiting import until

LIMITS = Limits(spaces=3)


async def test_as_many_spaces_as_a_device_may_have_all_go_over_one_link(tmp_path: Path) -> None:
    async with (
        Relay.open(f"sqlite:///{tmp_path}/relay.db", limits=LIMITS) as relay,
        Engine.open(f"sqlite:///{tmp_path}/ann.db", limits=LIMITS) as ann,
        Engine.open(f"sqlite:///{tmp_path}/bob.db", limits=LIMITS) as bob,
    ):
        url = await relay.listen("memory://many")
        await ann.connect(url)
        await bob.connect(url)
        for name in ("one", "two", "three"):
            space = await ann.create_space(name)
            await bob.join(await space.invite(mode="auto", hints=[]), name="Bob", timeout_s=20)
        bob.connections[0].close()
        await bob.connect(url)  # greets the relay with all of them at once
        notes = [await space.create({"title": space.name}) for space in ann.spaces]
        for note in notes:
            await bob.wait_for_document(note.space, note.id, 20)
        await until(lambda: ann.up_to_date and bob.up_to_date)
        assert [space.name for space in bob.spaces] == ["one", "two", "three"]
        assert [connection.error for connection in ann.connections] == [""]
    async with Engine.open(f"sqlite:///{tmp_path}/bob.db", limits=LIMITS) as bob:
        assert len(bob.spaces) == 3


async def test_one_space_more_is_neither_made_nor_joined_and_uses_no_ticket_up(tmp_path: Path) -> None:
    async with (
        Engine.open(f"sqlite:///{tmp_path}/ann.db", limits=LIMITS) as ann,
        Engine.open(f"sqlite:///{tmp_path}/bob.db") as bob,
        Engine.open(f"sqlite:///{tmp_path}/cat.db") as cat,
    ):
        await bob.listen("memory://one-more")
        for name in ("one", "two", "three"):
            await ann.create_space(name)
        with pytest.raises(LimitExceeded, match="in 3 spaces") as raised:
            await ann.create_space("four")
        assert raised.value.hint
        ticket = await (await bob.create_space("four")).invite(mode="auto")
        with pytest.raises(LimitExceeded, match="in 3 spaces"):
            await ann.join(ticket, name="Ann", timeout_s=20)
        assert len(ann.spaces) == 3
        assert ann.connections == []
        await cat.join(ticket, name="Cat", timeout_s=20)
        assert len(bob.spaces[0].members()) == 2


async def test_who_is_at_the_limit_joins_a_space_again_that_it_is_in(tmp_path: Path) -> None:
    limits = Limits(spaces=1)
    async with (
        Engine.open(f"sqlite:///{tmp_path}/ann.db") as ann,
        Engine.open(f"sqlite:///{tmp_path}/bob.db", limits=limits) as bob,
    ):
        await ann.listen("memory://again-at-limit")
        ticket = await (await ann.create_space("Family")).invite(mode="auto")
        for _ in range(2):
            await bob.join(ticket, name="Bob", timeout_s=20)
        assert len(bob.spaces) == 1
