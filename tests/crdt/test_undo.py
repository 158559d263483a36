"""Undo and redo: what an author wrote is taken back, what others wrote stays."""

from __future__ import annotations

from typing import Any

import pytest
from lichen_crdt import (
    Authors,
    Counter,
    Document,
    DocumentBusy,
    Text,
    TransactionOpen,
    Undo,
    _native,
)

ANN, PHONE, BEN = b"a" * 16, b"p" * 16, b"b" * 16


def started() -> Document:
    doc = Document(actor=ANN)
    with doc.change("start"):
        doc["body"] = Text("hello")
        doc["votes"] = Counter(1)
        doc["title"] = "one"
        doc["items"] = [1, {"deep": Text("x")}, 3]
    return doc


def edited(doc: Document) -> None:
    with doc.change("edit"):
        doc["body"].splice(1, 3, "ipp")
        doc["votes"] += 5
        doc["title"] = "two"
        doc["new"] = {"inner": [1]}
        doc["items"][0] = 9
        del doc["items"][1]


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
