"""The graph of a log's operations: who follows whom.

Operations are numbered in the order in which they were taken, parents first: so each has a *bit*, and a past is a bit
set. Of each past only the gaps are kept (the earlier operations that are not in it), because most operations follow
nearly everything before them: a log without branches costs a few bytes an operation, not a bit for every pair.

Numbers differ between replicas; nothing that is decided may depend on them, except that parents come first.
"""

from __future__ import annotations

from collections.abc import Iterable

from lichen.ids import OpId
from lichen.wire.operation import Operation


class Dag:
    """The operations that are part of a log."""

    __slots__ = ("_bits", "_gaps", "_heads", "_operations")

    def __init__(self) -> None:
        self._operations: list[Operation] = []
        self._bits: dict[OpId, int] = {}
        self._gaps: list[int] = []
        self._heads: dict[OpId, None] = {}

    def take(self, operation: Operation) -> int:
        """Take an operation whose parents are all here; returns its bit."""
        bit = len(self._operations)
        below = (1 << bit) - 1
        self._gaps.append(below & ~self.past(operation.parents))
        self._operations.append(operation)
        self._bits[operation.id] = bit
        for parent in operation.parents:
            self._heads.pop(parent, None)
        self._heads[operation.id] = None
        return bit

    def __contains__(self, operation: OpId) -> bool:
        return operation in self._bits

    def __len__(self) -> int:
        return len(self._operations)

    @property
    def heads(self) -> tuple[OpId, ...]:
        """The operations that no other follows, sorted."""
        return tuple(sorted(self._heads))

    @property
    def first(self) -> Operation | None:
        """The operation that was taken first: the genesis."""
        return self._operations[0] if self._operations else None

    @property
    def operations(self) -> list[Operation]:
        """Every operation, parents first."""
        return list(self._operations)

    @property
    def everything(self) -> int:
        """The bit set of all operations."""
        return (1 << len(self._operations)) - 1

    def past_of(self, bit: int) -> int:
        """The past of an operation, itself included."""
        return ((2 << bit) - 1) ^ self._gaps[bit]

    def past(self, heads: Iterable[OpId]) -> int:
        """The past of these heads, themselves included; those unknown are passed over."""
        found = 0
        for head in heads:
            bit = self._bits.get(head)
            if bit is not None:
                found |= self.past_of(bit)
        return found

    def precedes(self, earlier: int, later: int) -> bool:
        """Whether one operation is in the past of another (or is that other one)."""
        return earlier <= later and not self._gaps[later] >> earlier & 1

    def concurrent(self, one: int, other: int) -> bool:
        """Whether neither of two operations follows the other."""
        return not self.precedes(one, other) and not self.precedes(other, one)

    def covers(self, heads: Iterable[OpId], others: Iterable[OpId]) -> bool:
        """Whether the past of `heads` holds every one of `others`."""
        past = self.past(heads)
        return all((bit := self._bits.get(other)) is not None and past >> bit & 1 for other in others)

    def since(self, heads: Iterable[OpId]) -> list[Operation]:
        """The operations outside the past of these heads, parents first."""
        missing = self.everything & ~self.past(heads)
        found = []
        while missing:
            lowest = missing & -missing
            found.append(self._operations[lowest.bit_length() - 1])
            missing ^= lowest
        return found
