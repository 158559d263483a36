"""A text editor that shows the same lines, whatever changes above them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import QPoint
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit


@contextmanager
def still(editor: QPlainTextEdit | QTextEdit) -> Iterator[None]:
    """Whatever is done within, the topmost character that is seen stays in its place, as far as there is room."""
    across, down = editor.horizontalScrollBar(), editor.verticalScrollBar()
    if not across.value() and not down.value():
        yield
        across.setValue(0)
        down.setValue(0)
        return
    top = editor.cursorForPosition(QPoint(0, 0))
    left, above = across.value(), down.value() - _place(editor, top)
    yield
    across.setValue(left)
    down.setValue(above + _place(editor, top))


def _place(editor: QPlainTextEdit | QTextEdit, top: QTextCursor) -> int:
    """Where it is in the document, in what the scroll bar counts: lines, or pixels."""
    if isinstance(editor, QPlainTextEdit):
        return top.block().firstLineNumber()
    return editor.cursorRect(top).top() + editor.verticalScrollBar().value()
