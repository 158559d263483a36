"""Runs an example that uses Tk, and does in its window what comes on stdin: each line a Python expression.

Usage: drive_tk.py EXAMPLE ARGUMENTS. What an expression gives is printed as JSON, after "= ". In it there are `root`,
`find(name)`, `type_in(name, text)`, `press(name, *events)` and `click(name, item)`.
"""

from __future__ import annotations

import json
import runpy
import sys
import threading
import tkinter
from typing import Any

from lichen_adapters.tk import Polling


def find(root: tkinter.Misc, name: str) -> Any:
    """The widget of this name, anywhere in the window."""
    found = [child for child in _all(root) if str(child).rpartition(".")[2] == name]
    return found[0]


def _all(widget: tkinter.Misc) -> list[tkinter.Misc]:
    return [widget, *(below for child in widget.winfo_children() for below in _all(child))]


def press(root: tkinter.Misc, name: str, *events: str) -> None:
    """Press keys in a widget."""
    widget = find(root, name)
    widget.focus_force()
    widget.update()
    for event in events:
        widget.event_generate(event)


def type_in(root: tkinter.Misc, name: str, text: str) -> None:
    """Type, and paste what no key is for."""
    for char in text:
        if char.isascii() and char.isalpha():
            press(root, name, f"<Key-{char}>")
        elif char == " ":
            press(root, name, "<Key-space>")
        else:
            root.clipboard_clear()
            root.clipboard_append(char)
            press(root, name, "<<Paste>>")


def click(root: tkinter.Misc, name: str, row: int) -> None:
    """Click on the box of a row of a tree."""
    tree = find(root, name)
    tree.update()
    left, top, _, height = tree.bbox(tree.get_children()[row])
    for event in ("<Button-1>", "<ButtonRelease-1>"):
        tree.event_generate(event, x=left + 12, y=top + height // 2)


def drive(root: tkinter.Misc) -> None:
    """Do what comes on stdin, on Tk's thread; at its end close the window."""
    deliver = Polling(root)
    names = {
        "root": root,
        "find": lambda name: find(root, name),
        "press": lambda *given: press(root, *given),
        "type_in": lambda *given: type_in(root, *given),
        "click": lambda *given: click(root, *given),
    }

    def read() -> None:
        for line in sys.stdin:
            deliver(lambda line=line: print("=", json.dumps(eval(line, names)), flush=True))  # type: ignore[misc]
        deliver(root.destroy)

    threading.Thread(target=read, daemon=True).start()


def main() -> None:
    """Run the example with its arguments."""
    go_on = tkinter.Misc.mainloop

    def mainloop(root: tkinter.Misc, n: int = 0) -> None:
        drive(root)
        go_on(root, n)

    tkinter.Misc.mainloop = mainloop  # type: ignore[method-assign]
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
