"""The driver when the store fails under what a link waits for: the link ends, and the next one goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lichen import Engine, Text
from lichen.errors import StoreError
from lichen.runtime import rows
from lichen.testing.waiting import until


def failing_twice(job: Callable[..., Any], failed: list[str]) -> Callable[..., Any]:
    """A job of the store that fails the first two times."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        if len(failed) < 2:
            failed.append(job.__name__)
            raise StoreError("a page cannot be read")
        return job(*args, **kwargs)

    return fail


@pytest.mark.parametrize("job", ["plan_catch_up", "bodies", "read_cursor", "store_cursor"])
async def test_a_link_whose_store_failed_is_followed_by_one_that_brings_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    async with (
        Engine.open(f"sqlite:///{tmp_path}/alice.db") as alice,
        Engine.open(f"sqlite:///{tmp_path}/bob.db") as bob,
    ):
        address = await alice.listen(f"memory://failing-{job}")
        space = await alice.create_space("Family")
        note = await space.create({"body": Text("")})
        bobs = await bob.join(await space.invite(mode="auto"), timeout_s=20)
        copy = await bobs.document(note.id, wait_s=20)
        bob.connections[0].close()
        await until(lambda: not alice._driver.links)
        writer, apart = (bob, copy) if job == "store_cursor" else (alice, note)
        async with apart.change() as doc:
            doc["body"].insert(0, "while nobody listened")
        await until(lambda: not any(state.unreported for state in writer._node.state.spaces.values()))
        failed: list[str] = []
        monkeypatch.setattr(rows, job, failing_twice(getattr(rows, job), failed))
        await bob.connect(address)
        async with asyncio.timeout(20):
            await until(lambda: len(failed) == 2 and copy.heads == note.heads and bob.up_to_date)
            async with note.change() as doc:
                doc["body"].insert(0, "live, ")
            await until(lambda: copy.heads == note.heads and bob.up_to_date)
