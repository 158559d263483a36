"""Runs an example that uses Qt, and does in its window what comes on stdin: each line a Python expression.

Usage: drive_qt.py EXAMPLE ARGUMENTS. What an expression gives is printed as JSON, after "= ". In it there are
`window`, `find(class name, number)`, `type_in(widget, text)`, `press(widget, *keys)`, `click(view, row)`,
`drag(view, row, other view)`, `shown(view)` and `titles(view)`.
"""

from __future__ import annotations

import json
import runpy
import sys
import threading
import warnings

from lichen_adapters.qt import Queued
from PySide6.QtCore import QModelIndex, QObject, QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QListView, QWidget

COPY, LEFT, NONE = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def press(widget: QWidget, *keys: str) -> None:
    """Press keys by the names that Qt has for them, such as `Ctrl+Z`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # no other call helps where no window manager is
        QApplication.setActiveWindow(widget.window())
    widget.setFocus()
    for key in keys:
        QTest.keySequence(widget, QKeySequence(key))


def type_in(widget: QWidget, text: str) -> None:
    """Type, and paste what no key is for."""
    for char in text:
        if char.isascii():
            press(widget, "Return") if char == "\n" else QTest.keyClicks(widget, char)
        else:
            QApplication.clipboard().setText(char)
            press(widget, "Ctrl+V")


def shown(view: QListView) -> list[QModelIndex]:
    """The rows that are not hidden."""
    rows = range(view.model().rowCount())
    return [view.model().index(row, 0) for row in rows if not view.isRowHidden(row)]


def click(view: QListView, row: int) -> None:
    """Click on a row."""
    place = view.visualRect(shown(view)[row]).center()
    QTest.mouseClick(view.viewport(), LEFT, NONE, place)


def drag(view: QListView, row: int, to: QListView) -> None:
    """What arrives at a view when a row of another, which a press has chosen, is dropped on it."""
    click(view, row)
    data, port = view.model().mimeData([shown(view)[row]]), to.viewport()
    place = QPoint(port.width() // 2, port.height() - 5)

    class Drop(QDropEvent):
        def source(self) -> QObject:
            return view

    QApplication.sendEvent(port, QDragEnterEvent(place, COPY, data, LEFT, NONE))
    QApplication.sendEvent(port, Drop(QPointF(place), COPY, data, LEFT, NONE))


def titles(view: QListView) -> list[str]:
    """What the rows show."""
    return [index.data() for index in shown(view)]


def drive(window: QWidget) -> None:
    """Do what comes on stdin, on Qt's thread; at its end close the window."""
    deliver = Queued(window)

    def find(kind: str, number: int = 0) -> QWidget:
        return [one for one in window.findChildren(QWidget) if type(one).__name__ == kind][number]

    names = {one.__name__: one for one in (press, type_in, click, drag, shown, titles)} | {
        "window": window,
        "find": find,
    }

    def read() -> None:
        for line in sys.stdin:
            deliver(lambda line=line: print("=", json.dumps(eval(line, names)), flush=True))  # type: ignore[misc]
        deliver(window.close)  # type: ignore[arg-type]  # what it returns is nothing to us

    threading.Thread(target=read, daemon=True).start()


def main() -> None:
    """Run the example with its arguments."""
    go_on = QApplication.exec

    def go(*_: object) -> int:
        (window,) = QApplication.topLevelWidgets()
        drive(window)
        return go_on()

    QApplication.exec = go  # type: ignore[method-assign, assignment]
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
