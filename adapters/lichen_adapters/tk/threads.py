"""The thread of Tk."""

from __future__ import annotations

import threading
import tkinter

from lichen.errors import EngineMisuse


def refuse_other_threads(widget: tkinter.Misc, what: str) -> None:
    """Raises `EngineMisuse` on any thread but that of a widget, which Tk itself hands calls of others to."""
    thread: list[int] = []
    try:
        command = widget.register(lambda: thread.append(threading.get_ident()))
        widget.tk.call(command)
        widget.deletecommand(command)
    except RuntimeError:  # nobody takes calls there
        pass
    if thread != [threading.get_ident()]:
        raise EngineMisuse(f"{what} was used on another thread than Tk's", hint="deliver the call to it")
