"""Differences between lists of rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lichen_adapters.orm import listing
from lichen_adapters.orm.listing import Difference, difference

lists = st.lists(st.integers(0, 12), unique=True, max_size=12)


@given(before=lists, after=lists, rewritten=st.sets(st.integers(0, 12)))
def test_a_difference_makes_the_new_list_of_the_old(before: list[int], after: list[int], rewritten: set[int]) -> None:
    old = {key: f"old {key}" for key in before}
    rows = [f"new {key}" if key in rewritten or key not in old else old[key] for key in after]
    changed = [position for position, key in enumerate(after) if key in old and key in rewritten]
    found = difference(before, after, rows, changed)
    assert found.apply(old[key] for key in before) == rows
    assert bool(found) == (list(old.values()) != rows)
    assert len(found.added) == len({*after} - {*before})
    assert len(found.removed) == len({*before} - {*after})
    assert len(found.changed) == len(changed)


def test_what_moves_moves_alone() -> None:
    rows = list("bcdefa")
    assert difference(list("abcdef"), rows, rows, []) == Difference(moved=((0, 5),))
    rows = list("fabcde")
    assert difference(list("abcdef"), rows, rows, []) == Difference(moved=((5, 0),))


def test_where_too_much_moves_it_is_removed_and_added() -> None:
    count = int(listing.MOST_STEPS**0.5) + 2
    before, after = list(range(count)), list(reversed(range(count)))
    found = difference(before, after, after, [])
    assert not found.moved
    assert found.apply(before) == after
