"""The hybrid logical clock: rises always, follows others only so far."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from lichen.core.hlc import DRIFT_MS, Clock, milliseconds

NOW = 1_700_000_000_000
TEN_YEARS_MS = 10 * 365 * 86_400_000
moments = st.integers(NOW - TEN_YEARS_MS, NOW + TEN_YEARS_MS)
steps = st.lists(st.tuples(st.booleans(), moments, moments), max_size=30)


def test_a_tick_is_the_local_time_when_nothing_was_seen() -> None:
    assert Clock().tick(NOW) == NOW << 16


def test_ticks_within_one_millisecond_count() -> None:
    clock = Clock()
    assert [clock.tick(NOW) & 0xFFFF for _ in range(3)] == [0, 1, 2]


def test_more_ticks_than_the_counter_holds_borrow_from_the_next_millisecond() -> None:
    clock = Clock(last=(NOW << 16) + 0xFFFF)
    assert clock.tick(NOW) == (NOW + 1) << 16


@given(steps)
def test_ticks_always_rise(events: list[tuple[bool, int, int]]) -> None:
    clock, given_out = Clock(), []
    for observed, remote, now in events:
        if observed:
            clock.observe(remote << 16, now)
        else:
            given_out.append(clock.tick(now))
    assert all(left < right for left, right in itertools.pairwise(given_out))


@given(st.integers(0, DRIFT_MS), st.integers(0, 0xFFFF))
def test_a_tick_follows_what_was_seen_within_the_drift(ahead: int, counter: int) -> None:
    clock = Clock()
    remote = min((NOW + ahead << 16) + counter, NOW + DRIFT_MS << 16)
    clock.observe(remote, NOW)
    assert clock.tick(NOW) > remote


@given(st.integers(1, TEN_YEARS_MS))
def test_a_time_too_far_ahead_never_drags_the_clock(beyond: int) -> None:
    clock = Clock()
    clock.observe(NOW + DRIFT_MS + beyond << 16, NOW)
    assert milliseconds(clock.tick(NOW)) == NOW


def test_the_largest_time_neither_drags_nor_overflows() -> None:
    clock = Clock()
    clock.observe(2**64 - 1, NOW)
    assert clock.tick(NOW) == NOW << 16
    assert clock.tick(2**60) == 2**64 - 1


def test_a_local_clock_set_back_ten_years_still_ticks_on() -> None:
    clock = Clock()
    newest = clock.tick(NOW)
    assert clock.tick(NOW - TEN_YEARS_MS) == newest + 1


def test_a_clock_before_1970_begins_at_zero() -> None:
    assert Clock().tick(-5) == 1


def test_a_clock_goes_on_after_a_restart() -> None:
    before = Clock()
    newest = before.tick(NOW)
    assert Clock(last=newest).tick(NOW - 1_000) > newest
