"""Runs of local changes become change sets of the target size, which only their first change ties to others."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st
from lichen.config import Limits
from lichen.core.sealing_plan import FRAME_BYTES, LENGTH_BYTES, next_set, plan_sets
from lichen.ids import Session

ONE, OTHER = Session(b"1" * 16), Session(b"2" * 16)
SMALL = replace(Limits(), seal_target_bytes=100, set_plaintext_bytes=300, set_changes=5)


@dataclass(frozen=True)
class Change:
    """A change as the plan sees it."""

    change: bytes
    deps: tuple[bytes, ...] | None = None
    session: Session = ONE
    continues: bool = False


def sizes(planned: list[list[Change]]) -> list[int]:
    """How many changes each set holds."""
    return [len(each) for each in planned]


def of(size: int, *, continues: bool = False) -> Change:
    """A change that costs this much."""
    return Change(bytes(size - LENGTH_BYTES), continues=continues)


def test_a_lone_change_is_a_set() -> None:
    assert plan_sets([of(20)], SMALL) == [[of(20)]]
    assert plan_sets([], SMALL) == []
    assert next_set([], SMALL) == []


def test_changes_share_a_set_up_to_the_target_size() -> None:
    assert sizes(plan_sets([of(50), of(50), of(50)], SMALL)) == [2, 1]
    assert sizes(plan_sets([of(50), of(51), of(50)], SMALL)) == [1, 1, 1]


def test_a_change_beyond_the_target_size_has_a_set_of_its_own() -> None:
    assert sizes(plan_sets([of(20), of(250), of(20)], SMALL)) == [1, 1, 1]


def test_a_set_holds_a_bounded_number_of_changes() -> None:
    assert sizes(plan_sets([of(10)] * 12, SMALL)) == [5, 5, 2]


def test_a_change_that_builds_on_others_begins_a_set() -> None:
    joins = Change(b"x", deps=(b"h" * 32,))
    assert sizes(plan_sets([of(10), of(10), joins, of(10)], SMALL)) == [2, 2]


def test_another_session_begins_a_set() -> None:
    assert sizes(plan_sets([of(10), Change(b"x", session=OTHER), Change(b"y", session=OTHER)], SMALL)) == [1, 2]


def test_the_changes_of_one_transaction_stay_together_beyond_the_target_size() -> None:
    transaction = [of(90), of(90, continues=True), of(90, continues=True)]
    assert sizes(plan_sets([of(20), *transaction, of(20)], SMALL)) == [1, 3, 1]


def test_a_transaction_that_no_longer_fits_behind_others_moves_to_the_next_set_as_a_whole() -> None:
    transaction = [of(10), *[of(10, continues=True)] * 3]
    assert sizes(plan_sets([of(10), of(10), *transaction], SMALL)) == [2, 4]


def test_the_plaintext_around_the_changes_counts_too() -> None:
    fits = SMALL.set_plaintext_bytes - FRAME_BYTES - 200
    assert sizes(plan_sets([of(200), of(fits, continues=True)], SMALL)) == [2]
    assert sizes(plan_sets([of(200), of(fits + 1, continues=True)], SMALL)) == [1, 1]


def test_a_transaction_beyond_every_bound_is_divided_rather_than_stuck() -> None:
    assert sizes(plan_sets([of(10), *[of(10, continues=True)] * 6], SMALL)) == [5, 2]
    assert sizes(plan_sets([of(200), of(200, continues=True)], SMALL)) == [1, 1]


changes = st.builds(
    Change,
    change=st.integers(0, 150).map(bytes),
    deps=st.one_of(st.none(), st.none(), st.none(), st.just((b"h" * 32,))),
    session=st.sampled_from([ONE, ONE, ONE, OTHER]),
    continues=st.booleans(),
)


@given(pending=st.lists(changes, max_size=40))
def test_every_plan_keeps_order_and_bounds(pending: list[Change]) -> None:
    planned = plan_sets(pending, SMALL)
    assert [change for each in planned for change in each] == pending
    for each in planned:
        assert 1 <= len(each) <= SMALL.set_changes
        assert len({change.session for change in each}) == 1
        assert all(change.deps is None for change in each[1:])
        sizes_so_far = [*itertools.accumulate(len(change.change) + LENGTH_BYTES for change in each)]
        assert len(each) == 1 or sizes_so_far[-1] + FRAME_BYTES <= SMALL.set_plaintext_bytes
        for change, size in [*zip(each, sizes_so_far, strict=True)][1:]:
            assert change.continues or size <= SMALL.seal_target_bytes, "only a transaction that has begun goes beyond"


@given(pending=st.lists(changes, max_size=40))
def test_sets_are_no_smaller_than_they_must_be(pending: list[Change]) -> None:
    planned = plan_sets(pending, SMALL)
    for before, after in itertools.pairwise(planned):
        first = after[0]
        tied = first.deps is not None or first.session != before[0].session
        both = sum(len(change.change) + LENGTH_BYTES for change in [*before, *after])
        assert tied or both > SMALL.seal_target_bytes or len(before) + len(after) > SMALL.set_changes
