"""How a run of local changes is divided into change sets (protocol section 3).

A change set holds changes of one session, of which only the first may build on more than the change before it: so the
Automerge dependencies of the set are exactly what its header's deps end with. It is closed at the target size;
but the changes of one transaction stay together, all or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from lichen.config import DEFAULT_LIMITS, Limits
from lichen.ids import Session

LENGTH_BYTES = 4
"""What each change costs in a set beside its bytes."""
FRAME_BYTES = 7
"""What a set's plaintext costs beside its changes: flag, length and count."""


class Pending(Protocol):
    """A local change that is not in a change set yet."""

    @property
    def session(self) -> Session:
        """The session that wrote it."""

    @property
    def change(self) -> bytes:
        """Its bytes."""

    @property
    def deps(self) -> tuple[bytes, ...] | None:
        """The hashes that it builds on; None for just the change before it."""

    @property
    def continues(self) -> bool:
        """Whether it belongs to the same transaction as the change before it."""


P = TypeVar("P", bound=Pending)


def next_set(pending: Iterable[P], limits: Limits = DEFAULT_LIMITS) -> list[P]:
    """The changes for one change set, from the front: empty only for nothing."""
    taken: list[P] = []
    size = 0
    whole = 0
    for change in islice(pending, limits.set_changes + 1):
        if taken and (change.deps is not None or change.session != taken[0].session):
            return taken
        size += len(change.change) + LENGTH_BYTES
        if not change.continues:
            whole = len(taken)
            if taken and size > limits.seal_target_bytes:
                return taken
        if taken and (len(taken) == limits.set_changes or size + FRAME_BYTES > limits.set_plaintext_bytes):
            return taken[:whole] or taken
        taken.append(change)
    return taken


def plan_sets(pending: Sequence[P], limits: Limits = DEFAULT_LIMITS) -> list[list[P]]:
    """Every change set that a run of changes makes, in order."""
    planned: list[list[P]] = []
    start = 0
    while start < len(pending):
        planned.append(next_set(pending[start:], limits))
        start += len(planned[-1])
    return planned
