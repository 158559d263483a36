"""lichen in Tk programs: rows in a `ttk.Treeview`, a synced text in a `tkinter.Text`, and calls on Tk's thread.

It needs nothing but the standard library's `tkinter`. How to use it: `docs/howto/tk.md`.
"""

from __future__ import annotations

from lichen_adapters.tk.interrupting import quit_on_interrupt as quit_on_interrupt
from lichen_adapters.tk.polling import Polling as Polling
from lichen_adapters.tk.rows import TreeRows as TreeRows
from lichen_adapters.tk.text import SyncedText as SyncedText

__all__ = ["Polling", "SyncedText", "TreeRows", "quit_on_interrupt"]
