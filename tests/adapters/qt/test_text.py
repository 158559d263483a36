"""A synced text in Qt's editors: with keys, the clipboard, input methods, and what programs do with them."""

from __future__ import annotations

import gc
import logging
import random
import tkinter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import shiboken6
from lichen import Role, Text
from lichen.blocking import Document, Engine
from lichen.errors import AccessDenied, EngineMisuse, NotFound
from lichen.testing.display import Display
from lichen_adapters.qt import Queued, SyncedText
from lichen_adapters.tk import Polling
from lichen_adapters.tk import SyncedText as TkText
from PySide6.QtCore import QCoreApplication, QPoint, Qt
from PySide6.QtGui import (
    QAction,
    QContextMenuEvent,
    QFont,
    QInputMethodEvent,
    QSyntaxHighlighter,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
)
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QPlainTextEdit, QTextEdit, QWidget

from .conftest import go_on, until

Editor = QPlainTextEdit | QTextEdit
KINDS: tuple[type[QPlainTextEdit] | type[QTextEdit], ...] = (QPlainTextEdit, QTextEdit)
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
KEYS = {
    "left": (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier),
    "right": (Qt.Key.Key_Right, Qt.KeyboardModifier.NoModifier),
    "select left": (Qt.Key.Key_Left, SHIFT),
    "home": (Qt.Key.Key_Home, Qt.KeyboardModifier.NoModifier),
    "backspace": (Qt.Key.Key_Backspace, Qt.KeyboardModifier.NoModifier),
    "delete": (Qt.Key.Key_Delete, Qt.KeyboardModifier.NoModifier),
    "return": (Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier),
    "new line": (Qt.Key.Key_Return, SHIFT),
    "select all": (Qt.Key.Key_A, CTRL),
    "cut": (Qt.Key.Key_X, CTRL),
    "paste": (Qt.Key.Key_V, CTRL),
    "undo": (Qt.Key.Key_Z, CTRL),
    "redo": (Qt.Key.Key_Z, CTRL | SHIFT),
}


class Pad:
    """An editor, bound to a note, and the user before it."""

    def __init__(self, window: QWidget, note: Document, editor: Editor | None = None) -> None:
        self.note = note
        self.editor = editor or QPlainTextEdit(window)
        self.refused: list[BaseException] = []
        self.synced = SyncedText(self.editor, note, ("body",), Queued(window), refused=self.refused.append)
        window.show()
        self.editor.show()

    def press(self, *keys: str) -> None:
        """Keys by name; anything else is typed."""
        for key in keys:
            if key in KEYS:
                QTest.keyClick(self.editor, *KEYS[key])
            else:
                QTest.keyClicks(self.editor, key)

    def at(self, position: int, anchor: int | None = None) -> None:
        """Put the cursor there, in UTF-16 units."""
        cursor = self.editor.textCursor()
        cursor.setPosition(position if anchor is None else anchor)
        cursor.setPosition(position, QTextCursor.MoveMode.KeepAnchor)
        self.editor.setTextCursor(cursor)

    def compose(self, preview: str, done: str = "") -> None:
        """What an input method does."""
        event = QInputMethodEvent(preview, [])
        event.setCommitString(done)
        QCoreApplication.sendEvent(self.editor, event)

    @property
    def text(self) -> str:
        cursor = QTextCursor(self.editor.document())
        cursor.select(QTextCursor.SelectionType.Document)
        return cursor.selectedText().replace("\u2029", "\n")

    @property
    def selected(self) -> str:
        return self.editor.textCursor().selectedText()

    def level(self) -> None:
        """Editor and document show the same."""
        until(lambda: self.synced.binding.saved and self.text == str(self.note.doc["body"]))
        assert self.text == self.synced.binding.text


