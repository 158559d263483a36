from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lichen import Document, Engine, Space, Text


@dataclass(frozen=True, slots=True)
class Joined:
    """Two devices in one space, with a note on both."""

    alice: Engine
    """Listens at `address`."""
    bob: Engine
    address: str
    space: Space
    note: Document
    copy: Document


@pytest.fixture
async def joined(tmp_path: Path) -> AsyncIterator[Joined]:
    async with (
        Engine.open(f"sqlite:///{tmp_path}/alice.db") as alice,
        Engine.open(f"sqlite:///{tmp_path}/bob.db") as bob,
    ):
        address = await alice.listen(f"memory://{tmp_path.name}")
        space = await alice.create_space("Family")
        note = await space.create({"body": Text("")})
        bobs = await bob.join(await space.invite(mode="auto"), timeout_s=20)
        yield Joined(alice, bob, address, space, note, await bobs.document(note.id, wait_s=20))
