"""An engine that is used on another event loop than its own: an error at once, and nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from lichen import Document, Engine, Space
from lichen.errors import EngineMisuse

USES: dict[str, Callable[[Engine, Space, Document], Awaitable[object]]] = {
    "create_space": lambda engine, *_: engine.create_space("Work"),
    "open_space": lambda engine, *_: engine.open_space("Work", "lichen1"),
    "connect": lambda engine, *_: engine.connect("memory://nobody"),
    "listen": lambda engine, *_: engine.listen("memory://here"),
    "create": lambda _, space, __: space.create({"a": 1}),
    "documents": lambda _, space, __: space.documents(),
    "document": lambda engine, _, note: engine.document(note.id),
    "leave": lambda _, space, __: space.leave(),
    "change": lambda *given: _write(given[2]),
}


async def _write(note: Document) -> None:
    async with note.change() as doc:
        doc["n"] = 2


async def test_another_loop_is_told(tmp_path: Path) -> None:
    async with Engine.open(f"sqlite:///{tmp_path / 'device.db'}") as engine:
        space = await engine.create_space("Home")
        note = await space.create({"n": 1})
        for use in USES.values():

            async def elsewhere(use: Callable[..., Awaitable[object]] = use) -> None:
                await use(engine, space, note)

            with pytest.raises(EngineMisuse, match="another event loop"):
                await asyncio.to_thread(asyncio.run, elsewhere())
        assert [one.name for one in engine.spaces] == ["Home"]
        assert note.doc["n"] == 1
        await _write(note)
