"""What the windows of two toolkits have in common: a device that joins a space, and a person who types in it.

A window is started with STORE TICKET WHICH EDITS, says that it shows the text, and then at each line that comes what it
shows; after the first one the person types. It closes when no more lines come.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from lichen.blocking import Deliver, Document, Engine, timeout
from lichen_adapters.text import TextBinding
from together_person import Person

PAUSE_MS = 2
"""Between two edits."""


class Editor(Protocol):
    """What a person sees and does; positions are in code points."""

    @property
    def binding(self) -> TextBinding:
        """What keeps it the same as the text."""

    def text(self) -> str:
        """All that is shown."""

    def cursor(self) -> int:
        """Where the cursor is."""

    def choose(self, start: int, end: int) -> None:
        """Select this, and leave the cursor at its end."""

    def type(self, piece: str) -> None:
        """Type in the place of what is selected; nothing takes it away."""


def joined() -> tuple[Engine, Document]:
    """The device of this window, and the note."""
    engine = Engine.open(f"sqlite:///{sys.argv[1]}")
    with timeout(60):
        space = engine.join(sys.argv[2])
        with engine.events() as events:
            while not (found := space.documents()):
                next(events)
    return engine, space.document(found[0].id)


class Window:
    """A person before an editor."""

    def __init__(self, editor: Editor, later: Callable[[int, Callable[[], None]], object]) -> None:
        """`later` makes a call on the window's thread, after so many milliseconds."""
        self._editor = editor
        self._later = later
        self._person = Person(int(sys.argv[3]), int(sys.argv[4]))
        self._typing = False

    def listen(self, deliver: Deliver, close: Callable[[], None]) -> None:
        """Do what comes on stdin."""

        def read() -> None:
            for _ in sys.stdin:
                deliver(self._told)
            deliver(close)

        threading.Thread(target=read, daemon=True).start()
        print(json.dumps({"ready": True}), flush=True)

    def _told(self) -> None:
        text, cursor = self._editor.text(), self._editor.cursor()
        done = not self._person.left and self._editor.binding.saved
        here = self._person.is_where_it_was_left(text, cursor)
        found = {"text": text, "done": done, "here": here, "balance": self._person.balance}
        print(json.dumps(found), flush=True)
        if not self._typing:
            self._typing = True
            self._go_on()

    def _go_on(self) -> None:
        if self._person.left:
            before = self._editor.text()
            place, piece = self._person.next(before)
            self._editor.choose(place, place if piece else place + 1)
            self._editor.type(piece)
            if self._editor.text() == before:
                sys.exit(f"a key did not reach the window: {piece or 'backspace'!r} at {place}")
            self._later(PAUSE_MS, self._go_on)
