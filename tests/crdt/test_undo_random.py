"""Undo and redo of random edits: back to what was, and nothing of others with it."""

from __future__ import annotations

from typing import Any

from crdt_strategies import edits, exact, perform, transactions
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen_crdt import Counter, Document, Text, Undo
from test_undo import ANN, BEN


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
