"""Pages that edit one text, over paths that delay, break and lose: nothing is lost or doubled, and all show the same.

The pages are the module itself, in Node; the program's end is what serves websockets.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from asgi_page import Line, NodePage, node_page
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen import Document, Engine, Text
from lichen.api.document import Transaction
from lichen.errors import AccessDenied
from lichen.testing.waiting import until
from lichen_adapters.asgi.pages import Pages
from lichen_adapters.text.delta import Delta, Splice, changed, compose, delta_of, transform
from lichen_crdt import to_utf16, utf16_length

ALPHABET = [*"aeiou", "\u0301", "é", "😀", "👍", "א", "ב", "ع", "\u200d", "\n"]

START = "BCDF\rG😎"


class Letters:
    """Characters of many kinds, no two alike: so each can be known again."""

    def __init__(self) -> None:
        self._left = iter(ALPHABET)
        self._numbers = count()

    def some(self, most: int, chance: random.Random) -> str:
        return "".join(next(self._left, "") or self._another() for _ in range(chance.randint(0, most)))

    def _another(self) -> str:
        number = next(self._numbers)
        return chr((0x4E00, 0x1F300, 0x0710, 0x0310)[number % 4] + number // 4)


class World:
    """One note, and pages that edit it."""

    def __init__(self, note: Document, lines: list[Line], chance: random.Random) -> None:
        self.note = note
        self.lines = lines
        self.chance = chance
        self.letters = Letters()
        self.kept: set[str] = set(START)
        self.gone: set[str] = set()

    async def step(self, kinds: str) -> None:
        """Something happens somewhere."""
        line, page = (found := self.chance.choice(self.lines)), found.page
        match self.chance.choice(kinds):
            case "t" if not page.read_only:
                await self._type(page)
            case "p":
                line.to_program()
            case "h":
                await line.to_page()
            case "l" if page.open:
                await line.lose()
            case "o" if not page.open:
                await line.open()
            case "w":
                await self._write()
            case "c":
                await page.do("compose", kind=self.chance.choice(["compositionstart", "compositionend"]))
            case "u" if not page.read_only:
                await page.do(self.chance.choice(["undo", "redo"]))
        for _ in range(self.chance.randint(0, 3)):
            await asyncio.sleep(0)

    def _splice(self, text: str) -> tuple[int, int, str]:
        at = self.chance.randint(0, len(text))
        removed = self.chance.randint(0, min(3, len(text) - at)) if self.chance.random() < 0.5 else 0
        inserted = self.letters.some(3, self.chance)
        self.gone |= set(text[at : at + removed])
        self.kept |= set(inserted)
        return at, removed, inserted

    async def _type(self, page: NodePage) -> None:
        text = page.value.replace("\u2063", "\r")
        at, removed, inserted = self._splice(text)
        start, end = to_utf16(text, at), to_utf16(text, at + removed)
        await page.do("type", at=start, gone=end - start, come=inserted)

    async def _write(self) -> None:
        async with self.note.change() as doc:
            text = doc.text("body")
            text.splice(*self._splice(str(text)))

    async def settle(self) -> str:
        """Until nothing is on its way; the text that all show."""
        for line in self.lines:
            await line.page.do("compose", kind="compositionend")
            if not line.page.open:
                await line.open()
        try:
            await until(self._at_rest)
        except TimeoutError:
            shown = [(line.page.value, line.page.saved, line.page.open, line.socket.closed) for line in self.lines]
            raise AssertionError(f"not one text: {shown}, and {self.note.doc['body']!s}") from None
        return str(self.note.doc["body"])

    async def _at_rest(self) -> bool:
        """Let all through; whether nothing is left, and all show the same."""
        for line in self.lines:
            while line.to_program() or await line.to_page():
                pass
        text = str(self.note.doc["body"])
        return all(
            line.page.saved and not line.page.sent and line.page.value.replace("\u2063", "\r") == text
            for line in self.lines
        )


class Program:
    """As much of a program as pages need here: an engine with a note."""

    sessions: Any = None

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.note: Document | None = None
        self.pages = Pages(self)
        self.pages.texts.add(self.notes)

    def notes(self) -> tuple[Document, tuple[str]]:
        """The text that is served."""
        assert self.note is not None
        return self.note, ("body",)

    async def world(self, pages: list[NodePage], chance: random.Random) -> World:
        """A new note, with the pages on it."""
        space = self.engine.spaces[0]
        self.note = await space.create({"body": Text(START)})
        for page in pages:
            page.sent.clear()
            page.open = False
            await page.do("begin")
        return World(self.note, [Line(page, self.pages) for page in pages], chance)


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    async with Engine.open(f"sqlite:///{tmp_path}/ann.db") as engine:
        await engine.create_space("Family")
        yield Program(engine)


async def live(
    program: Program, kinds: str, seeds: range, errors: frozenset[str] = frozenset()
) -> AsyncIterator[tuple[World, str]]:
    """Worlds of two pages each, after all has come to rest; the pages may be told such errors."""
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(node_page()) for _ in range(2)]
        for seed in seeds:
            world = await program.world(pages, random.Random(seed))
            for line in world.lines:
                await line.open()
            for _ in range(80):
                await world.step(kinds)
            yield world, await world.settle()
            assert {error["type"] for page in pages for error in page.failed} <= errors, seed
            for line in world.lines:
                await line.end()


async def test_pages_come_to_one_text_and_nothing_is_lost_or_doubled(program: Program) -> None:
    async for world, text in live(program, "ttttttppphhhhwloo", range(25)):
        assert sorted(text) == sorted(world.kept - world.gone)


async def test_undo_and_input_methods_part_no_page_from_another(program: Program) -> None:
    async for _ in live(program, "tttuuppphhhhwloocc", range(100, 125)):
        pass


async def test_a_refused_edit_is_taken_back_and_what_is_typed_later_is_kept(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, chance = Document.change, random.Random(0)
    refused = 0

    def sometimes(note: Document, message: str | None = None) -> Transaction:
        nonlocal refused
        if message and chance.random() < 0.4:
            refused += 1
            raise AccessDenied("this device may only read")
        return change(note, message)

    monkeypatch.setattr(Document, "change", sometimes)
    async for _ in live(program, "tttuuppphhhhwloocc", range(1000, 1040), frozenset({"AccessDenied"})):
        pass
    assert refused > 10


async def test_an_edit_that_came_before_the_end_is_made(program: Program) -> None:
    async with node_page() as page:
        world = await program.world([page], random.Random(0))
        (line,) = world.lines
        await line.open()
        while not await line.to_page():
            line.to_program()
            await asyncio.sleep(0)
        await page.do("type", at=0, gone=0, come="oat ")
        async with world.note.change():  # for which the edit waits
            while line.to_program():
                pass
            for _ in range(3):
                line.socket.coming.put_nowait('{"do": "end", "id": 1}')
            for _ in range(50):
                await asyncio.sleep(0)
        await until(lambda: not program.pages._serving)
        assert str(world.note.doc["body"]) == "oat " + START
        await line.end()


texts = st.text("abc\u0301é😀👨אב\n", max_size=8)


@st.composite
def deltas(draw: st.DrawFn, text: str) -> Delta:
    steps: list[Splice] = []
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        made = Splice(at, draw(st.integers(0, len(text) - at)), draw(texts))
        text = changed(text, made.delta)
        steps.append(made)
    return delta_of(steps)


async def test_the_module_does_the_same_with_deltas_as_the_program(program: Program) -> None:
    cases: list[tuple[str, Delta, Delta, Delta]] = []

    @settings(max_examples=300, database=None)
    @given(st.data())
    def gather(data: st.DataObject) -> None:
        text = data.draw(texts)
        one, other = data.draw(deltas(text)), data.draw(deltas(text))
        cases.append((text, one, other, data.draw(deltas(changed(text, one)))))

    gather()
    async with node_page() as page:
        for text, one, other, then in cases:
            await page.do("deltas", text=text, one=one, other=other, then=then)
            ours = {
                "transform": [list(delta) for delta in transform(one, other)],
                "compose": list(compose(one, then)),
                "apply": changed(text, one),
                "back": text,
            }
            assert page.deltas == ours, (text, one, other, then)
            after = changed(text, one)
            await page.do("difference", before=text, after=after, caret=utf16_length(after) // 2)
            assert page.deltas == after
