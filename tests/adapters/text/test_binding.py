"""A text of two devices in a widget each, edited on both at once: through real engines, with widgets that are not."""

from __future__ import annotations

import random
import time

import pytest
from lichen import Role, Text
from lichen.blocking import Inbox
from lichen.errors import AccessDenied, ConfigError, NotFound
from lichen_adapters.text import TextBinding
from text_editor import Editor, Open, Widget, held_up


def level(*editors: Editor) -> None:
    """Until all widgets show the same, and all that was typed is in it."""
    while not all(one.binding.saved for one in editors) or len({one.note.heads for one in editors}) > 1:
        for one in editors:
            one.inbox.run(wait_s=0.01)
    for one in editors:
        one.note.settled()
        while one.inbox.run(wait_s=0.1):
            pass
        assert one.text == str(one.note.doc["body"]) == one.binding.text


PIECES = ["a", "b", "é", "e\u0301", "😀", "👨‍👩‍👧", "אבג", "مرحبا", "\n", "word "]


def test_two_people_type_five_hundred_edits_each_into_one_text(notes: Open) -> None:
    chance = random.Random(7)
    one, other = (Editor(note, unit) for note, unit in zip(notes(), ("utf16", "code points"), strict=True))
    for number in range(1_000):
        editor = (one, other)[number % 2]
        point = chance.randrange(len(editor.text) + 1)
        removed = min(chance.choice((0, 0, 0, 1, 2)), len(editor.text) - point)
        editor.type(point, removed, chance.choice(PIECES))
        chance.choice((one, other)).inbox.run()
    level(one, other)
    assert one.text == other.text
    assert len(one.text) > 1_000
    for editor in (one, other):
        editor.binding.close()


def test_cursor_and_selection_stay_at_their_characters(notes: Open) -> None:
    note, copy = notes(body="oat milk, bread")
    one, other = Editor(note, "utf16"), Editor(copy)
    other.widget.select(4, 8)
    one.type(0, 0, "😀 ")
    one.type(6, 0, "very ")
    level(one, other)
    assert other.text == "😀 oat very milk, bread"
    anchor, head = other.widget.selection()
    assert other.text[anchor:head] == "milk"
    assert one.widget.selection() == (12, 12), "its own edits come back to nobody"


def test_undo_takes_back_what_was_typed_here_and_nothing_else(notes: Open) -> None:
    note, copy = notes()
    one, other = Editor(note), Editor(copy)
    one.type(4, 0, ", eggs")
    level(one, other)
    other.type(0, 0, "oat ")
    level(one, other)
    one.binding.undo()
    while one.text != "oat milk":
        assert one.inbox.run(wait_s=20)
    one.binding.redo()
    while one.text != "oat milk, eggs":
        assert one.inbox.run(wait_s=20)
    level(one, other)
    other.binding.undo()
    other.binding.undo()
    while other.text != "milk, eggs":
        assert other.inbox.run(wait_s=20)
    level(one, other)
    for _ in range(3):
        one.binding.undo()
    level(one, other)
    assert one.text == "milk", "what the program itself wrote is not taken back"
    with note.change() as doc:
        doc["title"] = "Food"
    one.type(0, 0, "oat ")
    one.type(0, 0, "some ")
    level(one, other)
    one.binding.undo()
    while one.text != "milk":
        assert one.inbox.run(wait_s=20)
    one.binding.close()
    assert note.doc["title"] == "Food"


def test_what_this_program_writes_otherwise_is_shown(notes: Open) -> None:
    note, _ = notes(body="one two three four")
    editor = Editor(note)
    editor.type(4, 3, "2")
    with note.change() as doc:
        doc["title"] = "Numbers"
        doc["body"].replace("one", "1")
        doc["body"].replace("four", "4")
    level(editor)
    assert editor.text == "1 2 three 4"
    with note.change() as doc:
        doc["body"].split_block(0, {"type": "heading"})
        doc["body"].mark(1, 2, "bold", True)
    level(editor)
    assert editor.text == "\ufffc1 2 three 4"
    with note.change() as doc:
        doc["body"] = Text("another")
    level(editor)
    assert editor.text == "another"
    editor.type(0, 0, "quite ")
    level(editor)
    assert editor.text == "quite another"


