"""Counters at the ends of 64 bits."""

from __future__ import annotations

import pytest
from lichen_crdt import Counter, Document, Undo, apply_patches

LARGEST, SMALLEST = 2**63 - 1, -(2**63)


def apart(start: int, by: int) -> list[Document]:
    """Two copies that increment the same counters at once."""
    base = Document(b"0")
    with base.change():
        base.update(n=Counter(start), items=[Counter(start)])
    copies = [base.fork(b"1"), base.fork(b"2")]
    for copy in copies:
        with copy.change():
            copy["n"].increment(by)
            copy["items"][0].increment(by)
    return copies


@pytest.mark.parametrize(("start", "by", "end"), [(LARGEST - 1, 1, SMALLEST), (SMALLEST + 1, -1, LARGEST)])
@pytest.mark.parametrize("replay", [True, False])
def test_increments_that_together_leave_64_bits_go_on_at_the_other_end(
    start: int, by: int, end: int, replay: bool
) -> None:
    one, other = apart(start, by)
    before = one.to_py()
    patches = one.apply_changes(other.changes(one.heads), replay=replay)
    assert one == Document.load(one.save()) == {"n": end, "items": [end]}
    assert apply_patches(before, patches) == one.to_py()
    assert apply_patches(other.to_py(), other.merge(one)) == other.to_py() == one.to_py()
    assert Undo(one).undo() is not None
    assert one == {"n": start + by, "items": [start + by]}


def test_an_increment_that_leaves_64_bits_by_itself_is_refused() -> None:
    one, _ = apart(LARGEST - 1, 1)
    with pytest.raises(OverflowError), one.change():
        one["n"] += 1
    assert one["n"] == LARGEST


def test_the_smallest_increment_is_taken_back() -> None:
    one, _ = apart(0, SMALLEST)
    undo = Undo(one)
    assert undo.undo() is not None
    assert one == {"n": 0, "items": [0]}
    assert undo.redo() is not None
    assert one == {"n": SMALLEST, "items": [SMALLEST]}


def test_increments_of_one_step_that_add_up_to_more_than_64_bits_are_taken_back() -> None:
    one, _ = apart(SMALLEST, 0)
    with one.change():
        one["n"].increment(LARGEST)
        one["n"].increment(LARGEST)
    assert Undo(one).undo() is not None
    assert one["n"] == SMALLEST
