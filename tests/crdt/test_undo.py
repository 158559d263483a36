"""Undo and redo: what an author wrote is taken back, what others wrote stays."""

from __future__ import annotations

from typing import Any

import pytest
from crdt_undo_document import ANN, BEN, PHONE, edited, started
from lichen_crdt import (
    Authors,
    Counter,
    Document,
    Text,
    Undo,
)


def test_an_undo_gives_the_old_value_and_a_redo_the_new() -> None:
    doc = started()
    before = doc.to_py()
    edited(doc)
    after, undo = doc.to_py(), Undo(doc)
    done = undo.undo()
    assert done is not None
    assert (done.label, doc.to_py(), undo.can_redo) == ("edit", before, True)
    assert undo.redo() is not None
    assert (doc.to_py(), undo.can_redo, [step.label for step in undo.steps]) == (after, False, ["start", "edit"])
    while undo.undo():
        pass
    assert doc == {}
    while undo.redo():
        pass
    assert doc == after
    assert Document.load(doc.save()) == after


def test_undone_changes_are_ordinary_changes_for_others() -> None:
    doc = started()
    other = doc.fork(actor=BEN)
    edited(doc)
    done = Undo(doc).undo()
    assert done is not None
    other.apply_changes(doc.changes(other.heads))
    assert other == doc
    assert other.history()[-1].message.startswith("Undo: edit\n")  # type: ignore[union-attr]
    assert done.changes[-1][0] == other.heads[0]


def test_text_of_others_inside_mine_stays() -> None:
    doc = started()
    ben = doc.fork(actor=BEN)
    with doc.change():
        doc["body"].insert(5, " world")
    ben.merge(doc)
    with ben.change():
        ben["body"].insert(8, "XX")
    doc.merge(ben)
    undo = Undo(doc)
    undo.undo()
    assert doc["body"] == "helloXX"
    undo.redo()
    assert doc["body"] == "hello woXXrld"


def test_a_deletion_is_undone_at_its_place_and_once() -> None:
    doc = started()
    cursor = doc["body"].cursor(2)
    with doc.change():
        doc["body"].delete(1, 3)
    phone, ben = doc.fork(actor=PHONE), doc.fork(actor=BEN)
    with ben.change():
        ben["body"].insert(1, "--")
    Undo(doc).undo()
    Undo(phone, [ANN]).undo()
    doc.merge(phone)
    doc.merge(ben)
    assert sorted(str(doc["body"])) == sorted("hello--")
    assert str(doc["body"]).replace("--", "") == "hello"
    assert str(doc["body"])[doc["body"].position(cursor)] == "l"


def test_what_someone_else_deleted_too_stays_deleted_until_they_undo() -> None:
    doc = started()
    ben = doc.fork(actor=BEN)
    for copy in (doc, ben):
        with copy.change():
            copy["body"].delete(0, 2)
    doc.merge(ben)
    Undo(doc).undo()
    assert doc["body"] == "llo"
    ben.merge(doc)
    Undo(ben).undo()
    assert ben["body"] == "hello"


@pytest.mark.parametrize("place", [("title",), ("items", 0)])
def test_what_someone_else_deleted_while_i_wrote_it_stays_deleted_until_they_undo(place: tuple[Any, ...]) -> None:
    doc = started()
    ben = doc.fork(actor=BEN)
    *path, key = place

    def holder(copy: Document) -> Any:
        return copy[path[0]] if path else copy

    with doc.change():
        holder(doc)[key] = "mine"
    with ben.change():
        del holder(ben)[key]
    doc.merge(ben)
    undo = Undo(doc)
    undo.undo()
    assert "mine" not in holder(doc).to_py()
    assert len(holder(doc)) == len(holder(started())) - 1
    undo.redo()
    assert holder(doc)[key] == "mine"
    undo.undo()
    ben.merge(doc)
    Undo(ben).undo()
    assert ben == started()


@pytest.mark.parametrize("later", [False, True])
def test_a_value_of_someone_else_stays(later: bool) -> None:
    doc = started()
    ben = doc.fork(actor=BEN)
    with doc.change():
        doc["title"] = "mine"
    if later:
        ben.merge(doc)
    with ben.change():
        ben["title"] = "theirs"
    doc.merge(ben)
    undo = Undo(doc)
    undo.undo()
    assert (doc["title"], len(doc.conflicts("title"))) == ("theirs", 1)


