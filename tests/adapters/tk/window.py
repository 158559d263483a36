"""A window with a synced text and rows, whose user types numbers. See `endings`.

Usage: window.py URL END. It says on stdout each number that is on disk.
"""

from __future__ import annotations

import os
import sys
import threading
import tkinter
from tkinter import ttk

from endings import LAST
from lichen import Text
from lichen.blocking import Document, Engine
from lichen_adapters.orm.blocking import Sessions
from lichen_adapters.tk import Polling, SyncedText, TreeRows, quit_on_interrupt
from tasks import TASKS, Base, Task


class Window:
    """Writes a number into its text and a row for it, again and again."""

    def __init__(self, root: tkinter.Tk, engine: Engine, sessions: Sessions, note: Document, end: str) -> None:
        self.root, self.sessions, self.note, self.end = root, sessions, note, end
        self.space = engine.space(note.space)
        deliver = Polling(root)
        tree, self.text = ttk.Treeview(root), tkinter.Text(root)
        tree.pack()
        self.text.pack()
        TreeRows(tree, sessions, TASKS, lambda task: {"text": task.title}, deliver)
        self.synced = SyncedText(self.text, note, ("body",), deliver)
        engine.events().call(lambda _: 1 // 0 if end == "raises in a callback" else None, deliver)
        self.number = 0
        root.after(1, self.type)

    def type(self) -> None:
        """A number more, if the one before is in the document."""
        self.root.after(1, self.type)
        if not self.synced.binding.saved:
            return
        if self.number:
            self.note.saved()
            os.write(1, b"%d\n" % self.number)
        if self.number == LAST and self.end:
            self.close()
            return
        self.number += 1
        self.text.insert("end", f"{self.number} ")
        with self.sessions.begin(self.space) as session:
            session.add(Task(title=str(self.number), rank=self.number))

    def close(self) -> None:
        """End as it is to end."""
        match self.end:
            case "closes its window":
                self.root.destroy()
            case "exits":
                sys.exit(3)
            case _:
                self.root.quit()


def main(url: str, end: str) -> None:
    """Run until the window closes, or something ends it."""
    with Engine.open(url) as engine, Sessions(engine, Base) as sessions:
        sessions.prepare()
        note = engine.create_space("Family").create({"body": Text("")})
        root = tkinter.Tk()
        Window(root, engine, sessions, note, end)
        quit_on_interrupt(root)
        root.mainloop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
    assert threading.enumerate() == [threading.main_thread()]
