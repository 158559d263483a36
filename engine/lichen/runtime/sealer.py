"""Seals runs of local changes into change sets.

A change set holds changes of one session of which only the first may have dependencies beside its predecessor, so
that the Automerge dependencies of the set are exactly what its header's deps end with (protocol section 3). A run
ends at the target size, and has no timer: whatever has gathered is sealed at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lichen.config import Limits
from lichen.core.hlc import Clock
from lichen.core.sealing_plan import next_set
from lichen.core.space import SpaceState
from lichen.crypto.identity import Identity
from lichen.crypto.sealing import seal_set
from lichen.errors import LimitExceeded, NotFound
from lichen.ids import DocId, Session, SetId, SpaceId
from lichen.wire.changeset import NO_PREV, ChangeSet, Kind

INLINE_BYTES = 4 * 1024
"""Runs below this size are sealed on the loop: a thread's start would cost more."""


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A local change that is not in a change set yet."""

    session: Session
    hash: bytes
    change: bytes
    deps: tuple[bytes, ...] | None
    """The Automerge hashes it depends on; None for just the change before it."""
    continues: bool = False
    """It belongs to the same transaction as the change before it."""


def run_of(session: Session, changes: Sequence[tuple[bytes, bytes]], deps: tuple[bytes, ...] | None) -> list[Unsealed]:
    """What one transaction made, `(hash, change)` each, of which the first has these deps."""
    return [
        Unsealed(session, change_hash, change, None if index else deps, continues=index > 0)
        for index, (change_hash, change) in enumerate(changes)
    ]


@dataclass(slots=True)
class SessionLog:
    """How far one session of this device has written in one document."""

    session: Session
    seq: int = 0
    last: SetId | None = None
    nonce: bytes = b""
    """For the session that creates the document: the document's nonce."""

    def advance(self, change_set: ChangeSet) -> None:
        """Its next change set was sealed."""
        self.seq = change_set.header.seq
        self.last = change_set.id


class Sealer:
    """Seals for one device. `space_of` gives a space's state; `clock` the hybrid logical time."""

    def __init__(
        self, identity: Identity, clock: Clock, limits: Limits, space_of: Callable[[SpaceId], SpaceState | None]
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._limits = limits
        self._space_of = space_of

    def ready(self, space_id: SpaceId) -> bool:
        """Whether there is an epoch under which this device can seal now, and the heads of the log can be named."""
        space = self._space_of(space_id)
        if space is None or len(space.log.heads) > self._limits.access_heads:
            return False
        return space.log.eligible_epoch(space.keys) is not None

    def next_run(self, unsealed: Sequence[Unsealed]) -> list[Unsealed]:
        """The longest run from the front that makes one change set of about the target size."""
        return next_set(unsealed, self._limits)

    async def seal(
        self,
        space_id: SpaceId,
        doc: DocId,
        session: SessionLog,
        run: Sequence[Unsealed],
        head_sets: Mapping[bytes, SetId],
        random: bytes,
    ) -> ChangeSet:
        """One change set of a run. Raises as `plan` does."""
        work = self.plan(space_id, doc, session, run, head_sets, random)
        if sum(len(item.change) for item in run) <= INLINE_BYTES:
            return work()
        return await asyncio.to_thread(work)

    def plan(
        self,
        space_id: SpaceId,
        doc: DocId,
        session: SessionLog,
        run: Sequence[Unsealed],
        head_sets: Mapping[bytes, SetId],
        random: bytes,
    ) -> Callable[[], ChangeSet]:
        """The work that seals a run as things stand now, for any thread.

        Raises `NotFound` for a space that is not here or has no epoch, and `LimitExceeded` for more deps than a set
        may name.
        """
        space = self._space_of(space_id)
        if space is None:
            raise NotFound(f"space {space_id.hex()} is not on this device")
        epoch = space.log.eligible_epoch(space.keys)
        if epoch is None:
            raise NotFound(f"space {space_id.hex()} has no epoch to seal under")
        access, epoch_key = space.log.heads, space.keys[epoch]
        creates = session.seq == 0 and bool(session.nonce)
        deps = self._deps(session, run[0], head_sets)

        def work() -> ChangeSet:
            return seal_set(
                kind=Kind.CREATE if creates else Kind.CHANGES,
                space=space_id,
                doc=doc,
                session=session.session,
                seq=session.seq + 1,
                prev=_prev(session),
                time=time_now,
                access=access,
                deps=deps,
                changes=[item.change for item in run],
                last_hash=run[-1].hash,
                epoch_key=epoch_key,
                signer=self._identity.signer,
                random=random,
            )

        time_now = self._clock.tick(int(time.time() * 1000))
        return work

    def _deps(self, session: SessionLog, first: Unsealed, head_sets: Mapping[bytes, SetId]) -> tuple[SetId, ...]:
        deps = {head_sets[change_hash] for change_hash in first.deps or ()}
        if session.last is not None:
            deps.add(session.last)
        if len(deps) > self._limits.set_deps:
            raise LimitExceeded(f"a change would join {len(deps)} branches; the most is {self._limits.set_deps}")
        return tuple(sorted(deps))


def _prev(session: SessionLog) -> bytes:
    if session.last is not None:
        return session.last
    return session.nonce.ljust(32, b"\x00") if session.nonce else NO_PREV
