"""Folding a document's tail into a snapshot, while the document goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from lichen import Engine
from lichen.core.effects import AcceptedSet
from lichen.crypto.sealing import open_set
from lichen.runtime.folding import load_snapshot
from lichen.store import change_sets, membership
from lichen.wire.changeset import ChangeSet
from lichen_crdt import Document, InvalidDocument, Text
from sqlalchemy import Connection


def sets_of(conn: Connection, space: bytes) -> tuple[list[ChangeSet], dict[bytes, bytes]]:
    numbers = [num for num, *_ in change_sets.scan(conn, space, 0)]
    found = [ChangeSet.decode(body) for body in change_sets.bodies(conn, numbers)]
    return found, membership.load_epoch_keys(conn, space)


async def test_what_came_in_while_a_snapshot_was_made_is_applied(tmp_path: Path) -> None:
    """Also when nothing comes in after it: this is how the last keystrokes of another device stayed unseen."""
    async with Engine.open(f"sqlite:///{tmp_path / 'notes.db'}") as engine:
        space = await engine.create_space("Family")
        note = await space.create({"n": 0})
        async with note.change() as doc:
            doc["n"] = 1
        opened = note._opened
        await opened.settled()
        sealed, keys = await asyncio.wrap_future(engine.store.read(lambda conn: sets_of(conn, space.id)))
        newest = max((one for one in sealed if one.header.doc == note.id), key=lambda one: one.header.seq)
        changes = tuple(open_set(newest, keys[newest.header.epoch]))
        current, opened.crdt = opened.crdt, Document()
        opened.crdt.apply_changes([change for change in current.changes() if change not in changes])
        assert opened.crdt["n"] == 0

        folding = asyncio.create_task(opened.fold())
        while not opened.turn.locked():
            await asyncio.sleep(0)
        opened.take([AcceptedSet(newest, changes, None)])
        assert opened.crdt["n"] == 0
        await folding
        await opened.settled()
        assert opened.crdt["n"] == 1


def test_a_document_larger_than_any_that_is_loaded_of_strangers_is_loaded_from_its_own_snapshot() -> None:
    doc = Document()
    with doc.change():
        doc["body"] = Text("x" * 4_200_000)
    snapshot = doc.save()
    with pytest.raises(InvalidDocument):
        Document.load(snapshot)
    assert load_snapshot(snapshot).heads == doc.heads
