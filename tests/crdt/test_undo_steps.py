"""The steps of undo: how they are grouped, bounded, followed by a document, and what may not come between."""

from __future__ import annotations

from typing import Any

import pytest
from crdt_undo_document import ANN, BEN, started
from lichen_crdt import (
    Document,
    DocumentBusy,
    Text,
    TransactionOpen,
    Undo,
    _native,
)


def test_changes_are_grouped_by_time_and_by_name() -> None:
    doc = Document(actor=ANN)
    with doc.change():
        doc["body"] = Text()
    undo = Undo(doc, gap=2)
    for i, second in enumerate((100, 101, 102, 110)):
        with doc.change("typing", second):
            doc["body"].append("abcd"[i])
    assert len(undo.steps) == 3
    message = undo.group("paste")
    for part in ("12", "34"):
        with doc.change(message):
            doc["body"].append(part)
    with doc.change("after"):
        doc["body"].append("!")
    again = Undo(Document.load(doc.save()), [ANN], gap=2)
    assert [(step.label, len(step.changes)) for step in again.steps][-2:] == [("paste", 2), ("after", 1)]
    undo.undo()
    undo.undo()
    assert doc["body"] == "abcd"
    undo.undo()
    undo.undo()
    assert doc["body"] == ""


def test_the_history_of_undo_is_bounded() -> None:
    doc = Document(actor=ANN)
    for i in range(5):
        with doc.change(str(i)):
            doc["n"] = i
    undo = Undo(doc, limit=2)
    assert [step.label for step in undo.steps] == ["3", "4"]
    with pytest.raises(ValueError, match="limit"):
        Undo(doc, limit=0)


def test_a_single_actor_is_not_several() -> None:
    with pytest.raises(TypeError, match="in a tuple"):
        Undo(started(), BEN)  # type: ignore[arg-type]  # what is tested


def test_an_undo_in_which_another_thread_writes_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    doc = started()
    undo, read = Undo(doc), _native.headers

    def headers_and_a_write(core: _native.Core, since: list[bytes]) -> list[Any]:
        found = read(core, since)
        with doc.change():
            doc["n"] = 1
        return [*found]

    assert undo.can_undo
    monkeypatch.setattr(_native, "headers", headers_and_a_write)
    with pytest.raises(DocumentBusy):
        undo.undo()
    monkeypatch.undo()
    assert undo.undo() is not None
    assert doc["body"] == "hello"


@pytest.mark.parametrize("first", [True, False])
def test_an_undo_before_which_another_thread_writes_says_so(monkeypatch: pytest.MonkeyPatch, first: bool) -> None:
    doc = started()
    undo, build = Undo(doc), _native.build

    def write() -> None:
        with doc.change():
            doc["n"] = 1

    def build_beside_a_write(*given: Any) -> bytes:
        if first:
            write()
        data = build(*given)
        if not first:
            write()
        return data

    monkeypatch.setattr(_native, "build", build_beside_a_write)
    with pytest.raises(DocumentBusy):
        undo.undo()
    monkeypatch.undo()
    assert undo.undo() is not None
    assert "n" not in doc
    assert doc["body"] == "hello"


def test_no_undo_inside_a_transaction() -> None:
    doc = started()
    undo = Undo(doc)
    with doc.change(), pytest.raises(TransactionOpen):
        undo.undo()


def test_the_document_moves_exactly_if_a_step_is_taken_back() -> None:
    doc = Document(actor=ANN)
    with doc.change():
        doc["a"] = 1
    other = doc.fork(actor=BEN)
    with other.change():
        other["a"] = 2
    doc.merge(other)
    undo, heads = Undo(doc), doc.heads
    done = undo.undo()
    assert done is not None  # of the step nothing shows, and that it is taken back is a change
    assert (doc["a"], done.patches, doc.heads) == (2, (), (done.changes[-1][0],))
    heads = doc.heads
    assert undo.undo() is None
    assert doc.heads == heads
    assert undo.redo() is not None
    assert doc["a"] == 2
    heads = doc.heads
    assert undo.redo() is None
    assert doc.heads == heads


def test_an_undo_after_the_turn_of_someone_else_is_replayed() -> None:
    doc = started()
    ben = doc.fork(actor=BEN)
    with ben.change():
        ben["body"].append("!")
    doc.merge(ben)
    undo = Undo(doc)
    assert undo.undo() is not None
    assert undo.redo() is not None
    assert doc.mismatched == 0