@pytest.fixture
def note(engine: Engine) -> Document:
    return engine.create_space("Family").create({"body": Text("oat 😀 milk\nbread"), "n": 0})


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def pad(request: pytest.FixtureRequest, window: QWidget, note: Document) -> Pad:
    """Both kinds of editors, which had a text of their own."""
    editor: Editor = request.param("what was there before", window)
    return Pad(window, note, editor)


def write(note: Document, work: Callable[[Text], object]) -> None:
    """As this program, or another device, does."""
    with note.change() as doc:
        work(doc["body"])


def test_what_keys_do_is_in_the_document(pad: Pad) -> None:
    assert pad.text == "oat 😀 milk\nbread"
    pad.at(4)
    pad.press("nice ", "right", "backspace", "right", "return")
    pad.level()
    assert pad.text == "oat nice  \nmilk\nbread"
    pad.at(len(pad.text))
    pad.press("x", "select left", "select left", "y", "home", "delete", "new line")
    pad.level()
    assert pad.text == "oat nice  \nmilk\n\u2028reay"
    QApplication.clipboard().setText("אבג 👨‍👩‍👧 e\u0301\u00a0\r\n")
    pad.at(0)
    pad.press("paste")
    pad.level()
    assert pad.text == "אבג 👨‍👩‍👧 e\u0301\u00a0\noat nice  \nmilk\n\u2028reay"
    pad.press("select all", "cut")
    pad.level()
    assert str(pad.note.doc["body"]) == ""
    pad.press("new")
    pad.level()


def test_what_the_program_does_with_the_editor_is_in_the_document(pad: Pad) -> None:
    cursor = QTextCursor(pad.editor.document())
    cursor.beginEditBlock()
    cursor.insertText("A")
    cursor.setPosition(6)
    cursor.deletePreviousChar()
    cursor.movePosition(QTextCursor.MoveOperation.End)
    cursor.insertText("\nlast 😀")
    cursor.endEditBlock()
    pad.level()
    pad.editor.setPlainText("All\nnew")
    pad.level()
    assert str(pad.note.doc["body"]) == "All\nnew"
    heads = pad.note.heads
    bold = QTextCharFormat()
    bold.setFontWeight(QFont.Weight.Bold)
    cursor.select(QTextCursor.SelectionType.Document)
    cursor.mergeCharFormat(bold)

    class Marked(QSyntaxHighlighter):
        def highlightBlock(self, text: str) -> None:
            self.setFormat(0, len(text), bold)

    marker = Marked(pad.editor.document())
    go_on(0.05)
    assert pad.note.heads == heads, "looks are no edits"
    pad.editor.document().clear()
    pad.level()
    assert str(pad.note.doc["body"]) == ""
    marker.deleteLater()


def test_cursor_and_selection_stay_at_their_characters(pad: Pad) -> None:
    pad.at(7, anchor=11)
    assert pad.selected == "milk"
    write(pad.note, lambda body: (body.insert(0, "very 👍\n"), body.replace("milk", "mild milk")))
    pad.level()
    assert pad.selected.endswith("milk")
    cursor = pad.editor.textCursor()
    assert cursor.position() < cursor.anchor()
    pad.at(len(pad.text) + 2)
    place = pad.editor.textCursor().position()
    write(pad.note, lambda body: body.append(" and eggs"))
    pad.level()
    assert pad.editor.textCursor().position() == place
    pad.at(0)
    write(pad.note, lambda body: body.insert(0, "x"))
    pad.level()
    assert pad.editor.textCursor().position() == 0


def test_what_is_seen_stays_where_it_is(pad: Pad) -> None:
    write(pad.note, lambda body: body.append("".join(f"\nline {number}" for number in range(300))))
    pad.level()
    pad.editor.resize(300, 150)
    pad.at(0)
    bar = pad.editor.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    go_on(0.02)

    def top() -> tuple[str, int]:
        cursor = pad.editor.cursorForPosition(QPoint(0, 0))
        return cursor.block().text(), pad.editor.cursorRect(cursor).top()

    seen = top()
    assert seen[0].startswith("line 1")
    write(pad.note, lambda body: body.insert(0, "first\n" * 20))
    pad.level()
    assert top() == seen
    write(pad.note, lambda body: (body.append("\nlast"), body.delete(0, 12)))
    pad.level()
    assert top() == seen
    assert pad.editor.textCursor().position() == 0
    bar.setValue(0)
    write(pad.note, lambda body: body.insert(0, "first\n" * 20))
    pad.level()
    assert bar.value() == 0


