"""What is written through a view, and nothing but that."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pydantic.dataclasses
import pytest
from lichen_crdt import (
    Document,
    InvalidValue,
    NoTransaction,
    ReadOnly,
    Text,
    TransactionError,
    TransactionOpen,
    inspect,
)
from lichen_crdt.typed import View
from pydantic import BaseModel, ConfigDict, Field
from typed_notes import Item, Note, assigned, edited, notebook


@pydantic.dataclasses.dataclass
class Checked:
    size: int = Field(default=3, ge=0)
    names: list[str] = Field(default_factory=list)


def test_concurrent_edits_of_one_item_and_of_the_list_merge() -> None:
    doc = notebook()
    copy = doc.fork()
    with doc.view(Note).change() as ours:
        ours.items[1].count = 9
        ours.items[1].tags.append("organic")
        ours.body.append(", eggs")
        ours.votes += 2
        ours.likes += 1
    with copy.view(Note).change() as theirs:
        del theirs.items[0]
        theirs.items[0].tags.insert(0, "fresh")
        theirs.body = "oat milk"  # type: ignore[assignment]
        theirs.votes = 4  # type: ignore[assignment]
        theirs.likes += 1
    doc.merge(copy)
    found = doc.view(Note).value
    assert found.items == [Item("milk", 9, ["fresh", "cold", "white", "organic"]), Item("bread")]
    assert (found.body, found.votes) == ("oat milk, eggs", 6)
    assert found.likes == 2


def test_what_does_not_fit_and_what_is_not_known_survive_writes_elsewhere() -> None:
    doc = notebook()
    with doc.change():
        doc.update(title=7, later={"a": 1}, meta={"x": 1})
        doc["items"][0].update(count="six", later=True)
        doc["items"].insert(0, "stranger")
    with doc.view(Note).change() as note:
        note.items[0].name = "brown eggs"
        note.items.append(Item("salt"))
        note.body.append("!")
        note.meta = {"y": 2}
    assert (doc["title"], doc["later"], doc["meta"]) == (7, {"a": 1}, {"y": 2})
    assert doc["items"][:2] == ["stranger", {"name": "brown eggs", "count": "six", "tags": [], "later": True}]
    assert [item.name for item in doc.view(Note).value.items] == ["brown eggs", "milk", "bread", "salt"]
    with doc.view(Note).change() as note:
        note.title = "mended"
    assert doc["title"] == "mended"


def test_a_model_whose_required_field_is_missing_can_be_edited() -> None:
    class Person(BaseModel):
        name: str
        email: str = Field(min_length=3)
        age: int = 0

    doc = Document()
    with doc.change():
        doc["name"] = "Ada"
        doc["email"] = 5
    with doc.view(Person).change() as person:
        person.age = 36
    assert doc == {"name": "Ada", "email": 5, "age": 36}
    with pytest.raises(InvalidValue, match="at least 3"), doc.view(Person).change() as person:
        person.email = "x"
    with doc.view(Person).change() as person:
        person.email = "ada@example.org"
        del person.name
    assert doc == {"email": "ada@example.org", "age": 36}


def test_the_first_write_of_an_empty_document_stores_every_field_so_that_they_are_made_once() -> None:
    doc = Document()
    with doc.view(Note).change() as note:
        note.title = "T"
    copy = doc.fork()
    for each, text in ((doc, "ours "), (copy, "theirs ")):
        with each.view(Note).change() as note:
            note.body.append(text)
            note.items.append(Item(text))
    doc.merge(copy)
    found = doc.view(Note).value
    assert sorted(str(found.body).split()) == ["ours", "theirs"]
    assert len(found.items) == 2


def test_a_string_becomes_a_text_when_it_is_edited_and_a_number_a_counter() -> None:
    doc = Document()
    with doc.change():
        doc.update(body="plain", votes=3, notes="n", likes=1)
    with doc.view(Note).change() as note:
        note.title = "T"
    assert (doc["body"], doc["votes"]) == ("plain", 3)
    assert isinstance(doc["body"], str)
    with doc.view(Note).change() as note:
        note.body.append("!")
        note.votes += 1
        note.notes += "!"
        note.likes += 1
    assert (doc.text("body"), doc.counter("votes"), doc.text("notes"), doc.counter("likes")) == ("plain!", 4, "n!", 2)


def test_instants_have_milliseconds() -> None:
    doc = notebook()
    made = datetime(2026, 1, 1, microsecond=5_999, tzinfo=UTC)
    for _ in range(2):
        with doc.view(Note).change() as note:
            note.made = made
        heads = doc.heads
    assert doc.heads == heads
    assert doc["made"] == made.replace(microsecond=5_000)


def test_optional_texts_in_a_draft_are_each_their_own() -> None:
    @dataclass
    class Pair:
        left: Text | None = None
        right: Text | None = None

    doc = Document()
    view = View(doc, Pair)
    view.write(Pair(Text("same"), Text("same")))
    with view.change() as pair:
        assert pair.left is not None
        pair.left.append("!")
    assert doc == {"left": "same!", "right": "same"}
    with view.change() as pair:
        pair.right = None
    assert doc == {"left": "same!", "right": None}


def test_marks_and_cursors_of_a_text_in_a_draft_are_those_of_the_document() -> None:
    doc = notebook()
    with doc.view(Note).change() as note:
        note.body.mark(0, 4, "bold", True)
    assert [mark.name for mark in doc["body"].marks()] == ["bold"]


@pytest.mark.parametrize(
    "edit",
    [
        assigned(title=5),
        assigned(title="\ud800"),
        assigned(items=[{"name": "eggs"}]),
        assigned(items=5),
        assigned(body=5),
        assigned(votes="many"),
        assigned(votes=2**63),
        assigned(likes=True),
        assigned(made=datetime(2026, 1, 1)),  # noqa: DTZ001
        assigned(meta={1: 2}),
        assigned(meta={"x": {3}}),
        assigned(meta={"x": 2**64}),
        lambda note: setattr(note.items[0], "count", 2**64),
        lambda note: setattr(note.items[0], "count", "six"),
        lambda note: note.meta.update(me=note.meta),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_of_the_draft_is_written(edit: Callable[[Note], object]) -> None:
    doc = notebook()
    heads = doc.heads
    with pytest.raises(InvalidValue) as caught:
        edited(doc, lambda note: note.body.append("!"), assigned(likes=9), edit)
    assert (doc.heads, str(doc["body"]), doc.in_transaction) == (heads, "milk", False)
    assert isinstance(caught.value.path, tuple)


def test_a_model_that_holds_itself_is_refused() -> None:
    @dataclass
    class Tree:
        children: list[Any]

    tree = Tree([])
    tree.children.append(tree.children)
    with pytest.raises(InvalidValue):
        View(Document(), Tree).write(tree)


def test_an_exception_in_the_block_takes_everything_back() -> None:
    doc = notebook()
    heads = doc.heads
    with pytest.raises(KeyError):
        edited(doc, lambda note: note.body.append("!"), assigned(title="x"), lambda note: note.meta["none"])
    assert (doc.heads, str(doc["body"])) == (heads, "milk")


def test_a_change_has_its_message_and_bytes_and_does_not_nest() -> None:
    doc = notebook()
    change = doc.view(Note).change("rename", 9)
    with change as note:
        note.title = "Food"
        with pytest.raises(TransactionOpen), doc.view(Note).change():
            pass
    assert change.transaction.bytes is not None
    info = inspect(change.transaction.bytes)
    assert (info.message, info.time) == ("rename", 9)


def test_a_draft_inside_a_transaction_is_part_of_it() -> None:
    doc = notebook()
    with doc.change("both") as tx:
        with doc.view(Note).edit() as note:
            note.title = "Food"
        tx.view(Note).write(dataclasses.replace(tx.view(Note).value, likes=3))
        with doc["items"][0].view(Item).edit() as item:
            item.count = 12
    assert len(tx.changes) == 1
    assert (doc["title"], doc["likes"], doc["items"][0]["count"]) == ("Food", 3, 12)
    with pytest.raises(ValueError, match="message"), doc.change():
        doc.view(Note).write(Note(), "late")
    with pytest.raises(TypeError):
        doc["items"][0].view(Item).change()


def test_a_draft_outside_a_transaction_and_one_of_the_past_are_refused() -> None:
    doc = notebook()
    with pytest.raises(NoTransaction), doc.view(Note).edit() as note:
        note.title = "x"
    with pytest.raises(ReadOnly), doc.at(doc.heads).view(Note).edit() as note:
        note.title = "x"


def test_a_list_that_is_also_changed_beside_the_draft_is_refused() -> None:
    doc = notebook()
    with pytest.raises(TransactionError, match="beside"):
        edited(doc, lambda _: doc["items"].pop(0), lambda note: note.items.append(Item("x")))
    assert doc.view(Note).value.items[0] == Item("eggs", 6)


@dataclass
class Spelled:
    title: str = ""
    day: date = date(2020, 1, 1)
    owner: UUID | None = None
    prices: dict[Decimal, int] = field(default_factory=dict)


def test_what_others_spelled_in_other_words_stays_until_it_changes() -> None:
    doc, owner = Document(), "ABCDEF00-0000-0000-0000-000000000000"
    with doc.change():
        doc.update(title="x", day="20261125", owner=owner, prices={"1": 1, "1.0": 2, "2.0": 3})
    view = doc.view(Spelled)
    assert [(problem.path, problem.value) for problem in view.problems] == [(("prices", "1.0"), 2)]
    before = doc.to_py()
    with view.change() as draft:
        draft.title = "y"
    assert doc.to_py() == {**before, "title": "y"}
    with view.change() as draft:
        draft.prices[Decimal(2)] = 4
        del draft.prices[Decimal(1)]
        draft.day = date(2026, 11, 26)
    assert doc.to_py() == {"title": "y", "day": "2026-11-26", "owner": owner, "prices": {"1.0": 2, "2.0": 4}}
    assert [one.value for one in view.conflicts("prices", Decimal(2))] == [4]


def test_a_string_that_no_document_can_hold_leaves_a_draft_unwritten() -> None:
    doc = notebook()
    before = doc.to_py()
    bad: list[Callable[[Note], object]] = [
        assigned(body=Text("\ud800")),
        assigned(notes="\ud800"),
        lambda note: note.meta.update(deep={"a": 1, "\ud800": 2}),
        lambda note: note.items.append(Item("\ud800")),
    ]
    with doc.change():
        for edit in bad:
            draft = doc.view(Note).edit()
            note = draft.begin()
            note.title = "new"
            edit(note)
            with pytest.raises(InvalidValue, match="surrogates"):
                draft.finish(note)
    assert doc.to_py() == before


def test_frozen_models_are_written_whole() -> None:
    @dataclass(frozen=True, slots=True)
    class Point:
        x: int
        y: int = 0

    doc = Document()
    view = View(doc, Point)
    view.write(Point(1))
    view.write(dataclasses.replace(view.value, y=2), "move")
    assert doc == {"x": 1, "y": 2}
    with doc.change():
        doc["x"] = "left"
    assert view.value.y == 2
    assert not hasattr(view.value, "x")


def test_pydantic_changes_what_is_written_as_it_does_what_is_read() -> None:
    class Person(BaseModel):
        age: int = 0
        nick: Annotated[str, Field(max_length=4)] = ""

    doc = Document()
    with doc.view(Person).change() as person:
        person.age = "36"  # type: ignore[assignment]
    assert doc["age"] == 36
    assert type(doc["age"]) is int


def test_values_that_pydantic_takes_without_a_field_are_refused_and_not_dropped() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        name: str = ""

    doc = Document()
    with doc.change():
        doc["mood"] = "fine"
    view = doc.view(Open)
    heads = doc.heads
    with pytest.raises(InvalidValue) as caught:
        view.write(Open.model_validate({"name": "Ada", "age": 36}))
    assert (caught.value.path, doc.heads) == (("age",), heads)
    view.write(Open(name="Ada"))
    assert doc == {"mood": "fine", "name": "Ada"}


def test_what_pydantic_respells_is_replaced_as_a_whole_and_only_when_it_changes() -> None:
    class Tagged(BaseModel):
        tags: set[str] = set()
        pair: tuple[int, str] = (1, "a")
        both: set[str] | None = None

    doc = Document()
    view = View(doc, Tagged)
    view.write(Tagged(tags={"b", "a"}))
    assert doc == {"tags": ["a", "b"], "pair": [1, "a"], "both": None}
    with doc.change():
        doc["tags"] = ["b", "a", "b"]
        doc["both"] = ["y", "x", "y"]
    heads = doc.heads
    with view.change() as tagged:
        assert tagged.tags == {"a", "b"}
    assert doc.heads == heads
    with view.change() as tagged:
        tagged.tags.add("c")
        tagged.both = {"x"}
        tagged.pair = (2, "a")
    assert doc == {"tags": ["a", "b", "c"], "pair": [2, "a"], "both": ["x"]}


def test_dataclasses_of_pydantic_are_checked_too() -> None:
    doc = Document()
    view = View(doc, Checked)
    view.write(Checked(size=2))
    assert view.value == Checked(size=2, names=[])
    with pytest.raises(InvalidValue) as caught, view.change() as checked:
        checked.size = -1
    assert caught.value.path == ("size",)
    with doc.change():
        doc["size"] = -5
    found = view.read()
    assert found.value == Checked(size=3)
    assert [(problem.path, problem.value) for problem in found.problems] == [(("size",), -5)]


def test_pydantic_is_not_needed_and_not_imported() -> None:
    script = (
        "import sys, lichen_crdt, lichen_crdt.typed, dataclasses\n"
        "@dataclasses.dataclass\nclass Note: title: str\n"
        "doc = lichen_crdt.Document(); doc.view(Note).write(Note('x')); print(doc.view(Note).value.title)\n"
        "assert not [name for name in sys.modules if name.startswith('pydantic')]"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("x\n", "")


@dataclass
class Sized:
    name: str = ""
    size: int = 1

    def __post_init__(self) -> None:
        self.double = 2 * self.size
        self._seen = True

    @property
    def label(self) -> str:
        return f"{self.name} {self.size}"


@pytest.mark.parametrize("model", [Note, Sized, Checked])
def test_what_is_assigned_to_no_field_is_refused(model: Any) -> None:
    doc = Document()
    view = doc.view(model)
    view.write(model())
    before = doc.to_py()
    with pytest.raises(InvalidValue, match="no field of this name") as refused, view.change() as draft:
        draft.naem = "eggs"
    assert refused.value.path == ("naem",)
    assert doc.to_py() == before


def test_what_a_class_computes_or_keeps_to_itself_is_not_stored() -> None:
    doc = Document()
    with doc.view(Sized).change() as draft:
        draft.size, draft.double, draft._seen = 4, 0, False
    assert doc.to_py() == {"name": "", "size": 4}
    doc.view(Sized).write(Sized("eggs", 6))
    assert doc.view(Sized).value == Sized("eggs", 6)
