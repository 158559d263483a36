"""Records of undo that no honest program writes: a stranger's changes neither hang nor break an author's undo."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from crdt_forge import Change, Op, integer
from crdt_undo_document import ANN, BEN, edited, started
from lichen_crdt import Document, Text, Undo, inspect
from lichen_crdt.undo_record import Record


@pytest.mark.parametrize(
    "record",
    [
        *(
            "undo 61 0:1-1",
            "undo 61 1:1-1 -",
            "undo zz 0:1-1 -",
            "undo 61 0:1-1 9+9=1@1",
            "undo 61 0:1-99999999999 -",
            "x",
        ),
        # What is named twice, or not in order: a record of them would take far longer to read than to write.
        *("undo 61 0:0-1 -", "undo 61 0:2-1 -", "undo 61 0:1-2,0:2-3 -", "undo 61 0:3-3,0:1-1 -"),
        *("undo 61 0:1-1 0+1=1@0,0+1=1@0", "undo 61 0:1-1 1+1=1@0,0+1=1@0", "undo 61 0:1-1 0+0=1@0"),
    ],
)
def test_a_malformed_record_is_an_ordinary_message(record: str) -> None:
    doc = started()
    with doc.change(f"Undo\nlichen-undo/1 {record}"):
        doc["x"] = 1
    undo = Undo(doc)
    assert len(undo.steps) == 2
    undo.undo()
    assert "x" not in doc


def test_a_record_of_someone_else_takes_no_step_away() -> None:
    doc = started()
    ben = doc.fork(actor=BEN)
    with ben.change(f"Undo\nlichen-undo/1 undo {ANN.hex()} 0:1-1 0+1=2@0"):
        ben["x"] = 1
    doc.merge(ben)
    undo = Undo(doc)
    assert undo.can_undo
    undo.undo()
    assert doc == {"x": 1}


def test_a_record_of_changes_that_are_nowhere_names_none() -> None:
    doc = started()
    ben = doc.fork(actor=BEN)
    actors = [ANN, *(number.to_bytes(16, "big") for number in range(2_000))]
    ranges = ",".join(f"{number}:2-9999999999" for number in range(len(actors)))
    began = time.process_time()
    with ben.change(f"Undo\nlichen-undo/1 undo {','.join(actor.hex() for actor in actors)} {ranges} -"):
        ben["x"] = 1
    doc.merge(ben)
    assert [step.label for step in Undo(doc).steps] == ["start"]
    assert time.process_time() - began < 1  # 2 ms for each of them that is read number by number


@pytest.mark.parametrize("value", [str, lambda number: Text()])
def test_what_stands_for_an_edit_in_a_long_chain_is_found(value: Callable[[int], str | Text]) -> None:
    doc = Document(actor=ANN)
    with doc.change("mine"):
        doc["a"] = value(0)
    ben, stands_for = doc.fork(actor=BEN), (1, ANN)
    for number in range(1, 1_100):  # as if they had taken it back and brought it back so often
        record = Record("undo", ((BEN, 9_999, 9_999),), ((0, 1, stands_for),))
        with ben.change(record.write(None)) as tx:
            ben["a"] = value(number)
        assert tx.bytes is not None
        stands_for = inspect(tx.bytes).start_op, BEN
    doc.merge(ben)
    undo = Undo(doc)
    assert undo.undo() is not None
    assert "a" not in doc
    assert undo.redo() is not None
    assert doc["a"] == value(1_099)


WRITES: dict[str, Callable[[Document], object]] = {
    "a number": lambda doc: doc.update(x=5),
    "a text": lambda doc: doc.update(x=Text("t")),
    "a list": lambda doc: doc.update(x=[1]),
    "a map": lambda doc: doc.update(x={"y": 1}),
    "a deletion": lambda doc: doc.pop("title"),
    "an item": lambda doc: doc["items"].append(1),
    "an increment": lambda doc: doc["votes"].increment(),
    "a mark": lambda doc: doc["body"].mark(0, 2, "bold", True),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_whatever_is_said_to_stand_for_an_edit_it_is_taken_back(write: Callable[[Document], object]) -> None:
    for number in range(1, started().operations + 1):
        doc = started()
        ben = doc.fork(actor=BEN)
        record = Record("undo", ((BEN, 9_999, 9_999),), ((0, 1, (number, ANN)),))
        with ben.change(record.write(None)):
            write(ben)
        edited(doc)
        doc.merge(ben)
        undo = Undo(doc)
        while undo.undo():
            pass
        assert not undo.can_undo
        while undo.redo():
            pass
        assert Document.load(doc.save()) == doc


def test_a_text_with_a_number_in_it_takes_undos_of_marks() -> None:
    doc = started()
    with doc.change():
        doc["body"].mark(0, 3, "bold", True)
    number = Op(obj=(1, ANN), key=(2, ANN), insert=True, value=integer(7))
    last = doc.history()[-1]
    doc.apply_changes([Change(BEN, start_op=last.start_op + 2, deps=doc.heads, ops=(number,)).encode()])
    assert Undo(doc).undo() is not None
    assert doc["body"].marks() == []
