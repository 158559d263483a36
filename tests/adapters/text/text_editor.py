"""A widget that knows nothing of bindings, and the user before it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from lichen import Role
from lichen.blocking import Document, Inbox
from lichen_adapters.text import TextBinding, Unit
from lichen_crdt import from_utf16, to_utf16


class Widget:
    """Shows a text, in code points or UTF-16 units, and knows nothing of bindings."""

    def __init__(self, unit: Unit = "code points") -> None:
        self.text = ""
        self.unit = unit
        self.chosen = (0, 0)
        self.thread = threading.get_ident()

    def splice(self, position: int, removed: int, inserted: str) -> None:
        assert threading.get_ident() == self.thread
        start, end = self._point(position), self._point(position + removed)
        self.text = self.text[:start] + inserted + self.text[end:]

    def _point(self, place: int) -> int:
        return place if self.unit == "code points" else from_utf16(self.text, place)

    def place(self, point: int) -> int:
        return point if self.unit == "code points" else to_utf16(self.text, point)

    def selection(self) -> tuple[int, int]:
        return self.chosen

    def select(self, anchor: int, head: int) -> None:
        assert max(anchor, head) <= self.place(len(self.text))
        self.chosen = (anchor, head)


class Editor:
    """A widget, its binding, and the user before it."""

    def __init__(self, note: Document, unit: Unit = "code points") -> None:
        self.note = note
        self.inbox = Inbox()
        self.widget = Widget(unit)
        self.refused: list[BaseException] = []
        self.binding = TextBinding(note, ("body",), self.widget, self.inbox, unit=unit, refused=self.refused.append)

    @property
    def text(self) -> str:
        return self.widget.text

    def type(self, point: int, removed: int, inserted: str) -> None:
        start, end = self.widget.place(point), self.widget.place(point + removed)
        self.widget.splice(start, end - start, inserted)
        cursor = self.widget.place(point + len(inserted))
        self.widget.select(cursor, cursor)
        self.binding.edited(start, end - start, inserted)

    def until_saved(self) -> None:
        while not self.binding.saved:
            assert self.inbox.run(wait_s=20)


class Open(Protocol):
    def __call__(self, role: Role = Role.WRITER, body: str = "milk") -> tuple[Document, Document]: ...


@contextmanager
def held_up(note: Document) -> Iterator[None]:
    """The disk writes nothing in the block."""
    holding, go_on = threading.Event(), threading.Event()

    def job(_connection: object) -> None:
        holding.set()
        go_on.wait(20)

    host = note.asynchronous._opened.host
    note.engine.call_soon(lambda: host.write_soon(job, lambda _result, _error: None))
    assert holding.wait(20)
    try:
        yield
    finally:
        go_on.set()
