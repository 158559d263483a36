"""A synced text in Qt's editors: with keys, the clipboard, input methods, and what programs do with them."""

from __future__ import annotations

import random

import pytest
from lichen.blocking import Document
from lichen_crdt import TextPatch
from PySide6.QtCore import QCoreApplication, QPoint, Qt
from PySide6.QtGui import QAction, QContextMenuEvent, QFont, QSyntaxHighlighter, QTextCharFormat, QTextCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QPlainTextEdit, QWidget
from qt_pad import Editor, Pad, write
from turns import go_on, until


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


def test_a_read_only_editor_follows_and_takes_nothing(window: QWidget, note: Document) -> None:
    editor = QPlainTextEdit(window, readOnly=True)
    pad = Pad(window, note, editor)
    pad.press("x", "undo")
    write(note, lambda body: body.append("!"))
    pad.level()
    assert pad.text == "oat 😀 milk\nbread!"
    assert editor.isReadOnly()


def test_a_table_is_lines(pad: Pad) -> None:
    """What others delete across its edge would go in the text alone."""
    cursor = QTextCursor(pad.editor.document())
    cursor.setPosition(3)
    table = cursor.insertTable(1, 2)
    table.cellAt(0, 0).firstCursorPosition().insertText("😀")
    table.cellAt(0, 1).firstCursorPosition().insertText("b")
    pad.at(5)
    pad.level()
    assert pad.text == "oat\n😀\nb\n 😀 milk\nbread"
    until(lambda: bool(pad.refused))
    assert pad.editor.document().rootFrame().childFrames() == []
    assert pad.editor.textCursor().position() == 5
    assert len(pad.refused) == 1
    write(pad.note, lambda body: body.delete(2, 3))
    pad.level()
    assert pad.text == "oa\nb\n 😀 milk\nbread"
    QTextCursor(pad.editor.document()).insertHtml("<table><tr><td>c<td>d</table>")
    write(pad.note, lambda body: body.insert(0, "first "))
    pad.level()
    assert pad.text == "first \nc\nd\noa\nb\n 😀 milk\nbread"
    assert pad.editor.document().rootFrame().childFrames() == []


def test_what_the_program_does_with_what_others_wrote_is_in_the_document(pad: Pad) -> None:
    """In a slot, before it is known where the user's cursor stays."""

    def correct() -> None:
        if (place := pad.text.find("teh")) >= 0:
            cursor = QTextCursor(pad.editor.document())
            cursor.setPosition(place)
            cursor.setPosition(place + 3, QTextCursor.MoveMode.KeepAnchor)
            cursor.insertText("T")

    pad.editor.textChanged.connect(correct)
    pad.at(len(pad.text) + 1)
    write(pad.note, lambda body: body.insert(0, "teh 😀 "))
    pad.level()
    assert str(pad.note.doc["body"]) == "T 😀 oat 😀 milk\nbread"
    assert pad.editor.textCursor().atEnd()
    pad.press("!")
    pad.level()
    assert str(pad.note.doc["body"]).endswith("bread!")


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


@pytest.mark.parametrize("first", ["\ufeff", "\ufffe"])
def test_a_text_may_begin_as_a_file_does_with_its_order_of_bytes(pad: Pad, first: str) -> None:
    """Which Qt for Python would take for that, and not insert."""
    write(pad.note, lambda body: body.insert(0, f"{first}b"))
    until(lambda: pad.synced.binding.text.startswith(first))
    write(pad.note, lambda body: body.append("!"))
    until(lambda: pad.text.endswith("bread!"))
    pad.at(2)
    heads = pad.note.heads
    pad.press("|")
    until(lambda: pad.synced.binding.saved)
    assert str(pad.note.doc["body"]) == f"{first}b|oat 😀 milk\nbread!"
    (patch,) = pad.note.doc.diff(heads, pad.note.heads)
    assert isinstance(patch, TextPatch)
    assert (patch.index, patch.deleted, patch.inserted) == (2, 0, "|")
    assert pad.text[1:] == "b|oat 😀 milk\nbread!"
