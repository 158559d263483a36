"""Ctrl-C in Tk programs: what is raised inside one of Tk's callbacks is shown there, and ends nothing."""

from __future__ import annotations

import signal
import tkinter


def quit_on_interrupt(root: tkinter.Tk) -> None:
    """Have Ctrl-C, and a request to terminate, close the window: `mainloop` returns, and the program goes on.

    To be called on the main thread, right before `mainloop`: a call that waits, as `join` does, would not be
    interrupted by them any more. What these signals did before they do again once the window is closed. Python hears
    of them when Tk has something to call, as it always has with a `Polling`.
    """
    before = {
        number: signal.signal(number, lambda *_: root.after(0, root.destroy))  # not in the midst of a callback
        for number in (signal.SIGINT, signal.SIGTERM)
    }

    def end(event: tkinter.Event[tkinter.Misc]) -> None:
        if event.widget is root:
            for number, handler in before.items():
                signal.signal(number, handler)

    root.bind("<Destroy>", end, add=True)