def test_increments_of_others_stay_also_in_my_counter() -> None:
    doc = started()
    ben = doc.fork(actor=BEN)
    with ben.change():
        ben["votes"] += 10
    with doc.change():
        doc["votes"] += 5
    doc.merge(ben)
    undo = Undo(doc)
    undo.undo()
    assert doc["votes"] == 11
    undo.undo()
    assert doc == {"votes": 11}


def test_an_object_of_mine_stays_while_it_holds_work_of_others() -> None:
    doc = Document(actor=ANN)
    with doc.change():
        doc["card"] = {"title": "x", "body": Text("mine")}
    ben = doc.fork(actor=BEN)
    with ben.change():
        ben["card"]["body"].append("theirs")
    doc.merge(ben)
    undo = Undo(doc)
    undo.undo()
    assert doc == {"card": {"body": "theirs"}}
    undo.redo()
    assert doc == {"card": {"title": "x", "body": "minetheirs"}}


def test_objects_that_came_back_take_further_undos() -> None:
    doc = started()
    states = [doc.to_py()]
    for write in (
        lambda: doc["items"][1]["deep"].append("yz"),
        lambda: doc["items"][1]["deep"].delete(0, 2),
        lambda: doc["items"].pop(1),
        lambda: doc.pop("items"),
    ):
        with doc.change():
            write()
        states.append(doc.to_py())
    undo = Undo(doc)
    for _ in range(2):
        for state in reversed(states[:-1]):
            undo.undo()
            assert doc.to_py() == state
        for state in states[1:]:
            undo.redo()
            assert doc.to_py() == state


def test_undo_goes_on_after_a_restart_under_another_actor() -> None:
    doc = started()
    before = doc.to_py()
    edited(doc)
    authors = Authors({"Ann": [ANN]})
    for actor in (b"c" * 16, b"d" * 16, b"e" * 16):
        after = doc.to_py()
        Undo(doc, authors.actors("Ann")).undo()
        assert doc == before
        authors = authors.with_actor("Ann", actor)
        doc = Document.load(doc.save(), actor=actor)
        undo = Undo(doc, authors.actors("Ann"))
        assert undo.can_redo
        undo.redo()
        assert doc.to_py() == after


def test_a_new_edit_clears_redo_and_edits_of_others_do_not() -> None:
    doc = started()
    edited(doc)
    undo = Undo(doc)
    undo.undo()
    ben = doc.fork(actor=BEN)
    with ben.change():
        ben["more"] = 1
    doc.merge(ben)
    assert undo.can_redo
    with doc.change():
        doc["x"] = 1
    assert not undo.can_redo
    assert undo.redo() is None


def test_a_redo_takes_a_text_of_someone_else_away_that_the_undo_brought_back() -> None:
    doc = started()
    ben = doc.fork(actor=BEN)
    with ben.change():
        ben["body"] = [1]
    before = ben.to_py()
    undo = Undo(ben)
    for _ in range(3):
        assert undo.undo() is not None
        assert ben["body"] == "hello"
        assert undo.redo() is not None
        assert ben == before


@pytest.mark.parametrize(("mine", "shows"), [(ANN, "theirs"), (PHONE, "mine")])
def test_a_redo_shows_of_several_values_the_one_that_showed(mine: bytes, shows: str) -> None:
    theirs = Document(actor=BEN)
    doc = Document(actor=mine)
    with doc.change():
        doc["title"] = "mine"
    with theirs.change():
        theirs["title"] = "theirs"
    doc.merge(theirs)
    undo = Undo(doc)
    for _ in range(2):
        assert doc["title"] == shows
        assert undo.undo() is not None
        assert doc["title"] == "theirs"
        assert undo.redo() is not None
    assert doc["title"] == shows


def test_an_increment_beside_another_value_is_taken_back_from_the_counter_alone() -> None:
    doc, other = Document(actor=PHONE), Document(actor=BEN)
    with doc.change():
        doc["n"] = Counter(1)
    with other.change():
        other["n"] = "text"
    doc.merge(other)
    assert doc["n"] == 1
    with doc.change():
        doc["n"] += 5
    undo = Undo(doc)
    assert undo.undo() is not None
    assert doc["n"] == 1
    assert undo.redo() is not None
    assert doc["n"] == 6
    assert Document.load(doc.save()) == doc
