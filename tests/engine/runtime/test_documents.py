"""Documents leave memory and come back within one process."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

from lichen import Engine
from lichen.config import Limits
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
