"""Undo and redo of marks and blocks."""

from __future__ import annotations

import pytest
from crdt_undo_document import ANN, BEN, started
from lichen_crdt import Document, Span, Text, Undo, apply_patches


def test_marks_are_taken_back_and_given_again() -> None:
    doc = started()
    with doc.change():
        doc["body"].mark(0, 4, "bold", True)
    with doc.change():
        doc["body"].mark(1, 3, "bold", None)
    undo, seen = Undo(doc), []
    for step in (undo.undo, undo.undo, undo.redo, undo.redo):
        step()
        seen.append([(mark.start, mark.end) for mark in doc["body"].marks()])
    assert seen == [[(0, 4)], [], [(0, 4)], [(0, 1), (3, 4)]]


def test_marks_come_back_with_a_text() -> None:
    doc = started()
    with doc.change():
        doc["body"].mark(1, 3, "link", "https://example.org")
    with doc.change():
        del doc["body"]
    Undo(doc).undo()
    assert [(mark.start, mark.end, mark.name) for mark in doc["body"].marks()] == [(1, 3, "link")]
    assert doc["body"] == "hello"


def test_marks_and_edits_of_one_step_go_together() -> None:
    doc = started()
    with doc.change():
        doc["body"].mark(0, 2, "bold", True)
    states = [(doc.to_py(), doc["body"].marks())]
    with doc.change():
        doc["body"].append(" world")
        doc["body"].mark(1, 11, "bold", "very")
        doc["body"].delete(0, 2)
    states.append((doc.to_py(), doc["body"].marks()))
    undo = Undo(doc)
    for step, state in ((undo.undo, states[0]), (undo.redo, states[1]), (undo.undo, states[0])):
        step()
        assert (doc.to_py(), doc["body"].marks()) == state


def test_text_of_others_inside_my_mark_loses_it_with_the_rest() -> None:
    doc = started()
    with doc.change():
        doc["body"].mark(1, 4, "bold", True)
    ben = doc.fork(actor=BEN)
    with ben.change():
        ben["body"].insert(2, "XX")
    doc.merge(ben)
    Undo(doc).undo()
    assert (doc["body"], doc["body"].marks()) == ("heXXllo", [])


@pytest.mark.parametrize("later", [False, True])
def test_a_mark_of_someone_else_stays(later: bool) -> None:
    doc = started()
    ben = doc.fork(actor=BEN)
    for copy in (doc, ben):
        if later and copy is ben:
            ben.merge(doc)
        with copy.change():
            copy["body"].mark(0, 3, "bold", True)
    doc.merge(ben)
    Undo(doc).undo()
    assert [(mark.start, mark.end) for mark in doc["body"].marks()] == [(0, 3)]


def test_blocks_are_taken_back_and_come_back() -> None:
    doc = started()
    with doc.change():
        doc["body"].split_block(2, {"kind": "heading"})
    with doc.change():
        doc["body"].join_block(2)
    undo, seen = Undo(doc), []
    for step in (undo.undo, undo.undo, undo.redo, undo.redo):
        step()
        seen.append(len(doc["body"].spans()))
        if seen[-1] == 3:
            assert doc["body"].block(2) == {"kind": "heading"}
    assert seen == [3, 1, 3, 1]


def test_patches_say_what_marks_a_text_has_that_comes_back() -> None:
    doc = Document(actor=ANN)
    with doc.change():
        doc["body"] = Text("ab")
        doc["body"].mark(0, 2, "bold", True)
    with doc.change():
        doc["body"].delete(0, 1)
    other, mine, theirs = doc.fork(actor=BEN), doc.to_py(rich=True), doc.to_py(rich=True)
    done = Undo(doc).undo()
    assert done is not None
    assert doc["body"].spans() == [Span("ab", {"bold": True})]
    assert apply_patches(mine, done.patches, rich=True) == doc.to_py(rich=True)
    taken = other.apply_changes([data for _, data in done.changes])
    assert apply_patches(theirs, taken, rich=True) == doc.to_py(rich=True)


def test_marks_come_back_in_the_copy_of_a_text_step_by_step() -> None:
    doc = Document(actor=ANN)
    with doc.change():
        doc["body"] = Text()
    with doc.change():
        doc["body"].insert(0, "ab")
        doc["body"].mark(0, 1, "bold", True)
    with doc.change():
        doc["body"].mark(1, 2, "link", "x")
    undo, seen = Undo(doc), [doc.to_py(rich=True)]
    while undo.undo():
        seen.append(doc.to_py(rich=True))
    assert seen.pop() == {}
    while undo.redo():
        assert doc.to_py(rich=True) == seen.pop()
    assert doc["body"].spans() == [Span("a", {"bold": True}), Span("b", {"link": "x"})]


def test_a_long_marked_text_comes_back_with_its_marks() -> None:
    size = 10_000  # if an older version were read character by character, minutes
    doc = Document(actor=ANN)
    with doc.change():
        doc["body"] = Text("x" * size)
    with doc.change():
        for start in range(0, size - 10, 10):
            doc["body"].mark(start, start + 5, "bold", True)
    before = doc.to_py(rich=True)
    with doc.change():
        doc["body"].delete(1, size - 2)
    after = doc.to_py(rich=True)
    for _ in range(2):
        Undo(doc).undo()
        assert doc.to_py(rich=True) == before
        Undo(doc).redo()
        assert doc.to_py(rich=True) == after
