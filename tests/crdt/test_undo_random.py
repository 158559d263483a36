"""Undo and redo of random edits: back to what was, and nothing of others with it."""

from __future__ import annotations

from typing import Any

import pytest
from crdt_strategies import edits, exact, perform, transactions
from crdt_undo_document import ANN, BEN
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lichen_crdt import Counter, Document, Text, Undo


@settings(max_examples=25)
@given(st.lists(transactions, min_size=1, max_size=5))
def test_random_edits_undo_and_redo_to_what_was(steps: list[list[Any]]) -> None:
    doc = Document(actor=ANN)
    states = [exact(doc.to_py())]
    undo = Undo(doc)
    for step in steps:
        with doc.change(undo.group("step")) as tx:
            for edit in step:
                perform(doc, edit)
        if tx.changes:
            states.append(exact(doc.to_py()))
    assert len(undo.steps) == len(states) - 1
    for turn in range(2):
        while undo.can_undo:
            count = len(undo.steps)
            undo.undo()
            assert exact(doc.to_py()) == states[len(undo.steps)], (turn, count)
        doc = Document.load(doc.save(), actor=b"r%15d" % turn)
        undo = Undo(doc, [ANN, b"r%15d" % 0])
        while undo.can_redo:
            undo.redo()
            assert exact(doc.to_py()) == states[len(undo.steps)]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 3)), max_size=25))
def test_random_undo_leaves_exactly_the_text_of_others(steps: list[tuple[int, int, int]]) -> None:
    """Insertions of two, deletions of their own characters, merges, undos: no character of the other changes."""
    base = Document(actor=b"0" * 16)
    with base.change():
        base["t"] = Text("....")
    ann, ben = base.fork(actor=ANN), base.fork(actor=BEN)
    for kind, at, count in steps:
        before = "".join(char for char in str(ann["t"]) if char != "a")
        if kind == 0:
            with ann.change():
                ann["t"].insert(at % (len(ann["t"]) + 1), "a" * count)
        elif kind == 1:
            with ben.change():
                ben["t"].insert(at % (len(ben["t"]) + 1), "b" * count)
            ann.merge(ben)
            ben.merge(ann)
            continue
        elif kind == 2:
            mine = [i for i, char in enumerate(str(ann["t"])) if char == "a"]
            if mine:
                with ann.change():
                    ann["t"].delete(mine[at % len(mine)])
        else:
            Undo(ann).undo() if count else Undo(ann).redo()
        assert "".join(char for char in str(ann["t"]) if char != "a") == before
    undo = Undo(ann)
    while undo.undo():
        pass
    ann.merge(ben)
    ben.merge(ann)
    assert ann == ben
    assert "a" not in str(ann["t"]) or undo.can_undo


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from("ABmur"), edits), max_size=14))
def test_random_edits_and_undos_of_two_converge(steps: list[tuple[str, Any]]) -> None:
    ann = Document(actor=ANN)
    with ann.change():
        ann["a"] = Text("milk")
        ann["b"] = [1, Counter(2)]
    ben = ann.fork(actor=BEN)
    undo = {"A": Undo(ann), "B": Undo(ben)}
    for kind, edit in steps:
        if kind in "AB":
            doc = ann if kind == "A" else ben
            with doc.change():
                perform(doc, edit)
        elif kind == "m":
            ann.merge(ben)
        else:
            chosen = undo["AB"[edit.where % 2]]
            (chosen.undo if kind == "u" else chosen.redo)()
    ann.merge(ben)
    ben.merge(ann)
    assert exact(ann.to_py()) == exact(ben.to_py())
    assert exact(Document.load(ann.save()).to_py()) == exact(ann.to_py())


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["set", "delete", "insert", "undo", "redo", "meet"]))))
@example([(0, "set"), (1, "set")])
@example([(1, "set"), (0, "set"), (1, "meet"), (0, "set")])
def test_what_two_devices_of_an_author_wrote_goes_back_and_forth(steps: list[tuple[int, str]]) -> None:
    """Each writes by itself; before one takes something back they meet."""
    base = Document(actor=ANN)
    with base.change():
        base["value"], base["list"], base["text"], base["count"] = 0, [0, 1], Text("abc"), Counter(0)
    docs = [base.fork(actor=b"laptop"), base.fork(actor=b"phone")]
    mine = [ANN, b"laptop", b"phone"]
    for number, (on, kind) in enumerate([*steps[:9], (0, "meet")]):
        if kind not in ("meet", "undo", "redo"):
            with docs[on].change():
                write(docs[on], kind, number + 10)
            continue
        docs[0].merge(docs[1])
        docs[1].merge(docs[0])
        undo = Undo(docs[on], mine)
        if kind == "redo":
            undo.redo()
        elif kind == "undo" and len(undo.steps) > 1:  # the first makes the list and the text
            undo.undo()
        docs[1 - on].merge(docs[on])
    undo, states = Undo(docs[0], mine), [exact(docs[0].to_py())]
    while undo.undo():
        states.append(exact(docs[0].to_py()))
    assert states[-1] == {}
    for state in states[-2::-1]:
        undo.redo()
        assert exact(docs[0].to_py()) == state


@pytest.mark.parametrize("phone", [b"phone", b"a phone"])
def test_a_redo_of_what_never_showed_shows_what_did(phone: bytes) -> None:
    base = Document(actor=ANN)
    with base.change():
        base["title"] = "old"
    laptop, other = base.fork(actor=b"laptop"), base.fork(actor=phone)
    mine = [ANN, b"laptop", phone]
    with laptop.change():
        laptop["title"] = "one"
    Undo(laptop, mine).undo()
    with other.change():
        other["title"] = "two"
    laptop.merge(other)
    assert laptop["title"] == "old"
    undo = Undo(laptop, mine)
    for _ in range(2):
        undo.undo()
    for _ in range(2):
        undo.redo()
    assert laptop["title"] == "old"


def write(doc: Document, kind: str, number: int) -> None:
    """Write to one place of each kind."""
    if kind == "set":
        doc["value"] = number
        doc["count"] += number
        if doc["list"]:
            doc["list"][0] = number
    elif kind == "delete":
        doc.pop("value", None)
        del doc["list"][:1]
        doc["text"].delete(0, min(1, len(doc["text"])))
    else:
        doc["list"].insert(0, number)
        doc["text"].insert(0, str(number % 10))
