"""Types in a `tkinter.Text`. See `together_window`."""

from __future__ import annotations

import tkinter

from lichen.blocking import Deliver, Document
from lichen_adapters.tk import Polling, SyncedText
from together_window import Window, joined


class Pad:
    """As `together_window.Editor`."""

    def __init__(self, widget: tkinter.Text, note: Document, deliver: Deliver) -> None:
        self._widget = widget
        self._synced = SyncedText(widget, note, ("body",), deliver)
        self.binding = self._synced.binding

    def text(self) -> str:
        return self._widget.get("1.0", "end-1c")

    def cursor(self) -> int:
        return self._synced.selection()[1]

    def choose(self, start: int, end: int) -> None:
        self._synced.select(start, end)

    def type(self, piece: str) -> None:
        if piece.isascii() and piece.isalpha() and len(piece) == 1:
            self._widget.event_generate(f"<Key-{piece}>")
        elif piece:
            self._widget.insert("insert", piece)
        else:
            self._widget.event_generate("<BackSpace>")


engine, note = joined()
with engine:
    root = tkinter.Tk()
    widget = tkinter.Text(root)
    widget.pack()
    focused = tkinter.BooleanVar(root)
    widget.bind("<FocusIn>", lambda _: focused.set(True))
    widget.focus_force()
    root.wait_variable(focused)  # keys that come before would go nowhere
    deliver = Polling(root)
    window = Window(Pad(widget, note, deliver), root.after)
    window.listen(deliver, root.destroy)
    root.mainloop()
