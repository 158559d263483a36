"""Two values of one character, which two devices leave that undo one deletion at once."""

from __future__ import annotations

import pytest
from crdt_forge import Change, Op, string
from lichen_crdt import Document, Text, Undo, apply_patches

BASE, ONE, OTHER, THIRD = b"\x01", b"\x02", b"\x03", b"\x04"


def undone_twice() -> tuple[Document, Document]:
    """A device that undid a deletion and then deleted the character again; one with both undos, and without that."""
    base = Document(BASE)
    with base.change():
        base["body"] = Text("abc")
    with base.change():
        base["body"].delete(0)
    one, other = base.fork(ONE), base.fork(OTHER)
    for device in (one, other):
        Undo(device, [BASE]).undo()
    both = other.fork(THIRD)
    both.merge(one)
    with one.change():
        one["body"].delete(0)
    return one, both


@pytest.mark.parametrize("replay", [True, False])
def test_a_deletion_of_one_of_two_values_is_taken(replay: bool) -> None:
    one, both = undone_twice()
    before = both.to_py()
    patches = both.apply_changes(one.changes(both.heads), replay=replay)
    one.merge(both)
    assert both == one == {"body": "abc"}
    assert apply_patches(before, patches) == both.to_py()
    assert Document.load(both.save()) == both


def test_a_deletion_of_one_of_two_values_is_taken_after_a_save() -> None:
    one, both = undone_twice()
    one.merge(both)
    assert Document.load(both.save() + b"".join(one.changes(both.heads))) == one


def test_a_value_that_a_stranger_put_beside_the_one_it_saw_spoils_no_deletion() -> None:
    base = Document(BASE)
    with base.change():
        base["body"] = Text("abc")
    beside = Op(obj=(1, BASE), key=(2, BASE), key_is_text=False, value=string("z"))  # no pred, though it saw the "a"
    change = Change(actor=OTHER, start_op=5, deps=base.heads, ops=(beside,)).encode()
    spoiled = base.fork(THIRD)
    spoiled.apply_changes([change])
    with base.change():
        base["body"].delete(0)
    spoiled.merge(base)
    base.apply_changes([change])
    assert spoiled == base == {"body": "zbc"}