def test_undo_is_of_what_was_typed_here(pad: Pad, window: QWidget) -> None:
    shortcut = QAction("Undo", window, shortcut="Ctrl+Z")
    shortcut.triggered.connect(lambda: pytest.fail("the program's own undo"))
    window.addAction(shortcut)
    write(pad.note, lambda body: body.append(" and eggs"))
    pad.level()
    pad.at(0)
    pad.press("xy")
    pad.level()
    pad.press("undo")
    until(lambda: pad.text == "oat 😀 milk\nbread and eggs")
    pad.press("redo")
    until(lambda: pad.text == "xyoat 😀 milk\nbread and eggs")
    pad.level()
    choose(pad.editor, "edit-undo")
    until(lambda: pad.text == "oat 😀 milk\nbread and eggs")
    choose(pad.editor, "edit-redo")
    until(lambda: pad.text == "xyoat 😀 milk\nbread and eggs")
    assert not pad.editor.document().isUndoRedoEnabled(), "Qt's own would take back the work of others"
    pad.synced.close()
    assert pad.editor.document().isUndoRedoEnabled()


def choose(editor: Editor, name: str) -> None:
    """Choose an item of the editor's menu."""
    at = editor.rect().center()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, at, editor.mapToGlobal(at))
    QCoreApplication.sendEvent(editor, event)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    menu.setActiveAction(menu.findChild(QAction, name))
    QTest.keyClick(menu, Qt.Key.Key_Return)
    assert QApplication.activePopupWidget() is None


def test_what_others_write_waits_while_an_input_method_composes(pad: Pad) -> None:
    pad.at(4)
    pad.compose("にほ")
    write(pad.note, lambda body: body.insert(0, "very "))
    write(pad.note, lambda body: body.append("!"))
    go_on(0.05)
    assert (pad.text, pad.synced.binding.text) == ("oat 😀 milk\nbread", "oat 😀 milk\nbread")
    pad.compose("にほん")
    pad.compose("", "日本")
    pad.level()
    assert pad.text == "very oat 日本😀 milk\nbread!"
    pad.compose("x")
    write(pad.note, lambda body: body.append("?"))
    go_on(0.05)
    assert pad.text == "very oat 日本😀 milk\nbread!"
    pad.compose("")
    pad.level()
    assert pad.text == "very oat 日本😀 milk\nbread!?"


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


def test_a_read_only_editor_follows_and_takes_nothing(window: QWidget, note: Document) -> None:
    editor = QPlainTextEdit(window, readOnly=True)
    pad = Pad(window, note, editor)
    pad.press("x", "undo")
    write(note, lambda body: body.append("!"))
    pad.level()
    assert pad.text == "oat 😀 milk\nbread!"
    assert editor.isReadOnly()


def test_half_a_character_is_none(pad: Pad) -> None:
    cursor = QTextCursor(pad.editor.document())
    cursor.insertText("\ud83d")
    pad.level()
    assert pad.text == "oat 😀 milk\nbread"
    cursor.setPosition(5)
    cursor.insertText("between the halves")
    pad.level()
    assert pad.text == "oat between the halves milk\nbread"


