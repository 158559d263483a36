from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from crdt_example import filled
from lichen_crdt import (
    Document,
    InvalidChange,
    InvalidDocument,
    MissingDependencies,
    Unknown,
    inspect,
)


def test_nested_plain_data_goes_in_and_comes_out() -> None:
    doc = Document()
    content = {
        "none": None,
        "flag": True,
        "small": -(2**63),
        "large": 2**64 - 1,
        "float": 0.5,
        "bytes": b"\x00\xff",
        "when": datetime(2026, 11, 24, 3, 4, 5, 6000, tzinfo=UTC),
        "nested": {"list": [[], {}, ["🥚", {"k": [1]}]]},
    }
    with doc.change():
        doc.update(content)
    assert doc.to_py() == content
    assert doc == content
    assert Document.load(doc.save()) == content


def test_values_that_a_document_cannot_hold_are_type_errors() -> None:
    doc = Document()
    for wrong in (object(), {1: 2}, {"x": {3}}, 1j):
        with pytest.raises(TypeError), doc.change():
            doc["x"] = wrong
    for wrong in (2**64, -(2**63) - 1):
        with pytest.raises(OverflowError), doc.change():
            doc["x"] = wrong
    with pytest.raises(ValueError, match="time zone"), doc.change():
        doc["x"] = datetime(2026, 1, 1)  # noqa: DTZ001
    assert doc.to_py() == {}
    assert doc.heads == ()


def test_endless_nesting_is_a_value_error() -> None:
    endless: list[object] = []
    endless.append(endless)
    doc = Document()
    with pytest.raises(ValueError, match="nested"), doc.change():
        doc["x"] = endless


def test_a_value_of_a_later_format_is_kept() -> None:
    doc = Document()
    with doc.change():
        doc["x"] = Unknown(12, b"abc")
    assert Document.load(doc.save())["x"] == Unknown(12, b"abc")
    for known in (9, 16, -1, 256):
        with pytest.raises(ValueError, match="10 to 15"):
            Unknown(known, b"")
    forged = copy.copy(doc["x"])
    object.__setattr__(forged, "type_code", 9)
    with pytest.raises(ValueError, match="10 to 15"), doc.change():
        doc["x"] = forged
    assert doc["x"] == Unknown(12, b"abc")


def test_a_map_is_a_mutable_mapping() -> None:
    doc = filled()
    assert list(doc) == ["body", "items", "title", "votes"]
    assert "title" in doc
    assert "other" not in doc
    assert doc.get("other", 5) == 5
    with pytest.raises(KeyError):
        doc["other"]
    with doc.change():
        assert doc.pop("title") == "Groceries"
        assert doc.setdefault("title", "New") == "New"
        with pytest.raises(KeyError):
            del doc["other"]
    assert doc["title"] == "New"


def test_a_key_that_holds_none_is_there() -> None:
    doc = Document()
    with doc.change():
        doc["x"] = None
    assert "x" in doc
    assert doc["x"] is None


def test_a_list_is_a_mutable_sequence() -> None:
    doc = Document()
    with doc.change():
        doc["items"] = [1, 2, 3]
        items = doc.list("items")
        items.append(4)
        items.insert(-100, 0)
        items.extend([5, [6]])
        items[1:3] = ["a", "b", "c"]
        del items[-1]
        items[-1] = {"k": 1}
    assert items == [0, "a", "b", "c", 3, 4, {"k": 1}]
    assert items[-1]["k"] == 1
    assert items[1:3] == ["a", "b"]
    assert 3 in items
    for index in (7, -8):
        with pytest.raises(IndexError):
            items[index]


def test_concurrent_increments_add_up() -> None:
    doc = filled()
    other = doc.fork()
    with doc.change():
        doc["votes"] += 2
    with other.change():
        other.counter("votes").increment(10)
    doc.merge(other)
    other.merge(doc)
    assert doc["votes"] == other["votes"] == 15
    assert doc.to_py()["votes"] == 15


def test_an_increment_of_something_else_is_a_type_error() -> None:
    doc = filled()
    with pytest.raises(TypeError):
        doc.counter("title")


def test_concurrent_values_of_one_key_are_a_conflict() -> None:
    doc = filled()
    other = doc.fork(actor="ff" * 16)
    with doc.change():
        doc["title"] = "A"
    with other.change():
        other["title"] = "B"
    patches = doc.merge(other)
    assert {conflict.value for conflict in doc.conflicts("title")} == {"A", "B"}
    assert {conflict.actor for conflict in doc.conflicts("title")} == {doc.actor, other.actor}
    assert doc["title"] == doc.conflicts("title")[-1].value
    assert any(getattr(patch, "conflict", False) for patch in patches) or doc["title"] == "A"


