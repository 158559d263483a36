"""Collections that tell their row when they are changed in place, and remember what they were when it was loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.ext.mutable import MutableList, MutableSet


class TrackedSet(MutableSet[Any]):
    """The value of a synced set."""

    loaded: frozenset[Any]
    """What the row held when this was loaded, or last flushed."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__(values)
        self.flushed()

    def flushed(self) -> None:
        """The row holds this now."""
        self.loaded = frozenset(self)


class TrackedList(MutableList[Any]):
    """The value of a synced list."""

    loaded: list[Any]
    """What the row held when this was loaded, or last flushed."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__(values)
        self.flushed()

    def flushed(self) -> None:
        """The row holds this now."""
        self.loaded = list(self)


def loaded(value: Any) -> Any:
    """What the row held when a value was loaded."""
    return value.loaded if isinstance(value, TrackedSet | TrackedList) else value
