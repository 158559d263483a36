"""Operations whose parents are not all here yet: bounded in number and bytes, released as parents arrive."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from lichen.ids import OpId
from lichen.wire.operation import Operation


@dataclass(frozen=True, slots=True)
class _Entry:
    operation: Operation
    missing: dict[OpId, None]


class WaitingOperations:
    """Keeps at most so many operations and bytes; the oldest is forgotten first, and may come again."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[OpId, _Entry] = OrderedDict()
        self._followers: dict[OpId, dict[OpId, None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, operation: OpId) -> bool:
        return operation in self._entries

    @property
    def missing(self) -> tuple[OpId, ...]:
        """What the waiting operations need that does not wait itself, sorted."""
        return tuple(sorted(parent for parent in self._followers if parent not in self._entries))

    def put(self, operation: Operation, missing: Iterable[OpId]) -> None:
        """Keep an operation until `missing` are here."""
        if operation.id in self._entries:
            return
        entry = _Entry(operation, dict.fromkeys(missing))
        self._entries[operation.id] = entry
        self._bytes += len(operation.encode())
        for parent in entry.missing:
            self._followers.setdefault(parent, {})[operation.id] = None
        while len(self._entries) > self._most or self._bytes > self._most_bytes:
            self._remove(next(iter(self._entries)))

    def arrived(self, parent: OpId) -> list[Operation]:
        """A parent is part of the log: take out those that wait for nothing else."""
        complete = []
        for follower in self._followers.pop(parent, {}):
            entry = self._entries[follower]
            del entry.missing[parent]
            if not entry.missing:
                complete.append(self._remove(follower))
        return complete

    def failed(self, parent: OpId) -> list[Operation]:
        """A parent is invalid: take out all that follow it."""
        return [self._remove(follower) for follower in list(self._followers.get(parent, {}))]

    def _remove(self, operation_id: OpId) -> Operation:
        entry = self._entries.pop(operation_id)
        self._bytes -= len(entry.operation.encode())
        for parent in entry.missing:
            followers = self._followers[parent]
            del followers[operation_id]
            if not followers:
                del self._followers[parent]
        return entry.operation
