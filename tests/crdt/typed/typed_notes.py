"""A model and a document of it, for the tests of what is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from lichen_crdt import (
    Counter,
    Document,
    Text,
)


@dataclass
class Item:
    name: str
    count: int = 1
    tags: list[str] = field(default_factory=list)


@dataclass
class Note:
    title: str = ""
    body: Text = field(default_factory=Text)
    votes: Counter = field(default_factory=Counter)
    items: list[Item] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)
    notes: Annotated[str, Text] = ""
    likes: Annotated[int, Counter] = 0
    made: datetime | None = None


def notebook() -> Document:
    doc = Document(actor=b"a" * 16)
    items = [Item("eggs", 6), Item("milk", 2, ["cold", "white"]), Item("bread")]
    doc.view(Note).write(Note("Groceries", Text("milk"), Counter(1), items, {"deep": {"x": [1, 2, 3]}}))
    return doc


def assigned(**values: Any) -> Callable[[Note], object]:
    def assign(note: Note) -> None:
        for name, value in values.items():
            setattr(note, name, value)

    return assign


def edited(doc: Document, *edits: Callable[[Note], object]) -> None:
    with doc.view(Note).change() as note:
        for edit in edits:
            edit(note)