def test_every_character_keeps_its_place(pad: Pad) -> None:
    odd = "a\r\nb\rc\u2028d\u2029e\ufdd0f\ufdd1g\u00a0h\0i\ufffcj\u200bk\ufefft\U0010ffff"
    write(pad.note, lambda body: body.insert(0, odd))
    until(lambda: pad.synced.binding.text.startswith(odd))
    places = len(odd.encode("utf-16-le")) // 2
    for place in sorted(random.Random(3).sample(range(places - 1), 8), reverse=True):
        pad.at(place)
        pad.press("|")
    until(lambda: pad.synced.binding.saved)
    text = str(pad.note.doc["body"])
    assert text == pad.synced.binding.text
    assert text.replace("|", "") == odd + "oat 😀 milk\nbread"
    assert [at for at, char in enumerate(pad.text) if char == "|"] == [at for at, c in enumerate(text) if c == "|"]


PIECES = ["a", "b", "é", "e\u0301", "😀", "👨‍👩‍👧", "אבג", "مرحبا", "\n", "word "]


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


def test_a_text_ends_with_its_editor_however_it_goes(
    window: QWidget, note: Document, caplog: pytest.LogCaptureFixture
) -> None:
    def make(kind: type[QPlainTextEdit] | type[QTextEdit], parent: QWidget | None = None) -> Pad:
        return Pad(window, note, kind(parent))

    pads = [make(kind) for kind in KINDS] + [make(kind, window) for kind in KINDS] + [make(QPlainTextEdit)]
    for number, pad in enumerate(pads):
        pad.at(0)
        pad.press("PQRST"[number])
    shiboken6.delete(pads[0].editor)
    pads[1].editor = pads[0].editor
    pads[1].synced = pads[0].synced
    gc.collect()
    pads[2].synced.close()
    pads[2].synced.close()
    pads[2].press("more")
    assert "more" in pads[2].text
    pads[4].editor.setDocument(QPlainTextEdit(window).document())
    shiboken6.delete(window.findChild(QTextEdit))
    write(note, lambda body: body.append("!"))
    go_on()
    assert set("PQRS") < set(str(note.doc["body"]))
    assert "more" not in str(note.doc["body"])
    for pad in pads[4:]:
        pad.synced.close()
    lasting, editor = QTextDocument(), QTextEdit()
    editor.setDocument(lasting)
    Pad(window, note, editor)
    shiboken6.delete(editor)
    until(lambda: note.asynchronous._opened.listeners == [])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_a_reader_types_gives_way_and_is_told(window: QWidget, engine: Engine, tmp_path: Path) -> None:
    space = engine.create_space("Family")
    note = space.create({"body": Text("milk")})
    engine.listen(f"memory://{tmp_path.name}")
    with Engine.open(f"sqlite:///{tmp_path}/reader.db") as reader:
        theirs = reader.join(space.invite(mode="auto", role=Role.READER)).document(note.id, wait_s=20)
        pad = Pad(window, theirs)
        pad.press("oat ")
        until(lambda: pad.refused)
        assert isinstance(pad.refused[0], AccessDenied)
        until(lambda: pad.text == "milk")
        pad.synced.close()


def test_what_is_typed_after_the_engine_was_closed_is_taken_back_and_told(pad: Pad) -> None:
    pad.note.engine.close()
    pad.press("x")
    assert pad.text == "oat 😀 milk\nbread"
    until(lambda: pad.refused)
    assert isinstance(pad.refused[0], EngineMisuse)
    pad.synced.close()
    pad.press("x")
    assert pad.text.startswith("x")


def test_bad_use_is_refused_and_changes_nothing(window: QWidget, note: Document) -> None:
    editor, deliver = QPlainTextEdit("before", window), Queued(window)
    with ThreadPoolExecutor(1) as pool, pytest.raises(EngineMisuse, match="another thread"):
        pool.submit(SyncedText, editor, note, ("body",), deliver).result()
    with pytest.raises(NotFound):
        SyncedText(editor, note, ("nothing",), deliver)
    assert editor.toPlainText() == "before"
    assert editor.document().isUndoRedoEnabled()
    pad = Pad(window, note, editor)
    with ThreadPoolExecutor(1) as pool, pytest.raises(EngineMisuse, match="another thread"):
        pool.submit(pad.synced.close).result()
