"""Two values at one place, which two devices leave that undo one deletion at once."""

from __future__ import annotations

import random

import pytest
from crdt_forge import INCREMENT, Change, Op, counter, sleb, string
from lichen_crdt import Document, InvalidChange, InvalidDocument, Text, Undo, apply_patches

BASE, ONE, OTHER, THIRD = b"\x01", b"\x02", b"\x03", b"\x04"
SMALL, LARGE = "bc", "b" * 6_000
"""A large document is not held while changes are applied to it."""

rests = pytest.mark.parametrize("rest", [SMALL, LARGE], ids=["small", "large"])


def undoers(rest: str) -> tuple[Document, Document]:
    """Two devices that undid one deletion, and do not know it of each other."""
    base = Document(BASE)
    with base.change():
        base["body"] = Text("a" + rest)
    with base.change():
        base["body"].delete(0)
    one, other = base.fork(ONE), base.fork(OTHER)
    for device in (one, other):
        Undo(device, [BASE]).undo()
    return one, other


def undone_twice(rest: str) -> tuple[Document, Document]:
    """A device that undid a deletion and then deleted the character again; one with both undos, and without that."""
    one, other = undoers(rest)
    both = other.fork(THIRD)
    both.merge(one)
    with one.change():
        one["body"].delete(0)
    return one, Document.load(both.save(), THIRD)


@rests
@pytest.mark.parametrize("replay", [True, False])
def test_a_deletion_of_one_of_two_values_is_taken(rest: str, replay: bool) -> None:
    one, both = undone_twice(rest)
    before = both.to_py()
    patches = both.apply_changes(one.changes(both.heads), replay=replay)
    assert apply_patches(before, patches) == both.to_py()
    one.merge(both)
    assert both == one == {"body": "a" + rest}
    assert Document.load(both.save()) == both


def test_what_is_typed_while_it_is_taken_is_kept_and_so_is_what_comes_next() -> None:
    one, both = undone_twice(LARGE)
    applying = both.applying(one.changes(both.heads))
    for word in ("x", "y"):
        applying.run()
        with both.change():
            both["body"].append(word)
        assert applying.finish() is None
    before = both.to_py()
    while (patches := applying.finish()) is None:
        applying.run()
    assert apply_patches(before, patches) == both.to_py() == {"body": "a" + LARGE + "xy"}
    for _ in range(2):
        with one.change() as tx:
            one["body"].insert(0, "z")
        both.apply_changes([tx.bytes or b""])
    one.merge(both)
    assert one == both == {"body": "zza" + LARGE + "xy"}


def test_one_of_two_values_may_be_deleted_here_while_the_other_comes() -> None:
    one, other = undoers(LARGE)
    applying = one.applying(other.changes(one.heads))
    applying.run()
    with one.change():
        one["body"].delete(0)
    while applying.finish() is None:
        applying.run()
    other.merge(one)
    assert one.heads == other.heads
    assert one == other == {"body": "a" + LARGE}


def test_a_deletion_of_one_of_two_values_is_taken_after_a_save() -> None:
    one, both = undone_twice(SMALL)
    one.merge(both)
    assert Document.load(both.save() + b"".join(one.changes(both.heads))) == one


def back_and_forth(device: Document) -> list[object]:
    """What a document is after each of two undos and two redos."""
    undo = Undo(device, [BASE])
    seen: list[object] = []
    for step in (undo.undo, undo.undo, undo.redo, undo.redo):
        step()
        seen.append(device.to_py())
    return seen


def beside(at: int, value: str) -> Op:
    """A value put beside the character at `at` of a text that is the first thing that `BASE` wrote."""
    return Op(obj=(1, BASE), key=(2 + at, BASE), key_is_text=False, value=string(value))


def test_a_value_that_a_stranger_put_beside_the_one_it_saw_spoils_no_deletion() -> None:
    base = Document(BASE)
    with base.change():
        base["body"] = Text("abc")
    change = Change(actor=OTHER, start_op=5, deps=base.heads, ops=(beside(0, "z"),)).encode()
    spoiled = base.fork(THIRD)
    spoiled.apply_changes([change])
    with base.change():
        base["body"].delete(0)
    spoiled.merge(base)
    base.apply_changes([change])
    assert spoiled == base == {"body": "zbc"}


@rests
def test_of_a_marked_character_that_comes_forward_the_patch_has_its_marks(rest: str) -> None:
    base = Document(BASE)
    with base.change():
        base["body"] = Text("xa" + rest)
        base["body"].mark(0, 4, "bold", True)
    with base.change():
        base["body"].delete(1)
    one, other = base.fork(ONE), base.fork(OTHER)
    for device in (one, other):
        Undo(device, [BASE]).undo()
    both = one.fork(THIRD)
    both.merge(other)
    both = Document.load(both.save(), THIRD)
    with other.change():
        other["body"].delete(1)
    before = both.to_py(rich=True)
    patches = both.apply_changes(other.changes(both.heads))
    assert apply_patches(before, patches, rich=True) == both.to_py(rich=True)


