"""What others have changed shows in lists, also of documents that are not in memory."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from lichen import Engine, Space, Text
from lichen.config import Limits
from lichen.ids import DocId
from lichen.runtime import freshening, rows
from lichen.store import documents
from lichen.testing.waiting import until
from sqlalchemy import Connection

from .conftest import Joined

Shown = Mapping[DocId, tuple[str | None, tuple[bytes, ...]]]


async def shown(space: Space) -> Shown:
    return {one.id: (one.title, one.heads) for one in await space.documents()}


async def listed(space: Space, wanted: Shown) -> None:
    """Return when a list shows these so; of one that is loaded for it nothing tells when that is written."""

    async def holds() -> bool:
        return wanted.items() <= (await shown(space)).items()

    await until(holds)


async def test_what_comes_is_listed_and_not_loaded(joined: Joined) -> None:
    made = [await joined.space.create({"title": f"note {number}", "body": Text("a")}) for number in range(70)]
    bobs = joined.bob.space(joined.space.id)
    wanted = {note.id: (f"note {number}", note.heads) for number, note in enumerate(made)}
    await listed(bobs, wanted)
    assert not any(one.id in wanted for one in joined.bob._documents.all_open())
    async with made[0].change() as doc:
        doc["title"] = "another"
    wanted[made[0].id] = ("another", made[0].heads)
    await listed(bobs, wanted)


async def test_a_document_with_a_snapshot_is_loaded_for_it(tmp_path: Path, joined: Joined) -> None:
    async with Engine.open(f"sqlite:///{tmp_path}/carol.db", limits=Limits(open_documents=1, fold_changes=4)) as carol:
        carols = await carol.join(await joined.space.invite(mode="auto", hints=[joined.address]), timeout_s=20)
        note = await carols.document(joined.note.id, wait_s=20)
        for number in range(8):
            async with note.change() as doc:
                doc["n"] = number
        await carol.settled()
        stored = await asyncio.wrap_future(carol.store.write(lambda conn: documents.load_tail(conn, joined.note.id)))
        assert stored[0] is not None
        here = note.heads
        await until(lambda: joined.note.heads == here)
        del note, doc
        await carols.create({})  # takes its place in memory
        await carol.settled()
        await until(lambda: gc.collect() is not None and joined.note.id not in carol._documents._alive)
        async with joined.note.change() as doc:
            doc["title"] = "another"
        await listed(carols, {joined.note.id: ("another", joined.note.heads)})


async def test_a_large_document_is_read_by_itself(joined: Joined) -> None:
    large = rows.SMALL_TAIL_BYTES
    made = [
        await joined.space.create({"title": f"{size} bytes", "blob": os.urandom(size)})
        for size in (10, large, 2 * large)
    ]
    many = await joined.space.create({"title": "many changes"})
    for number in range(rows.SMALL_TAIL):
        with many.change() as doc:
            doc["n"] = number
    made.append(many)
    await listed(joined.bob.space(joined.space.id), {note.id: (str(note.doc["title"]), note.heads) for note in made})
    ids = [note.id for note in made]
    together = await asyncio.wrap_future(joined.bob.store.write(lambda conn: freshening.write_heads(conn, ids)))
    assert together == {ids[0]}


async def test_a_new_name_is_seen_while_the_card_is_not_in_memory(tmp_path: Path, joined: Joined) -> None:
    bobs = joined.bob.space(joined.space.id)
    await joined.bob.settled()
    joined.bob._documents._recent.clear()
    await until(lambda: gc.collect() is not None and len(joined.bob._documents.all_open()) == 1)
    async with Engine.open(f"sqlite:///{tmp_path}/carol.db") as carol:
        ticket = await joined.space.invite(mode="auto", hints=[joined.address])
        await carol.join(ticket, name="Carol", timeout_s=20)
        await until(lambda: bobs.name_of(carol.device) == "Carol")


async def test_when_they_cannot_be_read_together_they_are_loaded(
    joined: Joined, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_conn: Connection, _docs: object) -> None:
        raise OSError("it cannot be read")

    monkeypatch.setattr(freshening, "write_heads", fails)
    note = await joined.space.create({"title": "new"})
    await listed(joined.bob.space(joined.space.id), {note.id: ("new", note.heads)})


async def test_lists_are_right_after_a_device_has_only_caught_up(tmp_path: Path, joined: Joined) -> None:
    url = f"sqlite:///{tmp_path}/carol.db"
    async with Engine.open(url) as carol:
        await carol.join(await joined.space.invite(mode="auto", hints=[joined.address]), timeout_s=20)
        await until(lambda: carol.up_to_date)
    async with joined.note.change() as doc:
        doc["title"] = "new"
    async with Engine.open(url) as carol:
        await carol.connect(joined.address)
        known = joined.alice.state_of(joined.space.id).known
        await until(lambda: len(carol.state_of(joined.space.id).known) == len(known))
    async with Engine.open(url) as carol:
        there = await shown(carol.space(joined.space.id))
    assert there[joined.note.id] == ("new", joined.note.heads)


async def test_opening_a_document_puts_a_list_right(joined: Joined) -> None:
    await joined.bob.settled()
    joined.bob._documents._recent.clear()
    joined.bob._documents._alive.clear()
    store = joined.bob.store
    await asyncio.wrap_future(store.write(lambda conn: documents.set_heads(conn, joined.note.id, b"", "old", 0)))
    await joined.bob.document(joined.note.id)
    await joined.bob.settled()
    assert (await shown(joined.bob.space(joined.space.id)))[joined.note.id] == (None, joined.note.heads)
