"""Calls on the thread of a Tk program."""

from __future__ import annotations

import tkinter
from collections.abc import Callable

from lichen.blocking import Inbox

from lichen_adapters.tk.threads import refuse_other_threads

POLL_MS, BUSY_MS = 15, 7
"""How often it is looked whether there is something to call; and how soon again, where there was."""


class Polling:
    """A `lichen.blocking.Deliver` for Tk: makes calls on Tk's thread, from a timer (`after`).

    One for a program is enough. It ends with the widget, most often the window, that it was made with. What a call
    raises goes where Tk's own callbacks raise it.
    """

    def __init__(self, widget: tkinter.Misc) -> None:
        """Raises `EngineMisuse` on another thread than Tk's."""
        refuse_other_threads(widget, "a Polling")
        self._widget = widget
        self._inbox = Inbox()
        self._timer = ""
        widget.bind("<Destroy>", self._destroyed, add=True)
        self._poll()

    def __call__(self, call: Callable[[], None], /) -> None:
        """Have a call made; from any thread."""
        self._inbox(call)

    def stop(self) -> None:
        """Make no more calls; idempotent."""
        if self._timer:
            self._widget.after_cancel(self._timer)
            self._timer = ""

    def _destroyed(self, event: tkinter.Event[tkinter.Misc]) -> None:
        if event.widget is self._widget:
            self.stop()

    def _poll(self) -> None:
        self._timer = self._widget.after(POLL_MS, self._poll)  # first: what is called may raise, or show a dialog
        if self._inbox.run() and self._timer:
            self._widget.after_cancel(self._timer)
            self._timer = self._widget.after(BUSY_MS, self._poll)
