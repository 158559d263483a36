"""Typed views, as a program under `mypy --strict` uses them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, assert_type

from lichen_crdt import Counter, Document, InvalidValue, Text, Transaction
from lichen_crdt.typed import Candidate, Convert, Problem, Reading, Rename, View, versioned
from pydantic import BaseModel, Field


@dataclass
class Item:
    name: str
    count: int = 1


@versioned({2: [Rename("name", "title"), Convert("price", "cents", lambda price: int(price) * 100)]})
@dataclass
class Note:
    title: str
    body: Text = field(default_factory=Text)
    votes: Counter = field(default_factory=Counter)
    items: list[Item] = field(default_factory=list)
    likes: Annotated[int, Counter] = 0
    cents: int = 0


class Person(BaseModel):
    name: str = Field(min_length=1)
    bio: Text = Field(default_factory=Text)


doc = Document()
view = doc.view(Note)
assert_type(view, View[Note])
view.write(Note("Groceries"), "first")
with view.change("more") as note:
    assert_type(note, Note)
    note.title = "Food"
    note.body.append("milk")
    note.votes += 1
    note.items.append(Item("eggs", 6))
assert_type(view.value, Note)
assert_type(view.read(), Reading[Note])
assert_type(view.problems, tuple[Problem, ...])
assert_type(view.conflicts("items", 0, "name"), tuple[Candidate, ...])
assert_type(view.version, int | None)

change = view.change()
with change as note:
    note.likes += 1
assert_type(change.transaction, Transaction)

with doc.change("both") as tx:
    with tx.view(Note).edit() as draft:
        assert_type(draft, Note)
        draft.items.clear()
    assert_type(view.migrate(), bool)

people = Document().view(Person)
assert_type(people.value, Person)
try:
    people.write(Person(name="Ada"))
except InvalidValue as error:
    assert_type(error.path, tuple[str | int, ...])

# What a checker must refuse.
with view.change() as note:
    note.title = 5  # type: ignore[assignment]
    note.nothing  # type: ignore[attr-defined]  # noqa: B018
view.write(Person(name="Ada"))  # type: ignore[arg-type]
doc.view(Note("x"))  # type: ignore[arg-type]
versioned({2: ["rename"]})  # type: ignore[list-item]