def test_an_increment_in_a_text_is_refused_alone_and_in_a_file() -> None:
    base = Document(BASE)
    with base.change():
        base["body"] = Text("abc")
    place = {"obj": (1, BASE), "key": (2, BASE), "key_is_text": False}
    put = Op(**place, value=counter(1))
    increment = Op(**place, action=INCREMENT, value=(4, sleb(1)), pred=((5, OTHER),))
    change = Change(actor=OTHER, start_op=5, deps=base.heads, ops=(put, increment)).encode()
    before = base.save()
    with pytest.raises(InvalidChange, match="increment in a text"):
        base.apply_changes([change])
    assert base.save() == before
    with pytest.raises(InvalidDocument):
        Document.load(before + change)


def test_a_difference_counts_two_values_of_a_character_once() -> None:
    base = Document(BASE)
    with base.change():
        base["body"] = Text("a" + LARGE)
    last = len(LARGE) + 2
    forged = Change(actor=OTHER, start_op=last + 1, deps=base.heads, ops=(beside(0, "z"),)).encode()
    doc = base.fork(THIRD)
    doc.apply_changes([forged])
    heads, before = doc.heads, doc.to_py()
    with base.change() as tx:
        base["body"].delete(0)
    doc.apply_changes([tx.bytes or b""])
    assert apply_patches(before, doc.diff(heads)) == doc.to_py() == before


@pytest.mark.parametrize("seed", range(20))
def test_deletions_among_other_edits_where_strangers_put_values(seed: int) -> None:
    """In whatever order the batches come, documents are those that get all at once."""
    rng = random.Random(seed)
    base = Document(BASE)
    with base.change():
        base["body"] = Text("abcdefgh")
    puts = tuple(beside(at, value) for at, value in zip(rng.sample(range(8), 4), "wxyz", strict=True))
    changes = [Change(actor=OTHER, start_op=10, deps=base.heads, ops=puts).encode()]
    for actor in (ONE, THIRD):
        device = base.fork(actor)
        for _ in range(4):
            with device.change(patches=True) as tx:
                at = rng.randrange(len(device["body"]) + 1)
                device["body"].splice(at, min(rng.randint(0, 2), len(device["body"]) - at), rng.choice(("", "", "!")))
                device["body"].mark(0, len(device["body"]), "bold", rng.choice((True, None)))
            changes += [data for _, data in tx.changes]
    at_once = Document()
    at_once.apply_changes([*base.changes(), *changes])
    doc = base.fork(b"\x06")
    while changes:
        before = doc.to_py(rich=True)
        batch, changes = changes[: (part := rng.randint(1, 3))], changes[part:]
        assert apply_patches(before, doc.apply_changes(batch), rich=True) == doc.to_py(rich=True)
    assert doc.heads == at_once.heads
    assert doc.to_py(rich=True) == at_once.to_py(rich=True)
    assert Document.load(doc.save()).to_py(rich=True) == at_once.to_py(rich=True)


@pytest.mark.parametrize(("mine", "other"), [(ONE, OTHER), (OTHER, ONE)])
def test_a_value_that_both_brought_back_hides_no_redo(mine: bytes, other: bytes) -> None:
    base = Document(BASE)
    with base.change():
        base["title"] = "old"
    with base.change():
        del base["title"]
    device, second = base.fork(mine), base.fork(other)
    for copy in (device, second):
        Undo(copy, [BASE]).undo()
    with device.change():
        del device["title"]
        device["title"] = "new"
    device.merge(second)
    assert back_and_forth(device) == [{"title": "old"}, {}, {"title": "old"}, {"title": "new"}]
    assert [one.value for one in device.conflicts("title")] == ["old", "new"]


def test_of_a_text_that_came_back_a_character_that_both_brought_back_shows_once() -> None:
    base = Document(BASE)
    with base.change():
        base["body"] = Text("abc")
    Undo(base).undo()
    Undo(base).redo()
    with base.change():
        base["body"].delete(0)
    device, second = base.fork(ONE), base.fork(OTHER)
    for copy in (device, second):
        Undo(copy, [BASE]).undo()
    with device.change():
        device["body"].delete(0)
    device.merge(second)
    assert back_and_forth(device) == [{"body": "abc"}, {}, {"body": "abc"}, {"body": "abc"}]


def test_two_values_of_a_character_count_once_in_an_old_version() -> None:
    device, second = undoers(SMALL)
    device.merge(second)
    heads, end = device.heads, device["body"].cursor(len(device["body"]))
    with device.change():
        device["body"].append("!")
    was = device.at(heads)["body"]
    assert (str(was), len(was), was.position(end), was.blame()[-1].end) == ("abc", 3, 3, 3)
