"""What waits for something that is not here yet: bounded in number and bytes, released as that arrives."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Id = TypeVar("Id", bound=bytes)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Value]):
    value: Value
    size_bytes: int
    missing: dict[bytes, None]


class Waiting(Generic[Id, Value]):
    """Keeps at most so many values and bytes by their ids; the oldest is forgotten first, and may come again."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[Id, _Entry[Value]] = OrderedDict()
        self._followers: dict[bytes, dict[Id, None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, one: object) -> bool:
        return one in self._entries

    @property
    def missing(self) -> tuple[bytes, ...]:
        """What is waited for and does not wait itself, sorted."""
        return tuple(sorted(need for need in self._followers if need not in self))

    @property
    def needs(self) -> tuple[bytes, ...]:
        """Everything that is waited for."""
        return tuple(self._followers)

    def put(self, one: Id, value: Value, size_bytes: int, missing: Iterable[bytes]) -> list[Id]:
        """Keep a value until all of `missing` is here. Returns the ids of those that are forgotten for it."""
        if one in self._entries:
            return []
        entry = _Entry(value, size_bytes, dict.fromkeys(missing))
        self._entries[one] = entry
        self._bytes += size_bytes
        for need in entry.missing:
            self._followers.setdefault(need, {})[one] = None
        forgotten = []
        while len(self._entries) > self._most or self._bytes > self._most_bytes:
            forgotten.append(next(iter(self._entries)))
            self._remove(forgotten[-1])
        return forgotten

    def arrived(self, need: bytes) -> list[Value]:
        """Something is here now: take out what waits for nothing else."""
        complete = []
        for follower in self._followers.pop(need, {}):
            entry = self._entries[follower]
            del entry.missing[need]
            if not entry.missing:
                complete.append(self._remove(follower))
        return complete

    def failed(self, need: bytes) -> list[Value]:
        """Something is invalid: take out all that waits for it."""
        return [self._remove(follower) for follower in list(self._followers.get(need, {}))]

    def _remove(self, one: Id) -> Value:
        entry = self._entries.pop(one)
        self._bytes -= entry.size_bytes
        for need in entry.missing:
            followers = self._followers[need]
            del followers[one]
            if not followers:
                del self._followers[need]
        return entry.value
