"""Types in a `QPlainTextEdit`, by keys and an input method. See `together_window`."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from lichen.blocking import Deliver, Document
from lichen_adapters.qt import Queued, SyncedText
from lichen_crdt import from_utf16, utf16_length
from PySide6.QtCore import QCoreApplication, Qt, QTimer
from PySide6.QtGui import QInputMethodEvent, QTextCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPlainTextEdit
from together_window import Window, joined


class Pad:
    """As `together_window.Editor`."""

    def __init__(self, editor: QPlainTextEdit, note: Document, deliver: Deliver) -> None:
        self._editor = editor
        self.binding = SyncedText(editor, note, ("body",), deliver).binding

    def text(self) -> str:
        return self._editor.toPlainText()

    def cursor(self) -> int:
        return from_utf16(self.text(), self._editor.textCursor().position())

    def choose(self, start: int, end: int) -> None:
        text, cursor = self.text(), self._editor.textCursor()
        cursor.setPosition(utf16_length(text[:start]))
        cursor.setPosition(utf16_length(text[:end]), QTextCursor.MoveMode.KeepAnchor)
        self._editor.setTextCursor(cursor)

    def type(self, piece: str) -> None:
        if piece in ("", "\n"):
            QTest.keyClick(self._editor, Qt.Key.Key_Return if piece else Qt.Key.Key_Backspace)
        elif piece.isascii():
            QTest.keyClicks(self._editor, piece)
        else:
            event = QInputMethodEvent(piece[:1], [])
            QCoreApplication.sendEvent(self._editor, event)
            event = QInputMethodEvent()
            event.setCommitString(piece)
            QCoreApplication.sendEvent(self._editor, event)


app = QApplication([])
engine, note = joined()
with engine:
    editor = QPlainTextEdit()
    editor.show()
    deliver = Queued(editor)
    window = Window(Pad(editor, note, deliver), QTimer.singleShot)
    window.listen(deliver, app.quit)
    app.exec()
