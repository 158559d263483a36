"""An actor whose first transaction comes to nothing leaves no trace in the document, nor in the core's indexes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from crdt_forge import Change, Op, rle, string, uleb
from crdt_format import Column, DocumentBody, join, split, values_of
from crdt_replicas import everything
from lichen_crdt import Document, Text

FIRST, ANN, BEN, CLEO, DAN = (bytes([n]) * 16 for n in (1, 2, 3, 4, 5))


def marked() -> tuple[bytes, list[bytes]]:
    """A document with a mark of Ben's, and one that Cleo set at once: its operations have the same numbers."""
    ann = Document(actor=ANN)
    with ann.change():
        ann["body"] = Text("hello")
    ben, cleo = ann.fork(actor=BEN), ann.fork(actor=CLEO)
    with ben.change():
        ben.text("body").mark(0, 4, "bold", True)
    with cleo.change():
        cleo.text("body").mark(1, 5, "bold", "very")
    return ben.save(), cleo.changes()


def nothing(doc: Document) -> None:
    with doc.change():
        pass


def taken_back(doc: Document) -> None:
    with suppress(KeyError), doc.change():
        doc["x"] = 1
        raise KeyError


@pytest.mark.parametrize("transaction", [nothing, taken_back])
def test_a_first_transaction_that_comes_to_nothing_leaves_marks_as_they_were(
    transaction: Callable[[Document], None],
) -> None:
    file, changes = marked()
    doc, control = (Document.load(file, actor=FIRST) for _ in range(2))
    transaction(doc)
    assert (doc.save(), doc.actor, doc.in_transaction) == (file, FIRST, False)
    for each in (doc, control):
        each.apply_changes(changes)
    assert everything(doc) == everything(control) == everything(Document.load(doc.save()))
    with doc.change():
        doc.text("body").append("!")
    assert str(doc["body"]) == "hello!"


def many(changes: list[bytes]) -> Document:
    """So many changes are applied on a copy of the document."""
    dan = Document(actor=DAN)
    for number in range(200):
        with dan.change():
            dan["number"] = number
    doc = Document(actor=FIRST)
    doc.apply_changes([*changes, *dan.changes()])
    return doc


def applied(changes: list[bytes]) -> Document:
    doc = Document(actor=FIRST)
    doc.apply_changes(changes)
    return doc


def one_by_one(changes: list[bytes]) -> Document:
    doc = Document(actor=FIRST)
    for change in changes:
        doc.apply_changes([change])
    return doc


def merged(changes: list[bytes]) -> Document:
    doc = Document(actor=FIRST)
    doc.merge(applied(changes))
    return doc


def marked_here(changes: list[bytes]) -> Document:
    """A fork of a document whose own marks are the only ones."""
    doc = Document(actor=BEN)
    doc.apply_changes(changes[:1])
    with doc.change():
        doc.text("body").mark(0, 4, "bold", True)
    return doc.fork(actor=FIRST)


WAYS: dict[str, Callable[[list[bytes]], Document]] = {
    "loaded as changes": lambda changes: Document.load(b"".join(changes), actor=FIRST),
    "applied": applied,
    "applied with many others": many,
    "applied one by one": one_by_one,
    "merged": merged,
    "forked": lambda changes: applied(changes).fork(actor=FIRST),
    "forked at heads": lambda changes: (doc := applied(changes)).fork(actor=FIRST, at=doc.heads),
    "marked here": marked_here,
}


@pytest.mark.parametrize("transaction", [nothing, taken_back])
@pytest.mark.parametrize("way", WAYS)
def test_it_does_not_matter_how_the_marks_came(way: str, transaction: Callable[[Document], None]) -> None:
    file, changes = marked()
    doc, control = (WAYS[way](Document.load(file).changes()) for _ in range(2))
    transaction(doc)
    for each in (doc, control):
        each.apply_changes(changes, replay=False)
    assert everything(doc) == everything(control) == everything(Document.load(doc.save()))


@pytest.mark.parametrize("size", [5, 6_000])
def test_marks_that_are_taken_back_in_a_first_transaction_leave_nothing(size: int) -> None:
    ann = Document(actor=ANN)
    with ann.change():
        ann["body"] = Text("hello" + "x" * size)
    ben, cleo, doc, control = (ann.fork(actor=actor) for actor in (BEN, CLEO, FIRST, FIRST))
    with suppress(KeyError), doc.change():
        doc.text("body").mark(0, 2, "bold", True)
        raise KeyError
    assert (doc.save(), doc.actor) == (control.save(), FIRST)
    for each, span in ((ben, (0, 4)), (cleo, (1, 5))):
        with each.change():
            each.text("body").mark(*span, "bold", each.actor.hex())
    for each in (doc, control):
        each.apply_changes(ben.changes(ann.heads))
        each.apply_changes(cleo.changes(ann.heads))
    assert everything(doc) == everything(control) == everything(Document.load(doc.save()))


def test_a_change_that_cannot_be_replayed_leaves_marks_as_they_were() -> None:
    file, changes = marked()
    doc, control = (Document.load(file) for _ in range(2))
    [head] = doc.heads
    written_over = Op(obj=(1, ANN), key=(2, ANN), value=string("H"), pred=((2, ANN),))
    first = Change(FIRST, start_op=9, deps=(head,), ops=(written_over,))
    doc.apply_changes([first.encode()])
    assert doc.replayed == 0, "a character written over another goes the core's own way"
    control.apply_changes([first.encode()], replay=False)
    for each in (doc, control):
        each.apply_changes(changes, replay=False)
    assert everything(doc) == everything(control) == everything(Document.load(doc.save()))


def test_a_file_that_names_an_actor_who_wrote_nothing_is_read_as_one_without() -> None:
    file, changes = marked()
    [(_, bytes_of)] = split(file)
    body = DocumentBody.parse(bytes_of)
    body.actors.insert(0, FIRST)
    body.changes, body.ops = [moved(column) for column in body.changes], [moved(column) for column in body.ops]
    doc, control = Document.load(join([(0, body.encode())])), Document.load(file)
    assert doc.save() == file
    for each in (doc, control):
        each.apply_changes(changes)
    assert everything(doc) == everything(control)


def moved(column: Column) -> Column:
    """A column of actors, each of which has the next number."""
    spec, data = column
    if spec & 7 != 1:
        return column
    return spec, rle([None if actor is None else actor + 1 for actor in values_of(spec, data)], uleb)
