"""A Qt window that is measured for how long it stalls at its own user's edits: `stall_typing.py SIZE HOW`.

SIZE characters in lines are pasted into a `QPlainTextEdit` that holds a text of a document, and taken back with Ctrl-Z.
HOW is `steady` for a program that calls that, and `unbound` for an editor without a document of ours, Qt alone. It
prints the longest gap between the beats of a timer of one millisecond at each, until all of it is shown and on disk.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from lichen import Text
from lichen.blocking import Engine, steady
from lichen_adapters.qt import Queued, SyncedText
from PySide6.QtCore import QMimeData, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPlainTextEdit

QUIET_S = 0.5
LINE = "a line that is pasted\n"


class Editor(QPlainTextEdit):
    """One into which text can be pasted without a clipboard."""

    def paste_text(self, text: str) -> None:
        """Paste it."""
        data = QMimeData()
        data.setText(text)
        self.insertFromMimeData(data)

    @property
    def length(self) -> int:
        """How many characters it shows."""
        return self.document().characterCount() - 1


class Window:
    """An editor, and how long its loop was away."""

    def __init__(self, application: QApplication) -> None:
        self._application = application
        self.editor = Editor()
        self.editor.resize(600, 400)
        self.editor.show()
        self._timer = QTimer(self.editor, interval=1, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._last = self.longest = 0.0
        self.run(lambda: False)

    def _beat(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last)
        self._last = now

    def run(self, begin: Callable[[], object], done: Callable[[], bool] = lambda: True) -> float:
        """The longest gap from `begin` until it is done, and has been for a while."""
        self._last, self.longest = time.perf_counter(), 0.0
        self._timer.start()
        QTimer.singleShot(20, begin)
        since = time.perf_counter()
        while time.perf_counter() - since < QUIET_S:
            self._application.processEvents()
            if not done():
                since = time.perf_counter()
        self._timer.stop()
        return self.longest

    def measure(self, text: str, done: Callable[[], bool] = lambda: True) -> dict[str, float]:
        """Paste, and take back."""
        length = self.editor.length
        paste = self.run(lambda: self.editor.paste_text(text), lambda: done() and self.editor.length > length)
        undo = self.run(
            lambda: QTest.keyClick(self.editor, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier),
            lambda: done() and self.editor.length == length,
        )
        return {"paste": paste, "undo": undo}


@contextmanager
def bound(window: Window, steadily: bool) -> Iterator[SyncedText]:
    """The editor with a text of a document."""
    with (
        tempfile.TemporaryDirectory(prefix="lichen-bench-") as name,
        Engine.open(f"sqlite:///{Path(name) / 'a.db'}", passphrase="benchmark") as engine,
    ):
        note = engine.create_space("Bench").create({"body": Text("word " * 200 + "\n")})
        synced = SyncedText(window.editor, note, ("body",), Queued(window.editor))
        window.run(lambda: None)
        if steadily:
            steady()
        yield synced
        synced.close()


def main() -> None:
    """Measure."""
    size, how = int(sys.argv[1]), sys.argv[2]
    window = Window(QApplication([]))
    text = (LINE * (size // len(LINE) + 1))[:size]
    if how == "unbound":
        window.editor.setPlainText("word " * 200 + "\n")
        found = window.measure(text)
    else:
        with bound(window, how == "steady") as synced:
            found = window.measure(text, lambda: synced.binding.saved)
    print(json.dumps(found))


main()