def test_saves_load_and_append() -> None:
    doc = filled()
    saved, heads = doc.save(), doc.heads
    with doc.change():
        doc["title"] = "later"
    loaded = Document.load(saved + doc.save_after(heads))
    assert loaded == doc
    assert loaded.heads == doc.heads


@pytest.mark.parametrize("data", [b"x", b"\x85oJ\x83", b"\x00" * 100])
def test_bytes_that_are_no_document_do_not_load(data: bytes) -> None:
    with pytest.raises(InvalidDocument):
        Document.load(data)


def test_damaged_saves_do_not_load() -> None:
    saved = filled().save()
    for cut in range(1, len(saved) - 1, 7):
        with pytest.raises(InvalidDocument):
            Document.load(saved[:cut])
    for at in range(0, len(saved), 5):
        with pytest.raises(InvalidDocument):
            Document.load(saved[:at] + bytes([saved[at] ^ 0x10]) + saved[at + 1 :])


def test_changes_apply_in_any_order_and_once() -> None:
    doc = filled()
    for n in range(20):
        with doc.change():
            doc.text("body").append(str(n))
    changes = doc.changes()
    other = Document()
    other.apply_changes([*reversed(changes), *changes[:3]])
    assert other.heads == doc.heads
    assert other == doc
    assert other.apply_changes(changes) == []


def test_changes_since_heads_are_the_rest() -> None:
    doc = filled()
    heads = doc.heads
    with doc.change() as tx:
        doc["title"] = "x"
    assert doc.changes(heads) == [tx.bytes]
    assert doc.changes(doc.heads) == []


def test_heads_that_are_not_here_count_for_nothing_in_changes_since() -> None:
    doc = filled()
    assert Document().changes(doc.heads) == []
    other, shared = doc.fork(), doc.changes()
    for each, title in ((doc, "x"), (other, "y")):
        with each.change():
            each["title"] = title
    assert doc.changes(other.heads)[:-1] == shared
    doc.apply_changes(other.changes(doc.heads))
    other.apply_changes(doc.changes(other.heads))
    assert doc == other
    assert doc.heads == other.heads


def test_one_change_alone_is_no_list_of_changes() -> None:
    doc = filled()
    one: Any = doc.changes()[0]
    for apply in (Document().apply_changes, Document().applying):
        with pytest.raises(TypeError, match="put a single one in a list"):
            apply(one)


def test_a_change_whose_past_is_missing_changes_nothing() -> None:
    doc = filled()
    with doc.change():
        doc["title"] = "x"
    other = Document()
    with pytest.raises(MissingDependencies) as caught:
        other.apply_changes(doc.changes()[1:])
    assert caught.value.hashes == (inspect(doc.changes()[0]).hash,)
    assert other.to_py() == {}
    assert other.heads == ()


def test_damaged_changes_are_invalid() -> None:
    change = filled().changes()[0]
    for cut in range(len(change)):
        with pytest.raises(InvalidChange):
            Document().apply_changes([change[:cut]])
    for at in range(len(change)):
        damaged = change[:at] + bytes([change[at] ^ 0x20]) + change[at + 1 :]
        with pytest.raises(InvalidChange):
            Document().apply_changes([damaged])


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda doc: pickle.loads(pickle.dumps(doc))])
def test_a_copied_document_is_one_of_its_own(copied: Callable[[Document], Document]) -> None:
    doc = Document()
    with doc.change():
        doc["n"] = [1]
    other = copied(doc)
    assert (other, other.heads) == (doc, doc.heads)
    assert other.actor != doc.actor
    with other.change():
        other["n"].append(2)
    assert doc["n"] == [1]


@pytest.mark.parametrize("actor", [b"", "", "ann", b"x" * 129, None, 5])
def test_an_actor_that_others_would_refuse_is_none(actor: Any) -> None:
    doc = Document()
    before = doc.actor
    with pytest.raises((ValueError, TypeError), match="an actor is"):
        doc.actor = actor
    assert doc.actor == before
    if actor is not None:
        with pytest.raises((ValueError, TypeError), match="an actor is"):
            Document(actor)
    with Document(b"x" * 128).change() as tx:
        tx["a"] = 1
    doc.apply_changes([tx.bytes or b""])


def test_a_fork_goes_its_own_way_until_merged() -> None:
    doc = filled()
    other = doc.fork(actor=b"\x09" * 16)
    assert other.actor == b"\x09" * 16
    with other.change():
        other["title"] = "theirs"
    assert doc["title"] == "Groceries"
    doc.merge(other)
    assert doc == other
    assert doc.heads == other.heads
