"""What fits into no change set is refused when it is written: else it would never be synced, nor what follows it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lichen import Engine
from lichen.crypto.plaintext import CHANGE_BYTES
from lichen.errors import ChangeTooLarge
from lichen.testing.waiting import until


async def test_a_change_that_fits_into_no_change_set_is_taken_back(tmp_path: Path) -> None:
    async with (
        Engine.open(f"sqlite:///{tmp_path}/alice.db") as alice,
        Engine.open(f"sqlite:///{tmp_path}/bob.db") as bob,
    ):
        await alice.listen("memory://large")
        space = await alice.create_space("Family")
        with pytest.raises(ChangeTooLarge):
            await space.create({"blob": os.urandom(CHANGE_BYTES)})
        with pytest.raises(OverflowError, match="an integer must fit 64 bits"):  # not too large a change
            await space.create({"n": 1 << 64})
        note = await space.create({"n": 0})
        heads = note.heads
        with pytest.raises(ChangeTooLarge):
            async with note.change() as doc:
                doc["blob"] = os.urandom(CHANGE_BYTES)
        assert note.heads == heads
        for blob in (b"small", os.urandom(CHANGE_BYTES - 1_000)):
            async with note.change() as doc:
                doc["blob"] = blob
        await note.settled()
        assert note._opened.quiet
        bobs = await bob.join(await space.invite(mode="auto"), timeout_s=20)
        copy = await bobs.document(note.id, wait_s=20)
        await until(lambda: copy.heads == note.heads)
        assert copy.doc["blob"] == blob
        assert len(await bobs.documents()) == 1
