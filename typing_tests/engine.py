"""How an application uses the engine, as type checkers see it: checked by `make check`, never run."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

import lichen_crdt
from lichen import Counter, Document, Engine, LichenError, Relay, Role, Space, Text


async def runs_a_relay() -> None:
    async with Relay.open("sqlite:///relay.db") as relay:
        assert_type(relay, Relay)
        assert_type(await relay.listen("ws://127.0.0.1:0"), str)


async def opens() -> None:
    async with Engine.open("sqlite:///notes.db", passphrase="several words") as engine:
        assert_type(engine, Engine)
        assert_type(engine.spaces, list[Space])
        assert_type(engine.derive_secret("search"), bytes)
        await joins(engine, "lichen1")


async def joins(engine: Engine, ticket: str) -> Space:
    try:
        space = await engine.join(ticket, name="Ben", timeout_s=2.5)
    except LichenError as error:
        assert_type(error.hint, str)
        raise
    assert_type(space, Space)
    assert_type(space.role, Role | None)
    return space


async def invites(space: Space) -> None:
    assert_type(await space.invite(role=Role.WRITER, expires=timedelta(days=1), mode="auto"), str)
    await space.invite(mode="never")  # type: ignore[arg-type]


async def writes(space: Space) -> None:
    note = await space.create({"title": "Groceries", "body": Text("milk"), "votes": Counter(0), "items": [{"n": 1}]})
    assert_type(note, Document)
    async with note.change("add eggs") as doc:
        assert_type(doc, lichen_crdt.Document)
        doc.text("body").insert(4, ", eggs")
    with note.change():
        note.doc["done"] = True
    await note.saved()
    await space.create({"title": object()})  # type: ignore[dict-item]


async def listens(note: Document) -> None:
    async for applied in note.events():
        assert_type(applied.local, bool)
        for patch in applied.patches:
            assert_type(patch, lichen_crdt.Patch)
