"""A synced text in a `tkinter.Text`, with the keys and commands that Tk has."""

from __future__ import annotations

import logging
import tkinter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tkinter import ttk

import pytest
from lichen import Text
from lichen.blocking import Document, Engine
from lichen.errors import EngineMisuse, NotFound
from lichen_adapters.tk import Polling, SyncedText
from tk_pad import Pad, until


def test_what_keys_do_is_in_the_document(root: tkinter.Toplevel, note: Document) -> None:
    pad = Pad(root, note)
    assert pad.text == "oat 😀 milk\nbread"
    pad.widget.mark_set("insert", "1.4")
    pad.press("n", "i", "c", "e", "space", "<Right>", "<BackSpace>", "<Right>", "<Return>")
    pad.level()
    assert pad.text == "oat nice  \nmilk\nbread"
    pad.widget.mark_set("insert", "end")
    pad.press("x", "<Shift-Left>", "<Shift-Left>", "y", "<Home>", "<Delete>")
    pad.level()
    assert pad.text == "oat nice  \nmilk\nreay"
    root.clipboard_clear()
    root.clipboard_append("אבג 👨‍👩‍👧 e\u0301\n")
    pad.widget.mark_set("insert", "1.0")
    pad.press("<<Paste>>")
    pad.level()
    assert pad.text == "אבג 👨‍👩‍👧 e\u0301\noat nice  \nmilk\nreay"
    pad.press("<<SelectAll>>", "<<Cut>>")
    pad.level()
    assert str(note.doc["body"]) == ""


def test_what_the_program_does_with_the_widget_is_in_the_document(root: tkinter.Toplevel, note: Document) -> None:
    pad = Pad(root, note)
    pad.widget.insert("end", "!", "loud", "?", ("loud", "sure"))
    pad.widget.replace("1.0", "1.3", "soy")
    pad.widget.tk.call(str(pad.widget), "delete", "2.0", "2.1", "1.0", "1.1")
    pad.widget.delete("1.0", "1.0")
    pad.level()
    assert pad.text == "oy 😀 milk\nread!?"
    assert [str(index) for index in pad.widget.tag_ranges("loud")] == ["2.4", "2.6"]
    assert pad.widget.index("end-1c") == "2.6"


def test_what_the_widget_refuses_is_refused_as_before_so_that_scripts_know_when_nothing_is_selected(
    root: tkinter.Toplevel, note: Document
) -> None:
    pad = Pad(root, note)
    for places in (("nowhere",), ("1.0", "nowhere")):
        with pytest.raises(tkinter.TclError, match="nowhere"):
            pad.widget.delete(*places)
    with pytest.raises(tkinter.TclError, match="nowhere"):
        pad.widget.insert("nowhere", "x")
    with pytest.raises(tkinter.TclError, match="sel"):
        pad.widget.index("sel.first")
    root.clipboard_clear()
    root.clipboard_append("kept")
    pad.press("<<Copy>>", "<<Cut>>")
    assert root.clipboard_get() == "kept"
    root.tk.eval(f"proc looks_for_milk {{}} {{ {pad.widget} search -count found milk 1.0; return $found }}")
    assert root.tk.call("looks_for_milk") == 4, "what it is asked is asked where that stands"
    pad.level()
    assert pad.text == str(note.doc["body"])


def test_every_character_keeps_its_place(root: tkinter.Toplevel, note: Document) -> None:
    pad = Pad(root, note)
    odd = "a\r\nb\rc\u2028d\u2029e\x85f\x0bg\u00a0h\0i\ufffcj\u200bk\ufefft\ufffe\U0010ffff"
    with note.change() as doc:
        doc.text("body").insert(0, odd)
    until(root, lambda: pad.synced.binding.text.startswith(odd))
    for at in reversed(range(0, len(odd), 3)):
        pad.widget.insert(f"1.0+{at}c", "|")
    pad.widget.insert("end", "\0!")
    until(root, lambda: pad.synced.binding.saved)
    text = str(note.doc["body"])
    assert text == pad.synced.binding.text
    assert text.replace("|", "") == odd + "oat 😀 milk\nbread\0!"
    assert [at for at, char in enumerate(pad.text) if char == "|"] == [at for at, c in enumerate(text) if c == "|"]


def test_cursor_and_selection_stay_at_their_characters(root: tkinter.Toplevel, note: Document) -> None:
    pad = Pad(root, note)
    pad.widget.tag_add("sel", "1.7", "1.11")
    pad.widget.mark_set("insert", "1.7")
    assert pad.widget.get("sel.first", "sel.last") == "milk"
    with note.change() as doc:
        doc["body"].insert(0, "very 👍\n")
        doc["body"].replace("milk", "mild milk")
    pad.level()
    assert pad.text.startswith("very 👍\noat 😀 ")
    assert pad.widget.get("sel.first", "sel.last").endswith("milk")
    assert pad.widget.compare("insert", "==", "sel.first")
    pad.widget.tag_remove("sel", "1.0", "end")
    pad.widget.mark_set("insert", "end-1c")
    with note.change() as doc:
        doc["body"].append(" and eggs")
    pad.level()
    assert pad.widget.get("insert-5c", "insert") == "bread"


def test_undo_is_of_what_was_typed_here(root: tkinter.Toplevel, note: Document) -> None:
    pad = Pad(root, note)
    with note.change() as doc:
        doc["body"].append(" and eggs")
    pad.level()
    pad.widget.mark_set("insert", "1.0")
    pad.press("x", "y")
    pad.level()
    pad.press("<<Undo>>")
    until(root, lambda: pad.text == "oat 😀 milk\nbread and eggs")
    pad.press("<<Redo>>")
    until(root, lambda: pad.text == "xyoat 😀 milk\nbread and eggs")
    pad.level()
    assert not pad.widget["undo"], "Tk's own would take back the work of others"


