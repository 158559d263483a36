"""A text widget that is bound to a note, and the user before it."""

from __future__ import annotations

import time
import tkinter
from collections.abc import Callable

from lichen.blocking import Document
from lichen_adapters.tk import Polling, SyncedText


def until(root: tkinter.Misc, holds: Callable[[], object]) -> None:
    """Let Tk go on until something holds."""
    ends = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends
        root.update()


class Pad:
    """A text widget, bound to a note."""

    def __init__(self, root: tkinter.Toplevel, note: Document, **options: object) -> None:
        self.note = note
        self.widget = tkinter.Text(root, undo=True, **options)  # type: ignore[arg-type]  # each test gives its own
        self.widget.pack()
        self.synced = SyncedText(self.widget, note, ("body",), Polling(root))

    def press(self, *keys: str) -> None:
        self.widget.focus_force()
        self.widget.update()
        for key in keys:
            self.widget.event_generate(key if key.startswith("<") else f"<Key-{key}>")
        self.widget.update()

    @property
    def text(self) -> str:
        return self.widget.get("1.0", "end-1c")

    def level(self) -> None:
        """Widget and document show the same."""
        until(self.widget, lambda: self.synced.binding.saved and self.text == str(self.note.doc["body"]))
        assert self.text == self.synced.binding.text
