"""A window with a synced text and rows, whose user types numbers. Ended by `test_endings.py` in several ways.

Usage: window.py URL END. It says on stdout each number that is on disk.
"""

from __future__ import annotations

import os
import sys
import threading

from lichen import Text
from lichen.blocking import Document, Engine
from lichen_adapters.orm import Synced
from lichen_adapters.orm.blocking import Sessions
from lichen_adapters.qt import ListRows, Queued, SpaceSignals, SyncedText, quit_on_interrupt
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QListView, QPlainTextEdit, QVBoxLayout, QWidget
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped


class Base(DeclarativeBase):
    """One table."""


class Task(Synced, Base):
    """A row for each number."""

    __tablename__ = "task"
    number: Mapped[int]


class Window(QWidget):
    """Writes a number into its text and a row for it, again and again."""

    def __init__(self, engine: Engine, sessions: Sessions, note: Document, end: str) -> None:
        super().__init__()
        self.sessions, self.note, self.how = sessions, note, end
        deliver = Queued(self)
        view, self.editor, layout = QListView(), QPlainTextEdit(), QVBoxLayout(self)
        layout.addWidget(view)
        layout.addWidget(self.editor)
        tasks = select(Task).order_by(Task.number.desc())
        view.setModel(ListRows(sessions, tasks, lambda task: str(task.number), deliver, parent=self))
        self.synced = SyncedText(self.editor, note, ("body",), deliver)
        SpaceSignals(engine, engine.space(note.space), deliver, parent=self)
        engine.events().call(lambda _: 1 // 0 if end == "raises in a callback" else None, deliver)
        self.number = 0
        self.timer = QTimer(self, interval=1)
        self.timer.timeout.connect(self.type)
        self.timer.start()

    def type(self) -> None:
        """A number more, if the one before is in the document."""
        if not self.synced.binding.saved:
            return
        if self.number:
            self.note.saved()
            os.write(1, b"%d\n" % self.number)
        if self.number == 50 and self.how == "closes its window":
            self.close()
        if self.number == 50 and self.how != "":
            self.timer.stop()
            QApplication.quit()
            return
        self.number += 1
        self.editor.insertPlainText(f"{self.number} ")
        with self.sessions.begin(self.sessions._blocking.space(self.note.space)) as session:
            session.add(Task(number=self.number))


def main(url: str, end: str) -> None:
    """Run until the window closes, or something ends it."""
    application = QApplication([])
    if end != "plain":
        quit_on_interrupt(application)
    with Engine.open(url) as engine, Sessions(engine, Base) as sessions:
        sessions.prepare()
        note = engine.create_space("Family").create({"body": Text("")})
        window = Window(engine, sessions, note, end)
        window.show()
        application.exec()
        if end == "exits":
            sys.exit(3)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
    assert threading.enumerate() == [threading.main_thread()]
