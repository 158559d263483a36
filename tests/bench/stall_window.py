"""A window that is measured for how long it stalls: `stall_window.py TOOLKIT WHAT STORE TICKET URL DOCUMENT COUNT HOW`.

TOOLKIT is `qt` or `tk`, WHAT `text` or `rows`; HOW is `steady` for a program that calls that. It joins, goes away, and
says so. At a line on standard input it comes back to URL, where COUNT edits wait, and says how long the longest gaps
between the beats of a timer of one millisecond were until it shows them all.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from lichen.blocking import Deliver, Document, Engine, steady
from lichen.ids import DocId
from lichen_adapters.orm.blocking import Sessions
from sqlalchemy import select
from stall_models import Base, Line

LINES = select(Line).order_by(Line.place)


class Beats:
    """When a timer came."""

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.gaps: list[float] = []

    def beat(self) -> None:
        """It comes now."""
        now = time.perf_counter()
        self.gaps.append(now - self.last)
        self.last = now


def say(**value: object) -> None:
    """Print an object."""
    print(json.dumps(value), flush=True)


class QtWindow:
    """A QPlainTextEdit, or a QTableView: a QListView asks for the place of every row at each change."""

    def __init__(self, what: str, sessions: Sessions, note: Document) -> None:
        from lichen_adapters.qt import Column, Queued, SyncedText, TableRows, paint_at_once
        from PySide6.QtCore import Qt, QTimer
        from PySide6.QtWidgets import QApplication, QPlainTextEdit, QTableView

        self.application = QApplication([])
        self.widget: Any
        if what == "text":
            self.widget = QPlainTextEdit()
            self.synced = SyncedText(self.widget, note, ("body",), Queued(self.widget))
        else:
            self.widget = QTableView()
            self.widget.verticalHeader().hide()
            paint_at_once(self.widget)
            columns = [
                Column[Line]("Text", lambda line: line.text),
                Column[Line]("Place", lambda line: str(line.place)),
            ]
            self.model = TableRows(sessions, LINES, columns, Queued(self.widget), parent=self.widget)
            self.widget.setModel(self.model)
        self.what = what
        self.widget.resize(600, 400)
        self.widget.show()
        self.beats = Beats()
        self.timer = QTimer(self.widget, interval=1, timerType=Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(self.beats.beat)

    @property
    def shown(self) -> int:
        """How much is shown."""
        return self.widget.document().characterCount() - 1 if self.what == "text" else self.model.rowCount()

    def run(self, until: Callable[[], bool]) -> None:
        """Its main loop."""
        from PySide6.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        check = QTimer(interval=20)
        check.timeout.connect(lambda: loop.quit() if until() else None)
        check.start()
        self.timer.start()
        self.beats.last = time.perf_counter()
        loop.exec()
        self.timer.stop()

    def close(self) -> None:
        """Close it."""
        self.widget.deleteLater()
        del self.widget


class TkWindow:
    """A tkinter.Text, or a ttk.Treeview."""

    def __init__(self, what: str, sessions: Sessions, note: Document) -> None:
        import tkinter
        from tkinter import ttk

        from lichen_adapters.tk import Polling, SyncedText, TreeRows

        self.root = tkinter.Tk()
        deliver: Deliver = Polling(self.root)
        self.what = what
        if what == "text":
            text = tkinter.Text(self.root)
            text.pack()
            self.synced = SyncedText(text, note, ("body",), deliver)
        else:
            tree = ttk.Treeview(self.root, show="tree")
            tree.pack()
            self.rows = TreeRows(tree, sessions, LINES, lambda line: {"text": line.text}, deliver)
            self.tree = tree
        self.beats = Beats()

    @property
    def shown(self) -> int:
        """How much is shown."""
        return len(self.synced.binding.text) if self.what == "text" else len(self.tree.get_children())

    def run(self, until: Callable[[], bool]) -> None:
        """Its main loop."""
        last = [0.0]

        def beat() -> None:
            self.beats.beat()
            if time.perf_counter() - last[0] > 0.02:
                last[0] = time.perf_counter()
                if until():
                    self.root.quit()
                    return
            self.root.after(1, beat)

        self.beats.last = time.perf_counter()
        self.root.after(1, beat)
        self.root.mainloop()

    def close(self) -> None:
        """Close it."""
        self.root.destroy()


def main() -> None:
    """Join, show, and measure."""
    toolkit, what, store, ticket, url, document, count, how = sys.argv[1:]
    key = DocId(bytes.fromhex(document))
    with Engine.open(store, passphrase="benchmark") as engine:
        engine.join(ticket, name="B").document(key, wait_s=60)
    say(away=True)
    sys.stdin.readline()
    with Engine.open(store, passphrase="benchmark") as engine, Sessions(engine, Base) as sessions:
        sessions.prepare()
        note = engine.document(key)
        window = (QtWindow if toolkit == "qt" else TkWindow)(what, sessions, note)
        begin = window.shown
        window.run(lambda: True)
        window.beats.gaps.clear()
        window.run(lambda: len(window.beats.gaps) > 200)
        quiet = sorted(window.beats.gaps)
        window.beats.gaps.clear()
        if how == "steady":
            steady()
        wanted = begin + int(count)
        began = time.perf_counter()
        engine.connect(url)
        window.run(lambda: window.shown >= wanted)
        seconds = time.perf_counter() - began
        gaps = sorted(window.beats.gaps)
        say(longest=gaps[-1], p99=gaps[len(gaps) * 99 // 100], beats=len(gaps), seconds=seconds, quiet=quiet[-1])
        window.close()


main()
