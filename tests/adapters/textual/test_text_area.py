"""A text area that shows a synced text: with the keys of a terminal, and what others write meanwhile."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from lichen import Document, Engine, Role, Text, blocking
from lichen.errors import AccessDenied, ConfigError, EngineMisuse, NotFound
from lichen_adapters.textual import SyncedTextArea
from showing import Showing, until
from textual import events
from textual.pilot import Pilot
from textual.widgets.text_area import Selection


@pytest.fixture
async def note(engine: Engine) -> Document:
    return await (await engine.create_space("Family")).create({"body": Text("oat 😀 milk\nbread"), "n": 0})


@asynccontextmanager
async def shown(note: Document, **options: object) -> AsyncIterator[tuple[SyncedTextArea, Pilot[None]]]:
    """Two of the same text; the first has the focus."""
    app = Showing(lambda: SyncedTextArea(note, ("body",), **options), lambda: SyncedTextArea(note, ("body",)))
    async with app.run_test() as pilot:
        area = app.query(SyncedTextArea).first()
        area.focus()
        await pilot.pause()
        yield area, pilot


async def level(area: SyncedTextArea, pilot: Pilot[None]) -> str:
    """What both text areas and the document show, once that is the same."""
    areas = list(pilot.app.query(SyncedTextArea))

    def holds() -> bool:
        texts = {one.binding.text for one in areas} | {str(area._note.doc["body"])}
        return all(one.binding.saved for one in areas) and len(texts) == 1

    await until(pilot, holds)
    assert {one.text for one in areas} == {area.text}
    assert all(one._shown == one.document.text for one in areas)
    return area.binding.text


async def test_what_keys_do_is_in_the_document(note: Document) -> None:
    async with shown(note) as (area, pilot):
        assert area.text == "oat 😀 milk\nbread"
        area.move_cursor((0, 4))
        await pilot.press("n", "i", "c", "e", "space", "right", "backspace", "right", "enter")
        assert await level(area, pilot) == "oat nice  \nmilk\nbread"
        area.move_cursor((2, 5))
        await pilot.press("x", "shift+left", "shift+left", "y", "home", "delete", "end", "ctrl+w")
        assert await level(area, pilot) == "oat nice  \nmilk\n"
        pilot.app.post_message(events.Paste("אבג 👨‍👩‍👧 e\u0301\r\nand\rmore"))
        await until(pilot, lambda: area.text.endswith("more"))
        assert await level(area, pilot) == "oat nice  \nmilk\nאבג 👨‍👩‍👧 e\u0301\nand\nmore"
        await pilot.press("f7", "ctrl+x")
        await until(pilot, lambda: not area.text)
        assert await level(area, pilot) == ""


async def test_what_the_program_does_with_it_is_in_the_document(note: Document) -> None:
    async with shown(note) as (area, pilot):
        area.insert("!", area.document.end)
        area.replace("soy", (0, 0), (0, 3))
        area.delete((1, 0), (9, 9))
        assert await level(area, pilot) == "soy 😀 milk\n"
        area.insert("?", (7, 7))
        assert await level(area, pilot) == "soy 😀 milk\n?"
        area.move_cursor((0, 10))
        area.text = "soy 😀 mild milk\n?"
        assert area.cursor_location == (0, 15)
        assert await level(area, pilot) == "soy 😀 mild milk\n?"
        area.load_text("soy 😀 mild milk\n?")
        area.clear()
        assert await level(area, pilot) == ""


async def test_cursor_and_selection_stay_at_their_characters(note: Document) -> None:
    async with shown(note) as (area, pilot):
        area.selection = Selection((0, 6), (0, 10))
        assert area.selected_text == "milk"
        async with note.change() as doc:
            doc["body"].insert(0, "very 👍\n")
            doc["body"].insert(13, "mild ")
        await level(area, pilot)
        assert area.text.startswith("very 👍\noat 😀 mild milk")
        assert area.selected_text == "milk"
        assert area.cursor_location == area.selection.end == (1, 15)
        area.move_cursor(area.document.end)
        async with note.change() as doc:
            doc["body"].append(" and eggs")
        await level(area, pilot)
        assert area.get_text_range((2, 0), area.cursor_location) == "bread"


async def test_what_is_in_view_stays_there(note: Document) -> None:
    async with note.change() as doc:
        doc["body"].append("".join(f"\nline {number}" for number in range(40)))
    async with shown(note) as (area, pilot):

        def top() -> str:
            return area.render_line(0).text.strip()

        area.scroll_to(y=20, animate=False, immediate=True)
        assert top() == "line 18"
        async with note.change() as doc:
            doc["body"].insert(0, "a\nb\nc\n")
        await level(area, pilot)
        assert (top(), area.scroll_y, area.cursor_location) == ("line 18", 23, (0, 0))
        area.move_cursor((26, 2))
        await pilot.pause()
        async with note.change() as doc:
            doc["body"].insert(str(doc["body"]).index("line 20"), "d\n" * 9)
        await level(area, pilot)
        assert area.cursor_location == (35, 2), "below what came"
        assert area.render_line(35 - int(area.scroll_y)).text.startswith("line 21")
        assert area.scroll_y == 32, "the line of the cursor stays where it was on the screen"


async def test_undo_is_of_what_was_typed_here(note: Document) -> None:
    async with shown(note) as (area, pilot):
        async with note.change() as doc:
            doc["body"].append(" and eggs")
        await level(area, pilot)
        area.move_cursor((0, 0))
        await pilot.press("x", "y")
        assert await level(area, pilot) == "xyoat 😀 milk\nbread and eggs"
        await pilot.press("ctrl+z")
        await until(pilot, lambda: area.text == "oat 😀 milk\nbread and eggs")
        await pilot.press("ctrl+y")
        await until(pilot, lambda: area.text == "xyoat 😀 milk\nbread and eggs")
        assert await level(area, pilot) == "xyoat 😀 milk\nbread and eggs"
        assert area.history.undo_stack == [], "Textual's own would take back the work of others"


async def test_a_read_only_text_follows_and_takes_nothing(note: Document) -> None:
    async with shown(note, read_only=True) as (area, pilot):
        other = pilot.app.query(SyncedTextArea).last()
        other.insert("so ")
        await level(area, pilot)
        await pilot.press("x", "backspace", "ctrl+k", "ctrl+z", "ctrl+y")
        pilot.app.post_message(events.Paste("pasted"))
        await pilot.pause()
        async with note.change() as doc:
            doc["body"].append("!")
        assert await level(area, pilot) == "so oat 😀 milk\nbread!"


async def test_control_characters_of_others_reach_no_terminal_and_no_newline_is_made_of_them(note: Document) -> None:
    hostile = "a\x1b[2J\rb\r\nc\x0bd\x85e\u2028f\x7f\x9bg\x00"
    async with note.change() as doc:
        doc["body"].insert(0, hostile)
    async with shown(note) as (area, pilot):
        assert area.document.line_count == 3
        assert area.text.startswith("a␛[2J␍b␍\nc␋d␤e␤f␡�g␀oat")
        strips = "".join(area.render_line(row).text for row in range(3))
        assert all(char.isprintable() for char in strips)
        area.move_cursor((1, 1))
        await pilot.press("X")
        area.insert("\x1b", area.document.end)
        body = await level(area, pilot)
        assert body == hostile.replace("\nc", "\ncX") + "oat 😀 milk\nbread\x1b"
        async with note.change() as doc:
            doc["body"].delete(4, 3)
        assert (await level(area, pilot)).startswith("a\x1b[2\r\ncX")


async def test_a_text_that_is_gone_is_on_disk_and_lets_both_sides_go(
    engine: Engine, note: Document, caplog: pytest.LogCaptureFixture
) -> None:
    async with shown(note) as (area, pilot):
        area.insert("last ", (0, 0))
        await area.remove()
        assert area.binding.saved
        with pytest.raises(EngineMisuse, match="no longer"):
            area.insert("too late")
        assert area.text.startswith("last oat")
        async with note.change() as doc:
            doc["n"] = 1
        pilot.app.query_one(SyncedTextArea).insert("at the end ", (0, 0))
    assert str(note.doc["body"]).startswith("at the end last oat")
    assert note._opened.listeners == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_closing_waits_for_all_that_was_typed(note: Document) -> None:
    async with shown(note) as (area, _):
        async with note.change() as doc:
            doc["n"] = 1
            area.insert("milk ", (0, 0))
            area.insert("oat ", (0, 0))  # goes to the document only when the one before is there
            closing = asyncio.create_task(area.binding.close())
            await asyncio.sleep(0)
        await closing
        assert str(note.doc["body"]).startswith("oat milk oat")


async def test_what_a_reader_types_gives_way_and_is_told(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = await engine.create_space("Family")
    note = await space.create({"body": Text("milk")})
    await engine.listen(f"memory://{tmp_path.name}")
    refused = list[BaseException]()

    def fail(error: BaseException) -> None:
        refused.append(error)
        raise RuntimeError("of the program's own")

    async with Engine.open(f"sqlite:///{tmp_path}/reader.db") as reader:
        joined = await reader.join(await space.invite(mode="auto", role=Role.READER))
        theirs = await joined.document(note.id, wait_s=20)
        async with shown(theirs, refused=fail) as (area, pilot):
            await pilot.press("x", "y")
            await until(pilot, lambda: refused and area.text == "milk")
            assert isinstance(refused[0], AccessDenied)
            assert "a callback failed" in caplog.text
            async with note.change() as doc:
                doc["body"].append(" and eggs")
            await until(pilot, lambda: area.text == "milk and eggs")


async def test_it_says_what_it_was_used_wrongly_for(engine: Engine, note: Document, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the path of a text"):
        async with Showing(lambda: SyncedTextArea(note, "body")).run_test():
            pass
    with pytest.raises(NotFound, match="no text at title"):
        async with Showing(lambda: SyncedTextArea(note, ("title",))).run_test():
            pass
    with pytest.raises(ConfigError, match=r"lichen\.Document"):
        SyncedTextArea(cast(Document, blocking.Document.__new__(blocking.Document)), ("body",))
    with pytest.raises(EngineMisuse, match="before it is mounted"):
        SyncedTextArea(note, ("body",)).insert("x")
    async with shown(note) as (area, pilot):
        with pytest.raises(EngineMisuse, match="another event loop"):
            await asyncio.to_thread(area.insert, "from a thread")
        assert await level(area, pilot) == "oat 😀 milk\nbread"


async def test_it_refuses_an_engine_of_another_loop(note: Document) -> None:
    def elsewhere() -> None:
        async def show() -> None:
            async with Showing(lambda: SyncedTextArea(note, ("body",))).run_test():
                pass

        asyncio.run(show())

    with pytest.raises(EngineMisuse, match="another event loop"):
        await asyncio.to_thread(elsewhere)
    assert note._opened.listeners == []


async def test_two_people_type_at_once(engine: Engine, tmp_path: Path) -> None:
    chance = random.Random(11)
    space = await engine.create_space("Family")
    note = await space.create({"body": Text("milk")})
    await engine.listen(f"memory://{tmp_path.name}")
    async with Engine.open(f"sqlite:///{tmp_path}/other.db") as other:
        copy = await (await other.join(await space.invite(mode="auto"))).document(note.id, wait_s=20)
        app = Showing(lambda: SyncedTextArea(note, ("body",)), lambda: SyncedTextArea(copy, ("body",)))
        async with app.run_test() as pilot:
            areas = list(app.query(SyncedTextArea))
            for number in range(200):
                area = areas[number % 2]
                point = chance.randrange(len(area._shown) + 1)
                end = min(point + chance.choice((0, 0, 0, 1, 2)), len(area._shown))
                piece = chance.choice(["a", "é", "e\u0301", "😀", "👨‍👩‍👧", "אבג", "\n", "word ", "\x1b"])
                area.replace(piece, area.location(point), area.location(end))
                await asyncio.sleep(0)
            await until(pilot, lambda: all(one.binding.saved for one in areas) and note.heads == copy.heads)
            await until(pilot, lambda: areas[0].text == areas[1].text)
            assert areas[0].binding.text == str(note.doc["body"]) == str(copy.doc["body"])
            assert all(one._shown == one.document.text for one in areas)


async def test_an_engine_that_is_closed_first_is_told_of_and_holds_nothing_up(tmp_path: Path) -> None:
    refused = list[BaseException]()
    async with Engine.open(f"sqlite:///{tmp_path}/other.db") as engine:
        note = await (await engine.create_space("Family")).create({"body": Text("milk")})
        app = Showing(lambda: SyncedTextArea(note, ("body",), refused=refused.append))
        running = app.run_test()
        pilot = await running.__aenter__()
        area = app.query_one(SyncedTextArea)
        area.focus()
        area.insert("oat ", (0, 0))
    await pilot.press("x", "delete", "ctrl+z", "ctrl+y")
    area.insert("too late ", (0, 0))
    await until(pilot, lambda: len(refused) == 3)
    assert area.text == "oat milk"
    await running.__aexit__(None, None, None)
    async with Engine.open(f"sqlite:///{tmp_path}/other.db") as again:
        assert str((await again.document(note.id)).doc["body"]) == "oat milk"
