"""An editor that is bound to a note, and the user before it."""

from __future__ import annotations

from collections.abc import Callable

from lichen import Text
from lichen.blocking import Document
from lichen_adapters.qt import Queued, SyncedText
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QInputMethodEvent, QTextCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget
from turns import until

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


def write(note: Document, work: Callable[[Text], object]) -> None:
    """As this program, or another device, does."""
    with note.change() as doc:
        work(doc["body"])