def test_many_changes_at_once_are_shown_in_parts(notes: Open) -> None:
    note, copy = notes(body="." * 200)
    editor = Editor(copy)
    editor.type(100, 0, "here")
    with note.change() as doc:
        for number in range(200):
            doc["body"].insert(2 * number, str(number % 10))
    while note.heads != copy.heads:
        editor.inbox.run(wait_s=0.01)
    level(editor)
    assert editor.text.replace("here", "") == "".join(f"{number % 10}." for number in range(200))
    assert editor.text.count("here") == 1


def test_what_another_has_deleted_already_is_deleted_once(notes: Open) -> None:
    note, _ = notes(body="oat milk")
    editor = Editor(note)
    with note.change() as doc:
        editor.type(0, 4, "")
        doc["body"].delete(0, 4)
    editor.until_saved()
    level(editor)
    assert editor.text == "milk"
    editor.type(4, 0, "!")
    level(editor)
    assert editor.text == "milk!"


def test_windows_of_one_program_that_delete_the_same_hear_of_what_is_written_meanwhile(notes: Open) -> None:
    """The second has nothing left to write, and waits for the disk as the others do."""
    note, _ = notes()
    editors = Editor(note), Editor(note), Editor(note)
    with held_up(note):
        editors[0].type(0, 1, "")
        editors[1].type(0, 1, "")
        editors[2].type(4, 0, "!")
        while str(note.doc["body"]) != "ilk!":
            pass
    level(*editors)
    for editor in editors:
        editor.type(len(editor.text), 0, "?")
    level(*editors)
    assert str(note.doc["body"]) == "ilk!???"


def test_a_list_that_is_made_up_to_date_while_a_block_is_open_does_not_hold_up_the_loop(notes: Open) -> None:
    note, _ = notes()
    editor = Editor(note)
    with note.change() as doc:
        doc["title"] = "Food"
        began = time.monotonic()
        note.engine.call(note.asynchronous._opened.freshen)
        assert time.monotonic() - began < 5
    level(editor)


def test_a_text_that_is_deleted_is_empty_and_takes_no_edits(notes: Open) -> None:
    note, _ = notes()
    editor = Editor(note)
    with note.change() as doc:
        del doc["body"]
    while editor.text:
        assert editor.inbox.run(wait_s=20)
    editor.type(0, 0, "lost")
    editor.until_saved()
    assert editor.text == ""
    assert isinstance(editor.refused[0], NotFound)


def test_what_a_reader_types_gives_way_to_the_text_again(notes: Open) -> None:
    _, copy = notes(Role.READER)
    editor = Editor(copy)
    editor.type(4, 0, " and eggs")
    editor.type(0, 0, "oat ")
    editor.until_saved()
    assert (editor.text, len(editor.refused)) == ("milk", 1)
    assert isinstance(editor.refused[0], AccessDenied)
    editor.binding.undo()
    while len(editor.refused) < 2:
        assert editor.inbox.run(wait_s=20)
    assert isinstance(editor.refused[1], AccessDenied)
    editor.binding.close()


def test_what_cannot_have_happened_is_refused_and_changes_nothing(notes: Open) -> None:
    note, _ = notes(body="a😀b")
    editor, units = Editor(note), Editor(note, "utf16")
    for position, removed, inserted in ((4, 0, "x"), (2, 2, ""), (-1, 0, "x"), (1, -1, "x"), (0, 0, "\ud83d")):
        with pytest.raises(ConfigError, match="does not fit"):
            editor.binding.edited(position, removed, inserted)
    with pytest.raises(ConfigError, match="does not fit"):
        units.binding.edited(2, 0, "between the halves")
    assert editor.binding.text == units.binding.text == "a😀b"
    with pytest.raises(NotFound, match="no text at nothing/here"):
        TextBinding(note, ("nothing", "here"), Widget(), Inbox())
    with pytest.raises(NotFound, match="no text at title"):
        TextBinding(note, ("title",), Widget(), Inbox())
    with pytest.raises(ConfigError, match="path"):
        TextBinding(note, "body", Widget(), Inbox())
