"""A document in a transaction, asked for more by whoever is in that: an error, where it would wait for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from lichen.blocking import Document, timeout
from lichen.errors import EngineMisuse
from lichen_crdt import Undo

from .conftest import Open


def write(note: Document) -> None:
    with note.change() as doc:
        doc["n"] = doc.get("n", 0) + 1


ASKED: list[Callable[[Document], object]] = [
    write,
    lambda note: note.look(len),
    lambda note: note.undo(Undo(note.doc)),
    lambda note: note.redo(Undo(note.doc)),
    Document.settled,
    lambda note: note.engine.settled(),
]


@pytest.mark.parametrize("ask", ASKED)
def test_a_thread_is_told_and_its_block_goes_on(open_engine: Open, ask: Callable[[Document], object]) -> None:
    note = open_engine().create_space("Family").create({"n": 1})
    with timeout(20), note.change() as doc:
        doc["a"] = 1
        with pytest.raises(EngineMisuse, match="it would wait for itself"):
            ask(note)
        doc["b"] = 2
    assert note.doc.to_py() == {"n": 1, "a": 1, "b": 2}
    write(note)
    assert note.doc["n"] == 2


def test_a_task_is_told_and_others_wait_for_their_turn(open_engine: Open) -> None:
    engine = open_engine()
    note = engine.create_space("Family").create({"n": 1})
    handle = note.asynchronous

    async def write_in_task() -> None:
        async with handle.change() as doc:
            doc["n"] = doc["n"] + 1

    async def nested() -> None:
        async with handle.change() as doc, asyncio.TaskGroup() as group:
            doc["a"] = 1
            with pytest.raises(EngineMisuse, match="it would wait for itself"):
                await write_in_task()
            with pytest.raises(EngineMisuse, match="it would wait for itself"):
                await handle.look(len)
            with pytest.raises(EngineMisuse, match="it would wait for itself"):
                await handle.settled()
            with pytest.raises(EngineMisuse, match="it would wait for itself"):
                await engine.asynchronous.settled()
            others.append(asyncio.create_task(write_in_task()))
            group.create_task(asyncio.sleep(0))
        await others[0]

    others = list[asyncio.Task[None]]()
    with timeout(20), ThreadPoolExecutor() as pool:
        engine.run(nested)
        with note.change() as doc:
            elsewhere = pool.submit(write, note)
            doc["b"] = 2
        elsewhere.result(20)
    assert note.doc.to_py() == {"n": 3, "a": 1, "b": 2}
