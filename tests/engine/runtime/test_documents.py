"""Documents leave memory and come back within one process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lichen import Engine, Space
from lichen.api.events import DocumentChanged
from lichen.config import Limits
from lichen.core.effects import TellSpace
from lichen.errors import NotFound
from lichen.ids import DocId, Session
from lichen.runtime import rows
from lichen.testing.waiting import until
from sqlalchemy import Connection


def sealed(conn: Connection) -> list[tuple[bytes, bytes, int]]:
    return [tuple(row) for row in conn.exec_driver_sql("SELECT doc, session, seq FROM lichen_change_sets").all()]


async def test_a_document_that_left_memory_goes_on_with_its_session(tmp_path: Path) -> None:
    """Two change sets with one number of one session are a split, which other devices refuse."""
    async with Engine.open(f"sqlite:///{tmp_path / 'notes.db'}", limits=Limits(open_documents=1)) as engine:
        space = await engine.create_space("Family")
        note_id = (await space.create({"n": 0})).id
        for number in range(1, 4):
            await space.create({"another": number})  # takes its place in memory
            await engine._documents.settle()
            await until(lambda: gc.collect() is not None and note_id not in engine._documents._alive)
            note = await space.document(note_id)
            async with note.change() as doc:
                doc["n"] = number
            await engine._documents.settle()
            del note, doc
        numbers = [seq for doc, _, seq in await asyncio.wrap_future(engine.store.read(sealed)) if doc == note_id]
    assert numbers == [1, 2, 3, 4]


@contextlib.asynccontextmanager
async def one_in_memory(tmp_path: Path) -> AsyncIterator[tuple[Engine, Space]]:
    async with Engine.open(f"sqlite:///{tmp_path / 'notes.db'}", limits=Limits(open_documents=1)) as engine:
        yield engine, await engine.create_space("Family")


async def leave_memory(engine: Engine, space: Space, note_id: DocId) -> None:
    await space.create({"another": 1})  # takes its place in memory
    await engine.settled()
    await until(lambda: gc.collect() is not None and note_id not in engine._documents._alive)


async def test_who_gives_up_loading_a_document_leaves_the_others_waiting_for_it(tmp_path: Path) -> None:
    async with one_in_memory(tmp_path) as (engine, space):
        note_id = (await space.create({"n": 0})).id
        await leave_memory(engine, space, note_id)
        go_on = threading.Event()
        engine.store.write_soon(lambda _conn: go_on.wait(20), lambda *_: None)
        first, second = (asyncio.create_task(space.document(note_id)) for _ in range(2))
        await until(lambda: note_id in engine._documents._loading)
        first.cancel()
        await asyncio.wait([first])
        go_on.set()
        assert (await second).doc["n"] == 0


async def test_what_a_device_could_not_seal_is_sealed_later_also_when_it_has_left_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_in_memory(tmp_path) as (engine, space):
        ready = engine.sealer.ready
        monkeypatch.setattr(engine.sealer, "ready", lambda _space: False)
        note_id = (await space.create({"n": 0})).id
        await leave_memory(engine, space, note_id)
        assert await engine.count_sets(note_id) == 0
        monkeypatch.setattr(engine.sealer, "ready", ready)
        engine.tell(TellSpace(space.id))
        await until(lambda: any(known.doc == note_id for known in engine.state_of(space.id).known.values()))


async def test_a_change_that_comes_while_its_document_cannot_be_loaded_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Engine.open(f"sqlite:///{tmp_path}/alice.db") as alice,
        one_in_memory(tmp_path) as (bob, other),
    ):
        await alice.listen("memory://in-vain")
        space = await alice.create_space("Family")
        note = await space.create({"n": 0})
        bobs = await bob.join(await space.invite(mode="auto"), timeout_s=20)
        note_id = (await bobs.document(note.id, wait_s=20)).id
        await leave_memory(bob, other, note_id)
        load, go_on, failed = rows.load_document, threading.Event(), list[DocId]()

        def not_found_at_first(conn: Connection, doc: DocId, session: Session) -> rows.StoredDocument | None:
            if failed:
                return load(conn, doc, session)
            failed.append(doc)
            go_on.wait(20)
            return None

        monkeypatch.setattr(rows, "load_document", not_found_at_first)
        asking = asyncio.create_task(bobs.document(note_id))
        await until(lambda: failed)
        async with note.change() as doc:
            doc["n"] = 1
        await until(lambda: bob._documents._late)
        async with contextlib.aclosing(bob.events()) as events:
            go_on.set()
            with pytest.raises(NotFound):
                await asking
            async with asyncio.timeout(20):
                while not isinstance(event := await anext(events), DocumentChanged) or event.doc != note_id:
                    pass
        await bob.settled()
        assert (await bobs.documents())[0].heads == note.heads
