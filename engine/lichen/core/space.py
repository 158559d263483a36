"""What one node knows of one space: its access log, its change sets by id, and what waits.

Invariants:

1. Every known set's dependencies are known, so the known sets are closed under ancestry and their order of
   arrival is a topological order.
2. The frontier is exactly the known sets that no known set depends on.
3. A set is at most one of known, in flight and waiting.
4. What waits is bounded by number and bytes; the oldest is forgotten first, and is fetched again because no
   cursor moves past it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from lichen.config import Limits
from lichen.core.access.log import AccessLog
from lichen.core.events import CheckedSet
from lichen.core.known import KnownSet
from lichen.core.splits import SplitBook
from lichen.ids import DeviceKey, EpochId, SetId, SpaceId
from lichen.wire.changeset import ChangeSet
from lichen.wire.frames import SHORT_ID_BYTES

RECENT_SETS = 4_096
"""How many of the newest arrivals a duplicate is recognised against."""


def short_id(set_id: SetId) -> bytes:
    """The first 8 bytes, as used in announcements."""
    return set_id[:SHORT_ID_BYTES]


@dataclass(slots=True)
class Waiting:
    """A change set for which something is not here yet."""

    checked: CheckedSet
    needs: frozenset[bytes]
    """Ids of sets, operations or epochs that are missing."""


@dataclass(slots=True)
class SpaceState:
    """One space at one node."""

    id: SpaceId
    limits: Limits
    log: AccessLog
    inviter: DeviceKey | None = None
    keys: dict[EpochId, bytes] = field(default_factory=dict)
    known: dict[SetId, KnownSet] = field(default_factory=dict)
    short_ids: dict[bytes, SetId] = field(default_factory=dict)
    frontier: dict[SetId, None] = field(default_factory=dict)
    invalid: OrderedDict[SetId, str] = field(default_factory=OrderedDict)
    queued: list[tuple[int, ChangeSet]] = field(default_factory=list)
    """Arrived, and not yet handed out to be checked."""
    checking: bool = False
    """A batch is being checked."""
    in_flight: set[SetId] = field(default_factory=set)
    """Queued or being checked."""
    waiting: OrderedDict[SetId, Waiting] = field(default_factory=OrderedDict)
    waiting_bytes: int = 0
    recent: OrderedDict[SetId, int] = field(default_factory=OrderedDict)
    """The link over which each of the newest sets arrived first."""
    splits: SplitBook = field(init=False)
    """Where a device wrote two sets at one place of its log."""
    unreported: bool = False
    """Sets were pushed since the last position was reported to the links."""

    def __post_init__(self) -> None:
        self.splits = SplitBook(self.known)

    def add(self, set_id: SetId, known: KnownSet) -> None:
        """Take a set whose dependencies are known into the known sets."""
        self.known[set_id] = known
        self.splits.take(set_id)
        self.short_ids[short_id(set_id)] = set_id
        for dep in known.deps:
            self.frontier.pop(dep, None)
        self.frontier[set_id] = None

    def forget(self, ids: tuple[SetId, ...]) -> None:
        """Drop sets that could not be stored, newest first, and restore the frontier."""
        for set_id in reversed(ids):
            known = self.known.pop(set_id, None)
            if known is not None:
                self.short_ids.pop(short_id(set_id), None)
        self.splits = SplitBook(self.known)
        self.frontier = dict.fromkeys(self.known)
        for known in self.known.values():
            for dep in known.deps:
                self.frontier.pop(dep, None)

    def seen(self, set_id: SetId) -> bool:
        """Whether a set needs no further look."""
        return set_id in self.known or set_id in self.in_flight or set_id in self.invalid or set_id in self.waiting

    def remember_recent(self, set_id: SetId, link: int) -> None:
        """Note over which link a set came first."""
        self.recent[set_id] = link
        if len(self.recent) > RECENT_SETS:
            self.recent.popitem(last=False)

    def mark_invalid(self, set_id: SetId, reason: str) -> None:
        """Remember, within bounds, that a verified set is invalid for good."""
        self.invalid[set_id] = reason
        if len(self.invalid) > self.limits.waiting_sets:
            self.invalid.popitem(last=False)

    def wait(self, checked: CheckedSet, needs: frozenset[bytes]) -> None:
        """Keep a set until what it needs is here; forgets the oldest above the limits."""
        self.waiting[checked.set.id] = Waiting(checked, needs)
        self.waiting_bytes += len(checked.set.ciphertext)
        while len(self.waiting) > self.limits.waiting_sets or self.waiting_bytes > self.limits.waiting_bytes:
            _, dropped = self.waiting.popitem(last=False)
            self.waiting_bytes -= len(dropped.checked.set.ciphertext)

    def release(self, arrived: set[bytes]) -> list[CheckedSet]:
        """The waiting sets for which something in `arrived` was missing, taken out of the wait."""
        ready = [set_id for set_id, waiting in self.waiting.items() if not waiting.needs.isdisjoint(arrived)]
        released = []
        for set_id in ready:
            waiting = self.waiting.pop(set_id)
            self.waiting_bytes -= len(waiting.checked.set.ciphertext)
            released.append(waiting.checked)
        return released

    def sample(self) -> tuple[SetId, ...]:
        """Ids for a pull: the newest part of the frontier, then known sets at doubling distance.

        Whoever knows one of them knows its ancestors too, so the answer can leave all those out. The
        doubling distances bound what is sent twice when the frontier itself is new to the other side.
        """
        most = self.limits.frontier_ids
        newest = list(self.frontier)[-(most - 64) :]
        arrivals = list(self.known)
        older: list[SetId] = []
        step = 1
        while step <= len(arrivals) and len(older) < 64:
            older.append(arrivals[-step])
            step *= 2
        return tuple(dict.fromkeys([*newest, *older]))

    @property
    def idle(self) -> bool:
        """Nothing is queued, being checked or waiting."""
        return not (self.queued or self.checking or self.waiting)
