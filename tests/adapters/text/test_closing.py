"""Closing a text, or its engine on any thread: what was typed last is on disk."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

import lichen
import pytest
from lichen import Text
from lichen.blocking import Events, Inbox, timeout
from lichen.errors import ConfigError, EngineMisuse, StoreFull
from lichen.runtime import rows
from lichen.testing.waiting import until
from lichen_adapters.text import AsyncTextBinding, TextBinding
from lichen_adapters.text.level import INSERTED, REMOVED
from text_editor import Editor, Open, Widget, held_up


def test_closing_waits_for_what_was_typed_last(notes: Open) -> None:
    note, copy = notes()
    editor = Editor(note)
    for number in range(50):
        editor.type(len(editor.text), 0, str(number))
    editor.binding.close()
    editor.binding.close()
    assert str(note.doc["body"]) == "milk" + "".join(map(str, range(50)))
    note.saved()
    with copy.change() as doc:
        doc["body"].append("more")
    editor.inbox.run(wait_s=0.2)
    assert not editor.text.endswith("more")
    for use in (editor.binding.undo, editor.binding.redo, lambda: editor.binding.edited(0, 0, "x")):
        with pytest.raises(EngineMisuse):
            use()
    assert note.asynchronous._opened.listeners == []


def test_it_is_saved_when_it_is_on_disk(notes: Open) -> None:
    note, _ = notes()
    editor = Editor(note)
    with held_up(note):
        editor.type(0, 0, "oat ")
        while str(note.doc["body"]) != "oat milk":
            pass
        while editor.inbox.run(wait_s=0.1):
            pass
        assert not editor.binding.saved
    editor.until_saved()
    editor.binding.close()


@pytest.mark.parametrize("what", ["text", "engine"])
def test_who_is_interrupted_while_it_closes_may_close_it_again_and_nothing_is_lost(
    notes: Open, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    note, _ = notes()
    editor = Editor(note)

    def interrupted(_events: object) -> object:
        raise KeyboardInterrupt

    with held_up(note), monkeypatch.context() as patch:
        patch.setattr(Events, "__next__", interrupted)
        editor.type(0, 0, "oat ")
        with pytest.raises(KeyboardInterrupt):
            (editor.binding if what == "text" else note.engine).close()
        with pytest.raises(EngineMisuse):
            editor.binding.edited(0, 0, "x")
    note.engine.close()
    assert editor.binding.saved
    assert str(note.doc["body"]) == "oat milk"
    assert note.asynchronous._opened.listeners == []


@pytest.mark.parametrize("what", ["text", "engine"])
def test_a_handler_of_a_signal_may_close_the_engine_while_it_is_closed_and_nothing_is_lost(
    notes: Open, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    note, _ = notes()
    editor, following = Editor(note), Events.__next__

    def handled(events: Events[object]) -> object:
        monkeypatch.setattr(Events, "__next__", following)
        note.engine.close()  # as a handler of SIGTERM does, on the thread that waits here
        return following(events)

    with held_up(note):
        editor.type(0, 0, "x" * 50_000)
        monkeypatch.setattr(Events, "__next__", handled)
    (editor.binding if what == "text" else note.engine).close()
    assert editor.binding.saved
    assert str(note.doc["body"]) == "x" * 50_000 + "milk"


def test_who_closes_it_hears_that_the_disk_did_not_take_what_was_typed_last(
    notes: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, _ = notes()
    editor = Editor(note)

    def full(*_given: object) -> None:
        raise StoreFull("no space is left")

    monkeypatch.setattr(rows, "save_changes", full)
    editor.type(0, 0, "oat ")
    editor.binding.close()
    assert any(isinstance(error, StoreFull) for error in editor.refused)
    assert editor.text == "oat milk", "which can be copied from there"
    assert not editor.binding.saved


def test_a_widget_that_fails_while_its_text_closes_loses_nothing(
    notes: Open, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, _ = notes()
    editor = Editor(note)
    with note.change() as doc:
        doc["body"].append("!")
    editor.type(0, 0, "x")
    editor.type(1, 0, "y")  # waits for that before it
    monkeypatch.delattr(Widget, "splice")
    editor.binding.close()
    assert str(note.doc["body"]) == "xymilk!"
    assert "a callback failed" in caplog.text


def test_closing_the_engine_waits_for_what_was_typed_last(notes: Open) -> None:
    note, _ = notes()
    editors = Editor(note), Editor(note)
    for number in range(50):
        for editor in editors:
            editor.type(len(editor.text), 0, str(number))
    note.engine.close()
    typed = "".join(map(str, range(50)))
    assert sorted(str(note.doc["body"])) == sorted(f"milk{typed}{typed}")
    assert note.asynchronous._opened.listeners == []
    for editor in editors:
        editor.binding.close()
        with pytest.raises(EngineMisuse):
            editor.binding.edited(0, 0, "x")


@pytest.mark.parametrize("first", ["text", "engine"])
def test_an_engine_that_is_closed_while_another_thread_closes_it_or_the_text_waits_too(notes: Open, first: str) -> None:
    note, _ = notes()
    editor, host = Editor(note), note.engine._host
    editor.type(0, 0, "x" * 150_000)
    closing = threading.Thread(target=editor.binding.close if first == "text" else note.engine.close)
    closing.start()
    while host._before_close and not editor.binding.closed:
        pass
    note.engine.close()
    closing.join()
    assert len(note.doc["body"]) == 150_000 + len("milk")


def test_an_engine_that_is_closed_on_another_thread_leaves_the_widget_alone_and_writes_what_was_typed(
    notes: Open, caplog: pytest.LogCaptureFixture
) -> None:
    note, _ = notes()
    editor = Editor(note)
    with note.change() as doc:
        doc["body"].append("!")
    editor.type(0, 0, "x")
    editor.type(1, 0, "y")  # waits for that before it
    closing = threading.Thread(target=note.engine.close)
    closing.start()
    closing.join()
    assert editor.text == "xymilk"
    assert str(note.doc["body"]) == "xymilk!"
    editor.binding.close()
    with pytest.raises(EngineMisuse):
        editor.binding.edited(0, 0, "x")
    editor.inbox.run()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_document_of_the_other_kind_of_engine_is_refused_by_name(notes: Open) -> None:
    note, _ = notes()
    with pytest.raises(ConfigError, match=r"a lichen\.blocking\.Document is wanted here"):
        TextBinding(note.asynchronous, ("body",), Widget(), Inbox())  # type: ignore[arg-type]  # so is the test
    with pytest.raises(ConfigError, match=r"a lichen\.Document is wanted here, and this is a lichen\.blocking\."):
        await AsyncTextBinding.open(note, ("body",), Widget())  # type: ignore[arg-type]  # so is the test


def test_a_text_that_is_bound_in_a_transaction_would_wait_for_its_end(notes: Open) -> None:
    note, _ = notes()
    with timeout(20), note.change() as doc:
        doc["body"].append("!")
        with pytest.raises(EngineMisuse, match="it would wait for itself"):
            Editor(note)
    assert Editor(note).text == "milk!"


def test_a_text_in_which_something_was_typed_is_not_closed_in_a_transaction_of_the_same_thread(notes: Open) -> None:
    note, _ = notes()
    editor = Editor(note)
    with timeout(5), note.change() as doc:
        doc["body"].append("!")
        editor.type(0, 0, "oat ")
        with pytest.raises(EngineMisuse, match="it would wait for itself"):
            editor.binding.close()
    assert not editor.binding.closed
    editor.binding.close()
    assert str(note.doc["body"]) == "oat milk!"


async def test_on_the_engines_loop_it_is_not_closed_in_a_transaction_of_the_same_task(tmp_path: Path) -> None:
    async with asyncio.timeout(20), lichen.Engine.open(f"sqlite:///{tmp_path / 'device.db'}") as engine:
        note = await (await engine.create_space("Family")).create({"body": Text("milk")})
        binding = await AsyncTextBinding.open(note, ("body",), Widget())
        async with note.change() as doc:
            doc["body"].append("!")
            binding.edited(0, 0, "oat ")
            with pytest.raises(EngineMisuse, match="it would wait for itself"):
                await binding.close()
        await binding.close()
        assert str(note.doc["body"]) == "oat milk!"


async def test_on_the_engines_loop_who_closes_it_a_second_time_or_the_engine_waits_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'device.db'}"
    async with lichen.Engine.open(url) as engine:
        note = await (await engine.create_space("Family")).create({"body": Text("milk")})
        bindings = [await AsyncTextBinding.open(note, ("body",), Widget()) for _ in range(2)]
        for binding in bindings:
            binding.edited(0, 0, "x" * 10 * INSERTED)
        closing = [asyncio.create_task(binding.close()) for binding in bindings]
        await asyncio.sleep(0)
        await bindings[0].close()
        assert len(note.doc["body"]) >= 10 * INSERTED
        closing[1].cancel()
    async with lichen.Engine.open(url) as engine:
        assert len((await engine.document(note.id)).doc["body"]) == 2 * 10 * INSERTED + len("milk")
    await closing[0]


async def test_on_the_engines_loop_closing_the_engine_waits_for_what_was_typed_last(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url, widgets = f"sqlite:///{tmp_path / 'device.db'}", (Widget(), Widget())
    async with lichen.Engine.open(url) as engine:
        key = (await (await engine.create_space("Home")).create({"body": Text("milk")})).id
    async with lichen.Engine.open(url) as engine:
        note = await engine.document(key)
        bindings = [await AsyncTextBinding.open(note, ("body",), widget) for widget in widgets]
        await bindings[0].close()
        widgets[0].text = ""
        bindings[0] = await AsyncTextBinding.open(note, ("body",), widgets[0])
        for number in range(50):
            for widget, binding in zip(widgets, bindings, strict=True):
                binding.edited(end := len(widget.text), 0, typed := str(number % 10))
                widget.splice(end, 0, typed)
    async with lichen.Engine.open(url) as engine:
        body = str((await engine.document(key)).doc["body"])
    assert sorted(body) == sorted("milk" + 5 * "00112233445566778899")
    assert widgets[0].text == widgets[1].text == body
    for binding in bindings:
        await binding.close()
        with pytest.raises(EngineMisuse):
            binding.edited(0, 0, "x")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_what_is_pasted_is_written_in_parts_between_which_the_loop_is_left(tmp_path: Path) -> None:
    async with lichen.Engine.open(f"sqlite:///{tmp_path / 'device.db'}") as engine:
        note = await (await engine.create_space("Home")).create({"body": Text("oat milk")})
        widget, heads = Widget(), note.heads
        binding = await AsyncTextBinding.open(note, ("body",), widget)

        async def turns_to_write(position: int, removed: int, inserted: str) -> int:
            widget.splice(position, removed, inserted)
            binding.edited(position, removed, inserted)
            turns = 0
            while not binding.saved:
                await asyncio.sleep(0)
                turns += 1
            assert str(note.doc["body"]) == widget.text
            return turns

        await note.saved()
        long = "eggs 🥚 " * 2_000
        assert await turns_to_write(4, 4, long) > len(long) // INSERTED
        assert len(note.history(heads)) == 1, "one change all the same"
        assert await turns_to_write(2, len(long), "") > len(long) // REMOVED
        binding.undo()
        binding.undo()
        await until(lambda: str(note.doc["body"]) == "oat milk")
        await binding.close()


def test_who_holds_events_reads_them_in_the_place_of_their_callback(notes: Open) -> None:
    note, _ = notes()
    events, inbox, heard = note.events(), Inbox(), list[object]()
    events.call(heard.append, inbox)
    for _ in range(20):
        calling = threading.Thread(target=inbox.run, args=(20,))
        with timeout(20), events.held():
            with note.change() as doc:
                doc["body"].append("!")
            calling.start()
            next(events)
        calling.join()
    assert heard == []
    held = threading.Thread(target=_hold, args=(events, (holding := threading.Event()), (done := threading.Event())))
    held.start()
    assert holding.wait(20)
    with pytest.raises(TimeoutError, match="a callback was not done"), timeout(0.01), events.held():
        pass
    done.set()
    held.join()


def _hold(events: Events[object], holding: threading.Event, done: threading.Event) -> None:
    with events.held():
        holding.set()
        done.wait(20)


def test_nothing_is_taken_from_a_user_while_the_text_closes(notes: Open) -> None:
    note, _ = notes()
    errors: list[BaseException] = []

    def edit(editor: Editor) -> None:
        try:
            editor.binding.edited(0, 0, "x")
        except EngineMisuse as error:
            errors.append(error)

    for _ in range(20):
        editor = Editor(note)
        editing = threading.Thread(target=edit, args=(editor,))
        with editor.binding._messages.held():
            editing.start()
            editor.binding.close()
        editing.join()
    assert len(errors) == 20
    assert str(note.doc["body"]) == "milk"


def test_whoever_types_on_while_another_thread_closes_the_engine_has_all_on_disk_that_was_taken(notes: Open) -> None:
    note, _ = notes()
    editor = Editor(note)
    closing, taken = threading.Thread(target=note.engine.close), 0
    with suppress(EngineMisuse):  # from then on nothing is taken
        for taken in count():
            editor.binding.edited(taken, 0, "x")
            if taken % 7 == 0:
                editor.inbox.run()
            if taken == 100:
                closing.start()
    closing.join()
    editor.inbox.run()
    assert str(note.doc["body"]) == "x" * taken + "milk"
