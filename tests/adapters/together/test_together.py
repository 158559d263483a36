"""Two people type into one text at once, each on a device of their own, and in windows of two toolkits."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from lichen import Engine, Text
from lichen.testing.display import Display
from lichen.testing.waiting import until
from together_page import typing_page
from together_person import MARKS

HERE = Path(__file__).parent
EDITS = 500
BEGUN = "A list:\n"


class Typing(Protocol):
    """A person before a window."""

    async def tell(self) -> dict[str, Any]:
        """What it shows, and whether the person is done; the first time they begin to type."""


@dataclass
class Program:
    """A window in a process of its own, as `Typing`."""

    process: asyncio.subprocess.Process

    async def told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, "the window closed"
        found: dict[str, Any] = json.loads(line)
        return found

    async def tell(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(b"tell\n")
        return await self.told()


@contextlib.asynccontextmanager
async def program(toolkit: str, store: Path, ticket: str, which: int) -> AsyncIterator[Program]:
    pipe = asyncio.subprocess.PIPE
    command = (str(HERE / f"{toolkit}_window.py"), str(store), ticket, str(which), str(EDITS))
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=pipe, stdout=pipe, limit=2**22)
    try:
        started = Program(process)
        assert await started.told() == {"ready": True}
        yield started
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
    assert process.returncode == 0


def window(toolkit: str, store: Path, ticket: str, which: int) -> AbstractAsyncContextManager[Typing]:
    """A device of its own, which shows the note in a window."""
    if toolkit == "page":
        return typing_page(store, ticket, which, EDITS)
    return program(toolkit, store, ticket, which)


@pytest.mark.browser
@pytest.mark.parametrize("toolkits", [*itertools.combinations(("qt", "tk", "page"), 2)], ids="-".join)
async def test_two_people_type_in_windows_of_two_toolkits(
    tmp_path: Path, display: Display, toolkits: tuple[str, str]
) -> None:
    async with Engine.open(f"sqlite:///{tmp_path}/home.db") as engine, contextlib.AsyncExitStack() as windows:
        address = await engine.listen("ws://127.0.0.1:0")
        space = await engine.create_space("Home")
        note = await space.create({"title": "Notes", "body": Text(BEGUN)})
        pair = []
        for which, toolkit in enumerate(toolkits):
            ticket = await space.invite(mode="auto", hints=[address])
            pair.append(await windows.enter_async_context(window(toolkit, tmp_path / f"{which}.db", ticket, which)))
        async with asyncio.timeout(100), contextlib.aclosing(note.events()) as events:
            for one in pair:
                await one.tell()
            while not set(MARKS) <= set(str(note.doc["body"])):
                await anext(events)
        shown: list[dict[str, Any]] = []

        async def level() -> bool:
            shown[:] = [await one.tell() for one in pair]
            texts = {str(note.doc["body"]), *(one["text"] for one in shown)}
            return len(texts) == 1 and all(one["done"] for one in shown)

        await until(level)
    text = shown[0]["text"]
    expected = Counter(BEGUN) + Counter(shown[0]["balance"]) + Counter(shown[1]["balance"])
    assert Counter(text) == expected, "no character is lost or doubled"
    assert all(one["here"] for one in shown), "the cursors are where they were left"
