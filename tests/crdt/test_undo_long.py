"""Undo of long texts and long deletions, and of steps of which nothing shows."""

from __future__ import annotations

from crdt_undo_document import ANN, BEN, PHONE, started
from lichen_crdt import (
    Document,
    Text,
    Undo,
)


def test_a_large_text_goes_back_and_forth() -> None:
    doc = Document(actor=ANN)
    with doc.change():
        doc["body"] = Text("x" * 6_000)
    with doc.change():
        doc["body"].splice(100, 1_000, "short")
    undo, after = Undo(doc), str(doc["body"])
    for _ in range(2):
        undo.undo()
        assert doc["body"] == "x" * 6_000
        undo.redo()
        assert doc["body"] == after


def test_a_long_deletion_that_two_devices_take_back_takes_no_look_at_the_whole_text_for_each_character() -> None:
    size = 4_000  # with such looks, minutes
    doc = Document(actor=ANN)
    with doc.change():
        doc["holder"] = {"body": Text("x" * size)}
    phone = doc.fork(actor=PHONE)
    devices = (doc, phone)
    for _ in range(2):
        for device in devices:
            with device.change():
                device["holder"]["body"].delete(1, size - 2)
        doc.merge(phone)
        phone.merge(doc)
        for device in devices:
            Undo(device, [ANN, PHONE]).undo()
        doc.merge(phone)
        phone.merge(doc)
        assert doc["holder"]["body"] == "x" * size
    Undo(doc, [ANN, PHONE]).redo()
    assert doc["holder"]["body"] == "xx"
    Undo(doc, [ANN, PHONE]).undo()
    assert doc["holder"]["body"] == "x" * size


def test_a_long_deletion_comes_back_in_the_copy_of_a_text() -> None:
    doc = Document(actor=ANN)
    with doc.change():
        doc["holder"] = {"body": Text("ab" * 2_000)}
    ben = doc.fork(actor=BEN)
    with doc.change():
        doc["holder"]["body"].delete(1, 3_998)
    with doc.change():
        del doc["holder"]
    with ben.change():
        ben["holder"]["body"].insert(2_000, "-")
    doc.merge(ben)
    Undo(doc).undo()
    assert doc["holder"]["body"] == "a-b"
    Undo(doc).undo()
    assert doc["holder"]["body"] == "ab" * 1_000 + "-" + "ab" * 1_000


def test_steps_of_which_nothing_shows_go_back_and_forth_on_two_devices() -> None:
    doc = started()
    ben = doc.fork(actor=BEN)
    with doc.change("mine"):
        doc["title"] = "mine"
    ben.merge(doc)
    with ben.change():
        ben["title"] = "theirs"
    doc.merge(ben)
    for turn, actor in enumerate((b"z" * 16, b"c" * 16, b"y" * 16, b"b2" * 8)):
        doc = Document.load(doc.save(), actor=actor)
        mine = {entry.actor for entry in doc.history()} - {BEN}
        undo = Undo(doc, mine)
        assert len(undo.steps) == 2 - turn % 2
        done = undo.redo() if turn % 2 else undo.undo()
        assert done is not None
        assert (done.label, done.patches, doc["title"]) == ("mine", (), "theirs")


def test_a_text_that_the_step_made_goes_by_one_operation() -> None:
    doc = started()
    with doc.change():
        doc["new"] = {"body": Text("x" * 1_000)}
    assert Undo(doc).undo() is not None
    assert (doc.history()[-1].operations, doc.get("new")) == (1, None)
