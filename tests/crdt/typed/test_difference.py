"""The fewest changes: only what is different is written, and it is read as it was left."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen_crdt import (
    Counter,
    Document,
    Text,
    inspect,
)
from lichen_crdt.typed import View
from lichen_crdt.typed.nodes import frozen
from lichen_crdt.typed.plan import shape_of
from typed_notes import Item, Note, assigned, edited, notebook


def operations(doc: Document, edit: Callable[[Note], object]) -> int:
    """How many operations an edit became; the draft after it is what is read."""
    change = doc.view(Note).change()
    with change as note:
        edit(note)
        expected = dataclasses.replace(note, body=str(note.body), votes=int(note.votes))  # type: ignore[arg-type]
    found = doc.view(Note).value
    assert dataclasses.replace(found, body=str(found.body), votes=int(found.votes)) == expected  # type: ignore[arg-type]
    data = change.transaction.bytes
    return inspect(data).operations if data else 0


def rows(*names: str) -> list[Item]:
    known = {"eggs": Item("eggs", 6), "milk": Item("milk", 2, ["cold", "white"]), "bread": Item("bread")}
    return [known.get(name, Item(name)) for name in names]


# An item that is put in a list takes an operation for itself, one for its list and one for each of the other fields.
@pytest.mark.parametrize(
    ("edit", "count"),
    [
        (assigned(), 0),
        (assigned(title="Groceries"), 0),
        (assigned(title="Food"), 1),
        (assigned(body="oat milk"), 4),
        (lambda note: note.body.insert(0, "x"), 1),
        (assigned(body=Text("milky")), 1),
        (assigned(votes=4), 1),
        (assigned(votes=Counter(1)), 0),
        (lambda note: note.votes.increment(2), 1),
        (assigned(likes=2, notes="ab"), 3),
        (assigned(made=datetime(2026, 1, 1, microsecond=5_000, tzinfo=UTC)), 1),
        (lambda note: setattr(note.items[1], "count", 3), 1),
        (lambda note: note.items[1].tags.append("x"), 1),
        (lambda note: note.items[1].tags.remove("cold"), 1),
        (lambda note: note.items[1].tags.__setitem__(0, "warm"), 1),
        (lambda note: note.items.pop(0), 1),
        (lambda note: note.items.insert(1, Item("salt")), 4),
        (lambda note: note.items.append(Item("salt", 1, ["x"])), 5),
        (assigned(items=rows("eggs", "milk", "bread")), 0),
        (assigned(items=rows("eggs", "bread")), 1),
        (assigned(items=rows("eggs", "salt", "milk", "bread")), 4),
        (assigned(items=[Item("eggs", 7), *rows("milk", "bread")]), 1),
        (assigned(items=[]), 3),
        (lambda note: note.meta["deep"]["x"].append(4), 1),
        (assigned(meta={"deep": {"x": [1, 9, 3]}}), 1),
        (assigned(meta={"deep": {"x": [1, 2, 3]}, "y": None}), 1),
        (lambda note: note.meta.clear(), 1),
    ],
)
def test_only_what_changed_is_written(edit: Callable[[Note], object], count: int) -> None:
    assert operations(notebook(), edit) == count


tags = st.lists(st.sampled_from("abc"), max_size=6)
trees = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.floats(allow_nan=True, width=16), st.sampled_from("ab")),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)),
    max_leaves=8,
)
items = st.lists(st.builds(Item, st.sampled_from("pq"), st.integers(0, 2), tags), max_size=5)
texts = st.text("ab🥚", max_size=5)
notes = st.builds(
    Note,
    title=texts,
    body=texts.map(Text),
    votes=st.integers(0, 3).map(Counter),
    items=items,
    meta=st.dictionaries(st.sampled_from("xyz"), trees, max_size=3),
    notes=texts,
    likes=st.integers(0, 3),
)


def content(note: Note) -> object:
    return frozen(shape_of(Note).write(note, ()))  # nan equals nan here, and 1 is not True


@given(st.lists(notes, min_size=1, max_size=4))
def test_whatever_is_written_is_read_and_written_again_it_is_no_change(values: list[Note]) -> None:
    doc = Document()
    for value in values:
        doc.view(Note).write(value)
        assert content(doc.view(Note).value) == content(value)
        heads = doc.heads
        doc.view(Note).write(value)
        assert doc.heads == heads


@given(items, st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["drop", "edit", "tag", "new", "swap"]))))
def test_edits_of_a_list_end_as_the_list_was_left(before: list[Item], edits: list[tuple[int, str]]) -> None:
    doc = Document()
    doc.view(Note).write(Note(items=before))
    with doc.change():  # strangers among the items, which stay
        for index in range(len(doc["items"]), -1, -2):
            doc["items"].insert(index, index)
    strangers = [item for item in doc["items"] if isinstance(item, int)]
    with doc.view(Note).change() as note:
        for at, kind in edits:
            _edit(note.items, at, kind)
        expected = [dataclasses.replace(item, tags=[*item.tags]) for item in note.items]
    assert doc.view(Note).value.items == expected
    assert [item for item in doc["items"] if isinstance(item, int)] == strangers


def _edit(rows: list[Item], at: int, kind: str) -> None:
    if kind == "new" or not rows:
        rows.insert(at, Item("new", at))
    elif kind == "drop":
        del rows[at % len(rows)]
    elif kind == "edit":
        rows[at % len(rows)].count += 1
    elif kind == "tag":
        rows[at % len(rows)].tags.append("t")
    else:
        rows.append(rows.pop(at % len(rows)))


def test_long_lists_are_compared_in_bounded_time() -> None:
    @dataclass
    class Numbers:
        values: list[int]

    doc = Document()
    view = View(doc, Numbers)
    view.write(Numbers([*range(5_000)]))
    view.write(Numbers([*reversed(range(5_000))]))
    assert view.value.values == [*reversed(range(5_000))]


def test_what_is_appended_comes_last_also_behind_what_does_not_fit() -> None:
    doc = notebook()
    with doc.change():
        doc["items"].append("stranger")
    edited(doc, lambda note: note.items.append(Item("salt")))
    assert [item if isinstance(item, str) else item["name"] for item in doc["items"]][-2:] == ["stranger", "salt"]
