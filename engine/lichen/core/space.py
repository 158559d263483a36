"""What one node knows of one space: its access log, its change sets by id, and what waits.

Invariants:

1. Every known set's dependencies are known, so the known sets are closed under ancestry and their order of
   arrival is a topological order.
2. The frontier is exactly the known sets that no known set depends on.
3. A set is at most one of known, pending (queued, being checked or waiting) and remembered as invalid.
4. What is pending is bounded by number and bytes. What is dropped for that is fetched again: no cursor moves past it,
   on any link over which it came.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from lichen.config import Limits
from lichen.core.access.log import AccessLog
from lichen.core.events import CheckedSet
from lichen.core.known import KnownSet
from lichen.core.splits import SplitBook
from lichen.core.waiting import Waiting
from lichen.ids import DeviceKey, EpochId, SetId, SpaceId
from lichen.wire.changeset import ChangeSet
from lichen.wire.frames import SHORT_ID_BYTES

RECENT_SETS = 4_096
"""How many of the newest arrivals a duplicate is recognised against."""


def short_id(set_id: SetId) -> bytes:
    """The first 8 bytes, as used in announcements."""
    return set_id[:SHORT_ID_BYTES]


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
    queued_bytes: int = 0
    pending: dict[SetId, set[int]] = field(default_factory=dict)
    """The links over which each set came that is queued, being checked or waiting."""
    waiting: Waiting[SetId, CheckedSet] = field(init=False)
    """Checked sets by the sets, operations and epochs that are missing for them."""
    recent: OrderedDict[SetId, int] = field(default_factory=OrderedDict)
    """The link over which each of the newest sets arrived first."""
    splits: SplitBook = field(init=False)
    """Where a device wrote two sets at one place of its log."""
    unreported: bool = False
    """Sets were pushed since the last position was reported to the links."""

    def __post_init__(self) -> None:
        self.waiting = Waiting(self.limits.waiting_sets, self.limits.waiting_bytes)
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
        return set_id in self.known or set_id in self.pending or set_id in self.invalid

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

    def owed(self) -> set[int]:
        """The links over which something came that is not decided yet."""
        return set().union(*self.pending.values())
