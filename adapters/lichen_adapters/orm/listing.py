"""The rows that a live query shows, and how they differ from those before."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_STEPS = 1_000_000
"""Where moving rows one by one takes more steps than that, they are removed and added."""


@dataclass(frozen=True, slots=True)
class Difference(Generic[T]):
    """What makes one list of rows of another: remove, move, add and change, in this order, each step by step.

    A list view can follow it step by step too: every position is that of the list as it is then.
    """

    removed: tuple[int, ...] = ()
    """Positions, the last first."""
    moved: tuple[tuple[int, int], ...] = ()
    """From where, and to where in the list without it."""
    added: tuple[tuple[int, T], ...] = ()
    """Where, and what; the first first."""
    changed: tuple[tuple[int, T], ...] = ()
    """Where, and what the row is now."""

    def __bool__(self) -> bool:
        return bool(self.removed or self.moved or self.added or self.changed)

    def apply(self, rows: Iterable[T]) -> list[T]:
        """The list that the difference makes of another."""
        made = list(rows)
        for position in self.removed:
            del made[position]
        for start, end in self.moved:
            made.insert(end, made.pop(start))
        for position, row in self.added:
            made.insert(position, row)
        for position, row in self.changed:
            made[position] = row
        return made


class Rows(tuple[T, ...]):
    """The rows of a live query, and what is different from those before."""

    difference: Difference[T]

    @classmethod
    def of(cls, rows: Iterable[T], difference: Difference[T]) -> Rows[T]:
        """These rows."""
        made = cls(rows)
        made.difference = difference
        return made


def difference(
    before: Sequence[Hashable], after: Sequence[Hashable], rows: Sequence[T], changed: Iterable[int]
) -> Difference[T]:
    """How rows with the keys `after` come of those with the keys `before`; `changed` are positions in `after`.

    Keys differ from each other. What need not move does not: the longest ascending subsequence stays (Schensted 1961).
    """
    was = {key: position for position, key in enumerate(before)}
    now = set(after)
    stay = now & was.keys()
    kept = [key for key in after if key in was]
    movers = set() if kept == [key for key in before if key in now] else _movers(kept, was)
    if len(movers) * len(stay) > MOST_STEPS:
        stay -= movers
        movers = set()
    removed = tuple(position for position in reversed(range(len(before))) if before[position] not in stay)
    moved = _moves([key for key in before if key in stay], [key for key in kept if key in stay], movers)
    added = tuple((position, rows[position]) for position, key in enumerate(after) if key not in stay)
    others = tuple((position, rows[position]) for position in changed if after[position] in stay)
    return Difference(removed, moved, added, others)


def _movers(kept: Sequence[Hashable], was: dict[Hashable, int]) -> set[Hashable]:
    """What is not in a longest run of keys whose positions ascend."""
    ends: list[int] = []
    at: list[int] = []
    for key in kept:
        place = bisect_left(ends, was[key])
        ends[place : place + 1] = [was[key]]
        at.append(place)
    wanted = len(ends) - 1
    movers: set[Hashable] = set()
    for key, place in zip(reversed(kept), reversed(at), strict=True):
        if place == wanted:
            wanted -= 1
        else:
            movers.add(key)
    return movers


def _moves(now: list[Hashable], wanted: Sequence[Hashable], movers: set[Hashable]) -> tuple[tuple[int, int], ...]:
    moves: list[tuple[int, int]] = []
    for position, key in enumerate(wanted):
        if key in movers:
            start = now.index(key)
            del now[start]
            end = now.index(wanted[position - 1]) + 1 if position else 0
            now.insert(end, key)
            moves.append((start, end))
    return tuple(moves)
