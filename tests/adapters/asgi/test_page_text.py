"""A page's text at the document's end: on disk before it is told, taken once, refused in words, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from lichen import Document, Engine, Role, Text
from lichen.errors import LimitExceeded, NotFound, StoreFull
from lichen.testing.waiting import until
from lichen_adapters.asgi import page_text
from lichen_adapters.asgi.errors import BadFrame, TooSlow
from lichen_adapters.asgi.page_text import Known, PageText

CLIENT = "0123456789abcdef"


@pytest.fixture
async def note(tmp_path: Path) -> AsyncIterator[Document]:
    async with Engine.open(f"sqlite:///{tmp_path}/ann.db") as engine:
        space = await engine.create_space("Family")
        yield await space.create({"body": Text("milk"), "title": "Notes"})


class Page:
    """Reads what a page is told."""

    def __init__(self, note: Document, heads: list[str] | None = None, flying: int = 0, path: str = "body") -> None:
        known = Known(CLIENT, tuple(map(bytes.fromhex, heads or ())), flying)
        self.text = PageText(note, (path,), known, b"secret")
        self._messages = self.text.messages()
        self.heads: list[str] = []

    async def told(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            message = await anext(self._messages)
        self.heads = message.pop("heads")
        return message

    async def close(self) -> None:
        await self._messages.aclose()


async def write(note: Document, text: str, at: int = 0) -> None:
    async with note.change() as doc:
        doc["body"].insert(at, text)


async def test_a_page_is_told_the_text_and_every_change_of_it(note: Document) -> None:
    page = Page(note)
    assert await page.told() == {"opened": {"text": "milk", "taken": False}, "writable": True, "version": 0}
    await write(note, "oat ")
    async with note.change() as doc:
        doc["title"] = "Other"
    await write(note, "!", 8)
    assert await page.told() == {"changed": ("oat ",), "version": 1}
    assert await page.told() == {"changed": (8, "!"), "version": 2}
    assert page.heads == [head.hex() for head in note.heads]
    await page.close()


async def test_an_edit_is_moved_past_what_the_page_had_not_seen(note: Document) -> None:
    page = Page(note)
    await page.told()
    await write(note, "oat ")
    await page.text.write(1, 0, [4, ", eggs"])
    assert str(note.doc["body"]) == "oat milk, eggs"
    assert await page.told() == {"changed": ("oat ",), "version": 1}
    assert await page.told() == {"taken": 1, "version": 1}
    await page.close()


async def test_a_page_hears_of_nothing_that_is_not_on_disk(note: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(note)
    await page.told()
    asked, disk = list[Document](), asyncio.Event()
    saved = type(note).saved

    async def slowly(note: Document) -> None:
        asked.append(note)
        await disk.wait()
        await saved(note)

    monkeypatch.setattr(type(note), "saved", slowly)
    with note.change() as doc:
        doc["body"].append("!")
    waiting = asyncio.create_task(page.told())
    await until(lambda: asked or waiting.done())
    assert not waiting.done()
    disk.set()
    assert (await waiting)["changed"] == (4, "!")
    await page.close()


async def test_who_comes_back_is_told_what_it_missed(note: Document) -> None:
    page = Page(note)
    await page.told()
    await page.close()
    await write(note, "oat ")
    again = Page(note, page.heads, flying=1)
    assert (await again.told())["opened"] == {"steps": [("oat ",)], "taken": False}
    await again.text.write(1, 0, [8, "!"])
    await again.close()
    await write(note, "?", 9)
    last = Page(note, again.heads, flying=1)
    assert (await last.told())["opened"] == {"steps": [(), (8, "!"), (9, "?")], "taken": True}
    await last.close()


async def test_a_message_that_another_device_made_up_takes_no_edit(note: Document) -> None:
    page = Page(note)
    await page.told()
    tag = page.text._tag(1)
    other = PageText(note, ("body",), Known(CLIENT), b"another secret")._tag(1)
    assert tag != other
    async with note.change(other) as doc:
        doc["body"].append("!")
    again = Page(note, page.heads, flying=1)
    assert not (await again.told())["opened"]["taken"]
    for one in (page, again):
        await one.close()


@pytest.mark.parametrize("heads", [["00" * 32], ["00"], []])
async def test_who_knows_what_is_not_here_is_told_all(note: Document, heads: list[str]) -> None:
    page = Page(note, heads, flying=3)
    assert (await page.told())["opened"] == {"text": "milk", "taken": False}
    await page.close()


async def test_a_text_in_place_of_another_is_told_as_a_whole_or_its_difference(note: Document) -> None:
    page = Page(note)
    await page.told()
    heads = page.heads
    async with note.change() as doc:
        doc["body"] = Text("silk")
    assert (await page.told())["changed"] == ("s", -1)
    again = Page(note, heads)
    assert (await again.told())["opened"] == {"text": "silk", "taken": False}
    async with note.change() as doc:
        del doc["body"]
    assert (await page.told())["changed"] == (-4,)
    await page.text.write(1, 2, ["x"])
    refused = await page.told()
    assert (refused["refused"], refused["text"], refused["error"]["type"]) == (1, "", "NotFound")
    for one in (page, again):
        await one.close()


NO_STEPS: list[object] = [None, {}, [0], [""], [1.0], [True], [None], [5], [2, -3], ["\ud83d"], [[]], [10**30]]


async def test_an_edit_that_is_none_changes_nothing(note: Document) -> None:
    page = Page(note)
    await page.told()
    heads = note.heads
    for steps in (*NO_STEPS, ["x"] * 65_537):
        with pytest.raises(BadFrame):
            await page.text.write(1, 0, steps)
    assert note.heads == heads
    await page.close()


async def test_numbers_and_versions_that_cannot_be_are_refused(note: Document) -> None:
    page = Page(note)
    await page.told()
    await write(note, "oat ")
    await page.text.write(1, 1, [8, "!"])
    for number, seen in ((1, 1), (2, 2), (2, 0)):
        with pytest.raises(BadFrame):
            await page.text.write(number, seen, [1, "x"])
    with pytest.raises(BadFrame):
        page.text.saw(7)
    assert str(note.doc["body"]) == "oat milk!"
    await page.close()


async def test_a_page_that_does_not_read_is_let_go(note: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_text, "WAITING", 3)
    page = Page(note)
    await page.told()
    for _ in range(9):
        await write(note, "x")
    with pytest.raises(TooSlow):
        await page.text.write(1, 0, ["y"])
    with pytest.raises(TooSlow):
        await page.told()
    assert "y" not in str(note.doc["body"])


async def test_a_page_that_holds_back_more_than_can_be_kept_for_it_is_let_go(
    note: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_text, "UNSEEN", 3)
    page = Page(note)
    await page.told()
    for _ in range(3):
        await write(note, "x")
        await page.told()
    await write(note, "x")
    with pytest.raises(TooSlow):
        await page.told()


async def test_what_a_page_has_seen_is_forgotten(note: Document) -> None:
    page = Page(note)
    await page.told()
    for version in range(1, 20):
        await write(note, "x")
        await page.told()
        page.text.saw(version)
    count, characters = page.text._held.waits
    assert count <= 2
    assert 0 <= characters < 40
    await page.close()


async def test_a_text_that_is_not_there_or_too_long_is_refused(note: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="no text at title"):
        await Page(note, path="title").told()
    monkeypatch.setattr(page_text, "TEXT_CHARACTERS", 3)
    with pytest.raises(LimitExceeded, match="4 characters"):
        await Page(note).told()


async def test_no_page_makes_a_text_too_long_for_pages(note: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(note)
    await page.told()
    monkeypatch.setattr(page_text, "TEXT_CHARACTERS", 5)
    await page.text.write(1, 0, ["xy"])
    refused = await page.told()
    assert (refused["refused"], refused["text"], refused["error"]["type"]) == (1, "milk", "LimitExceeded")
    await page.text.write(2, 0, ["x"])
    assert (await page.told())["taken"] == 2
    monkeypatch.setattr(page_text, "TEXT_CHARACTERS", 3)
    await page.text.write(3, 0, [-2, "X"])  # which makes it shorter
    assert (await page.told())["taken"] == 3
    await page.close()


async def test_a_reader_s_page_takes_nothing(tmp_path: Path, note: Document) -> None:
    await note._engine.listen(f"memory://{tmp_path.name}")
    ticket = await note._engine.space(note.space).invite(mode="auto", role=Role.READER)
    async with Engine.open(f"sqlite:///{tmp_path}/ben.db") as ben:
        copy = await (await ben.join(ticket)).document(note.id, wait_s=20)
        page = Page(copy)
        assert (await page.told())["writable"] is False
        await page.text.write(1, 0, ["x"])
        refused = await page.told()
        assert (refused["text"], refused["error"]["type"]) == ("milk", "AccessDenied")
        await page.close()


async def test_a_right_that_is_lost_or_gained_is_told(note: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(note)
    page.text.access_changed()
    await page.told()
    monkeypatch.setattr(note._engine, "may_write", lambda _space: False)
    page.text.access_changed()
    page.text.access_changed()
    assert await page.told() == {"writable": False, "version": 0}
    monkeypatch.undo()
    page.text.access_changed()
    assert await page.told() == {"writable": True, "version": 0}
    await page.close()


async def test_a_space_that_leaves_is_told_as_that_and_stops_nobody_who_watches_rights(note: Document) -> None:
    page = Page(note)
    await page.told()
    await note._engine.leave(note.space)
    page.text.access_changed()
    with pytest.raises(NotFound, match="has left"):
        await page.told()
    await page.close()


async def test_a_document_that_can_be_saved_no_longer_ends_its_page(note: Document) -> None:
    page = Page(note)
    await page.told()
    waiting = asyncio.create_task(page.told())
    await asyncio.sleep(0)
    note._opened.fail(StoreFull("no space is left"))
    with pytest.raises(StoreFull):
        await waiting
    with pytest.raises(StoreFull):
        await page.text.write(1, 0, ["x"])
