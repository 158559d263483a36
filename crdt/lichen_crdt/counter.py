"""Counters: integers whose concurrent increments add up."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from lichen_crdt._native import Core, Obj


class Counter:
    """An integer that several writers may increment at once; the increments add up.

    `doc["votes"] = Counter(0)` makes one; `doc["votes"].increment()` and `doc["votes"] += 1` change
    it. A counter read from a document is a view of its place (in a list, of its index): `value` reads anew, and
    has the last value once something else is there. It compares as an integer does.
    """

    __slots__ = ("_core", "_obj", "_place", "_value")
    __hash__ = None  # type: ignore[assignment]  # a view changes: it cannot be a key

    def __init__(self, value: int = 0) -> None:
        self._value = operator.index(value)
        self._core: Core | None = None
        self._obj: Obj | None = None
        self._place: str | int = ""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from lichen_crdt.typed.pydantic_schema import collaborative  # pydantic asks, so it is there

        return collaborative(Counter, int, source, handler)

    def bind(self, core: Core, obj: Obj, place: str | int) -> Self:
        """Make this the view of the counter at a place of a document; for the views of this package."""
        self._core, self._obj, self._place = core, obj, place
        return self

    def detached(self) -> Counter:
        """A counter of its own, outside any document, with the present value."""
        return Counter(self.value)

    def is_at(self, core: Core, obj: Obj, place: str | int) -> bool:
        """Whether this is the view of the counter at that place."""
        return self._core is core and self._obj == obj and self._place == place

    @property
    def value(self) -> int:
        """The present value."""
        if self._core is not None and self._obj is not None:
            found = self._core.get(self._obj, self._place)
            if isinstance(found, Counter):
                self._value = found.value
        return self._value

    def increment(self, by: int = 1) -> None:
        """Add to the counter; inside a transaction when it is in a document."""
        if self._core is not None and self._obj is not None:
            self._core.increment(self._obj, self._place, by)
        else:
            self._value += operator.index(by)

    def decrement(self, by: int = 1) -> None:
        """Subtract from the counter."""
        self.increment(-by)

    def __iadd__(self, by: int) -> Self:
        self.increment(by)
        return self

    def __isub__(self, by: int) -> Self:
        self.increment(-by)
        return self

    def __int__(self) -> int:
        return self.value

    __index__ = __int__

    def __bool__(self) -> bool:
        return self.value != 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Counter, int, float)):
            return self.value == _number(other)
        return NotImplemented

    def __lt__(self, other: Counter | float) -> bool:
        return self.value < _number(other)

    def __le__(self, other: Counter | float) -> bool:
        return self.value <= _number(other)

    def __gt__(self, other: Counter | float) -> bool:
        return self.value > _number(other)

    def __ge__(self, other: Counter | float) -> bool:
        return self.value >= _number(other)

    def __repr__(self) -> str:
        return f"Counter({self.value})"

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    def __reduce__(self) -> tuple[type[Counter], tuple[int]]:
        """For `copy` and `pickle`, which make a counter of its own of it, outside any document."""
        return Counter, (self.value,)


def _number(other: Counter | float) -> float:
    return other.value if isinstance(other, Counter) else other


def wrapped(value: int) -> int:
    """The count that is in 64 bits: beyond the largest it goes on at the smallest, as increments that meet do."""
    return (value + 2**63) % 2**64 - 2**63
