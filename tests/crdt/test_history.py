"""Reading the past: views at heads, differences between versions, and who wrote what."""

from __future__ import annotations

from typing import Any

import pytest
from lichen_crdt import (
    Authors,
    Counter,
    Document,
    MissingDependencies,
    NoTransaction,
    ReadOnly,
    Text,
    TransactionOpen,
)


def two_versions() -> tuple[Document, tuple[bytes, ...]]:
    doc = Document(actor=b"a" * 16)
    with doc.change("first", time=7):
        doc["body"] = Text("milk")
        doc["list"] = [1, {"deep": Text("x")}]
        doc["votes"] = Counter(1)
        doc["body"].mark(0, 4, "bold", True)
    heads = doc.heads
    with doc.change("second"):
        doc["body"].insert(0, "oat ")
        doc["list"][1]["deep"].append("y")
        doc["votes"] += 2
        del doc["list"][0]
    return doc, heads


def test_what_lies_in_a_version_reads_as_it_was() -> None:
    doc, heads = two_versions()
    was = doc.at(heads)
    assert (str(was["body"]), was["list"][1]["deep"], was["votes"].value) == ("milk", "x", 1)
    assert (len(was["list"]), list(was), "body" in was, was.heads) == (2, ["body", "list", "votes"], True, heads)
    assert [(mark.start, mark.end) for mark in was["body"].marks()] == [(0, 4)]
    cursor = was["body"].cursor(1)
    assert (was["body"].position(cursor), doc["body"].position(cursor)) == (1, 5)
    assert (was.path, was["list"].path, was["list"][1].path) == ((), ("list",), ("list", 1))
    assert doc["list"][0].path == ("list", 0)
    with pytest.raises(KeyError):
        was["none"]


def test_the_past_is_not_changed() -> None:
    doc, heads = two_versions()
    was, saved = doc.at(heads), doc.save()
    with pytest.raises(ReadOnly):
        was["new"] = 1
    for write in (
        lambda: was["body"].append("x"),
        lambda: was["list"].append(1),
        lambda: was["votes"].increment(),
        lambda: was["list"][1].update(a=1),
    ):
        with pytest.raises(ReadOnly):
            write()
    assert doc.save() == saved


def test_heads_that_never_were_are_refused() -> None:
    doc, heads = two_versions()
    for call in (doc.at, doc.diff, lambda wrong: doc.diff(heads, wrong), lambda wrong: doc.fork(at=wrong)):
        with pytest.raises(MissingDependencies):
            call([b"n" * 32])  # type: ignore[operator]


def test_history_says_who_when_and_why() -> None:
    doc, heads = two_versions()
    assert [(info.actor, info.message, info.time) for info in doc.history()] == [
        (b"a" * 16, "first", 7),
        (b"a" * 16, "second", 0),
    ]
    assert [info.message for info in doc.history(heads)] == ["second"]


def test_the_actors_of_a_name_are_bytes() -> None:
    for odd in (b"a" * 16, ["61" * 16], [1]):
        wrong: Any = odd
        with pytest.raises(TypeError, match="several `bytes`"):
            Authors({"Ann": wrong})


def test_blame_names_the_change_of_each_run() -> None:
    doc, heads = two_versions()
    copy = doc.fork(actor=b"b" * 16)
    with copy.change() as tx:
        copy["body"].insert(2, "🥛")
    doc.merge(copy)
    runs = [(run.start, run.end, run.actor[:1], run.change) for run in doc["body"].blame()]
    second = doc.heads and doc.history(heads)[0].hash
    assert runs == [(0, 2, b"a", second), (2, 3, b"b", tx.hash), (3, 5, b"a", second), (5, 9, b"a", heads[0])]
    assert [(run.start, run.end) for run in doc.at(heads)["body"].blame()] == [(0, 4)]
    with doc.change(), pytest.raises(TransactionOpen):
        doc["body"].blame()
    with pytest.raises(NoTransaction):
        doc["body"].append("x")
