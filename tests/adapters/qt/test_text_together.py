"""A synced text in several of Qt's editors, and in another toolkit's: all come to the same."""

from __future__ import annotations

import random
import tkinter
from pathlib import Path

import pytest
from lichen.blocking import Document, Engine
from lichen.errors import EngineMisuse
from lichen.testing.display import Display
from lichen_adapters.qt import Queued, SyncedText
from lichen_adapters.tk import Polling
from lichen_adapters.tk import SyncedText as TkText
from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QInputMethodEvent, QTextCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from qt_pad import KINDS, Pad, write
from turns import go_on, until

PIECES = ["a", "b", "é", "e\u0301", "😀", "👨‍👩‍👧", "אבג", "مرحبا", "\n", "word "]


def test_two_editors_show_one_document(pad: Pad, window: QWidget) -> None:
    other = type(pad.editor)(window)
    other.setDocument(pad.editor.document())
    with pytest.raises(EngineMisuse, match="bound to a text already"):
        SyncedText(other, pad.note, ("body",), Queued(window))
    QTest.keyClicks(other, "both ")
    pad.level()
    assert str(pad.note.doc["body"]).startswith("both oat")
    pad.at(len(pad.text) + 1)
    event = QInputMethodEvent("に", [])
    QCoreApplication.sendEvent(other, event)
    write(pad.note, lambda body: body.insert(0, "very "))
    go_on(0.05)
    assert pad.text.startswith("both oat"), "the other one composes"
    QCoreApplication.sendEvent(other, QInputMethodEvent("", []))
    pad.level()
    assert other.textCursor().position() == len("very both ")


def edit_at_random(pad: Pad, chance: random.Random) -> None:
    """What a user may do, at any place."""
    length = pad.editor.document().characterCount() - 1
    cursor = pad.editor.textCursor()
    cursor.setPosition(chance.randrange(length + 1))
    if chance.random() < 0.4:
        cursor.movePosition(QTextCursor.MoveOperation.Right, QTextCursor.MoveMode.KeepAnchor, chance.randrange(3))
    cursor.insertText(chance.choice(PIECES))
    pad.editor.setTextCursor(cursor)


def test_two_editors_of_one_program_come_to_the_same(window: QWidget, note: Document) -> None:
    chance = random.Random(5)
    pads = [Pad(window, note, kind(window)) for kind in KINDS]
    for _ in range(300):
        edit_at_random(chance.choice(pads), chance)
        if chance.random() < 0.3:
            QCoreApplication.processEvents()
    until(lambda: all(pad.synced.binding.saved for pad in pads))
    for pad in pads:
        pad.level()
    assert pads[0].text == pads[1].text


def test_two_people_type_in_qt_and_in_tk_at_once(
    window: QWidget, note: Document, engine: Engine, tmp_path: Path, display: Display
) -> None:
    engine.listen(f"memory://{tmp_path.name}")
    ticket = engine.space(note.space).invite(mode="auto")
    root = tkinter.Tk()
    with Engine.open(f"sqlite:///{tmp_path}/other.db") as other:
        theirs = other.join(ticket).document(note.id, wait_s=20)
        chance, pad, text = random.Random(9), Pad(window, note), tkinter.Text(root)
        synced = TkText(text, theirs, ("body",), Polling(root))
        pad.at(3)
        for number in range(1_000):
            if number % 2:
                edit_at_random(pad, chance)
            else:
                place = f"1.0 + {chance.randrange(len(synced.binding.text) + 1)} indices"
                text.insert(place, chance.choice(PIECES))
            if chance.random() < 0.5:
                QCoreApplication.processEvents()
                root.update()

        def level() -> bool:
            root.update()
            return synced.binding.saved and pad.synced.binding.saved and note.heads == theirs.heads

        until(level)
        until(lambda: (root.update(), text.get("1.0", "end-1c") == pad.text)[1])
        assert pad.text == str(note.doc["body"]) == str(theirs.doc["body"])
        assert len(pad.text) > 1_500
        synced.close()
        pad.synced.close()
        root.destroy()