def test_undo_that_a_program_asks_the_widget_for_is_of_what_was_typed_here(
    root: tkinter.Toplevel, note: Document
) -> None:
    pad = Pad(root, note)
    pad.widget.configure(undo=True)
    with note.change() as doc:
        doc["body"].append(" and eggs")
    pad.level()
    pad.press("x")
    pad.level()
    pad.widget.edit_undo()
    until(root, lambda: "x" not in pad.text)
    pad.level()
    assert pad.text == "oat 😀 milk\nbread and eggs"
    pad.widget.edit_redo()
    until(root, lambda: "x" in pad.text)
    pad.level()


def test_what_would_part_the_widget_from_the_text_is_refused(root: tkinter.Toplevel, note: Document) -> None:
    pad, places = Pad(root, note), "would move the places"
    with pytest.raises(tkinter.TclError, match=places):
        pad.widget.window_create("1.2", window=ttk.Button(pad.widget))
    with pytest.raises(tkinter.TclError, match=places):
        pad.widget.image_create("1.2", image=tkinter.PhotoImage(master=root))
    with pytest.raises(tkinter.TclError, match="peer would be lost"):
        pad.widget.peer_create(f"{root}.peer")
    pad.widget.insert("1.4", "|")
    pad.level()
    free = tkinter.Text(root)
    free.insert("1.0", "mine")
    free.peer_create(f"{root}.peer")
    with pytest.raises(EngineMisuse, match="has peers"):
        SyncedText(free, note, ("body",), Polling(root))
    assert free.get("1.0", "end-1c") == "mine"


def test_a_read_only_text_follows_and_takes_nothing(root: tkinter.Toplevel, note: Document) -> None:
    pad = Pad(root, note, state="disabled")
    pad.press("x")
    with note.change() as doc:
        doc["body"].append("!")
    pad.level()
    assert pad.text == "oat 😀 milk\nbread!"
    assert str(pad.widget["state"]) == "disabled"


def test_what_was_typed_before_a_text_was_made_read_only_stays(root: tkinter.Toplevel, note: Document) -> None:
    pad = Pad(root, note)
    pad.widget.mark_set("insert", "1.0")
    pad.press("x")
    pad.level()
    pad.widget.configure(state="disabled")
    pad.press("<<Undo>>")
    pad.widget.configure(state="normal")
    pad.press("y")
    pad.level()
    assert pad.text == "xyoat 😀 milk\nbread"


def test_a_text_that_is_closed_or_gone_lets_both_sides_go(
    root: tkinter.Toplevel, note: Document, caplog: pytest.LogCaptureFixture
) -> None:
    pad, gone = Pad(root, note), Pad(root, note)
    pad.press("x")
    pad.synced.close()
    pad.synced.close()
    assert str(note.doc["body"]).startswith("x") or str(note.doc["body"]).endswith("x")
    pad.press("y")
    assert "y" in pad.text
    gone.widget.insert("1.0", "last ")
    gone.widget.destroy()
    with note.change() as doc:
        doc["n"] = 1
    root.update()
    assert "last " in str(note.doc["body"])
    assert "y" not in str(note.doc["body"])
    assert note.asynchronous._opened.listeners == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_cannot_be_bound_leaves_widget_and_text_as_they_were(root: tkinter.Toplevel, note: Document) -> None:
    pad, free = Pad(root, note), tkinter.Text(root)
    free.insert("1.0", "mine")
    shown = pad.text
    with pytest.raises(EngineMisuse, match="bound to a text already"):
        SyncedText(pad.widget, note, ("body",), Polling(root))
    with pytest.raises(NotFound):
        SyncedText(free, note, ("nothing",), Polling(root))
    free.insert("end", "!")
    assert free.get("1.0", "end-1c") == "mine!"
    pad.level()
    assert pad.text == shown
    with ThreadPoolExecutor() as pool, pytest.raises(EngineMisuse, match="another thread"):
        pool.submit(pad.synced.close).result(10)
    pad.widget.destroy()


def test_what_is_typed_after_the_engine_was_closed_gives_way_and_is_told(
    root: tkinter.Toplevel, tmp_path: Path
) -> None:
    refused = list[BaseException]()
    with Engine.open(f"sqlite:///{tmp_path / 'closed.db'}") as engine:
        note = engine.create_space("Home").create({"body": Text("milk")})
        widget = tkinter.Text(root)
        SyncedText(widget, note, ("body",), Polling(root), refused=refused.append)
    widget.tag_add("sel", "1.0", "1.2")
    root.after(1, widget.event_generate, "<<Clear>>")
    root.after(2, widget.insert, "end", ", eggs")
    root.after(3, widget.event_generate, "<<Undo>>")
    root.after(50, root.quit)
    root.mainloop()  # which an error would end
    until(root, lambda: len(refused) == 3)
    assert widget.get("1.0", "end-1c") == "milk"
    assert {type(error) for error in refused} == {EngineMisuse}
    widget.destroy()


def test_what_a_reader_types_gives_way_and_is_told(root: tkinter.Toplevel, readers_note: Document) -> None:
    widget, refused = tkinter.Text(root), list[BaseException]()
    SyncedText(widget, readers_note, ("body",), Polling(root), refused=refused.append)
    widget.insert("end", " and eggs")
    until(root, lambda: refused)
    assert widget.get("1.0", "end-1c") == "milk"
    widget.destroy()
