"""Ends at any point: what was begun is whole, nobody waits for an engine that is closed, and nothing stays open."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from lichen import Engine
from lichen.errors import StoreError
from lichen.ids import DocId
from lichen.testing.waiting import until


@contextlib.contextmanager
def held(engine: Engine) -> Iterator[None]:
    """Its store writes nothing meanwhile."""
    go_on = threading.Event()
    engine.store.write_soon(lambda _conn: go_on.wait(20), lambda *_: None)
    try:
        yield
    finally:
        go_on.set()


async def test_what_was_made_while_its_maker_gave_up_is_there(tmp_path: Path) -> None:
    """It is on disk: a space or a document that only the next start would know of could not be told from a lost one."""
    async with Engine.open(f"sqlite:///{tmp_path}/a.db") as engine:
        space = await engine.create_space("Family")
        await engine.settled()
        with held(engine):
            given_up = [
                asyncio.create_task(making) for making in (engine.create_space("Friends"), space.create({"n": 1}))
            ]
            await asyncio.sleep(0)
            for task in given_up:
                task.cancel()
            await asyncio.wait(given_up)
            assert all(task.cancelled() for task in given_up)
        await until(lambda: len(engine.spaces) == 2)
        await until(lambda: len(engine._state(space.id).known) == 2)  # sealed: the card, and the document
        assert sorted(one.name for one in engine.spaces) == ["Family", "Friends"]


async def test_nobody_waits_for_an_engine_that_is_closed(tmp_path: Path) -> None:
    async with Engine.open(f"sqlite:///{tmp_path}/a.db") as engine:
        space = await engine.create_space("Family")
        note = await space.create({"n": 1})

        async def read_all() -> list[object]:
            return [event async for event in note.events()]

        waiting = asyncio.create_task(space.document(DocId(b"never" + bytes(11)), wait_s=600))
        reading = asyncio.create_task(read_all())
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        with pytest.raises(StoreError, match="closed"):
            await waiting
        await reading
        assert [event async for event in engine.events()] == []
        assert [event async for event in note.events()] == []


async def test_an_engine_that_is_cancelled_while_it_closes_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Engine] = []

    async def run() -> None:
        async with Engine.open(f"sqlite:///{tmp_path}/a.db") as engine:
            await engine.listen("memory://ending")
            opened.append(engine)
            await asyncio.Event().wait()

    closing = asyncio.Event()

    async def never() -> None:
        closing.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(run())
    await until(lambda: opened)
    monkeypatch.setattr(opened[0]._documents, "settle", never)
    running.cancel()
    await closing.wait()
    running.cancel()
    await asyncio.wait([running])
    async with Engine.open(f"sqlite:///{tmp_path}/a.db") as engine:
        await engine.listen("memory://ending")
