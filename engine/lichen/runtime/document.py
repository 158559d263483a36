"""One document in memory: edits are saved, then sealed and pushed; change sets from others are applied.

A local edit goes through three queues, each written in batches of whatever has gathered while the batch before it was
on its way: `Saving` (in memory only), `Sealing` (on disk, not yet in a change set), and the change set itself. What
others wrote comes in through `Incoming`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from lichen_crdt import Document, Patch

from lichen.core.effects import AcceptedSet
from lichen.core.events import SetSealed
from lichen.errors import ChangeTooLarge, EngineMisuse
from lichen.ids import DeviceKey, DocId, Session, SetId, SpaceId
from lichen.runtime.awaited import awaited, to_its_end
from lichen.runtime.folding import fold
from lichen.runtime.incoming import Arrived, Incoming
from lichen.runtime.saving import Saving
from lichen.runtime.sealer import Sealer, SessionLog, Unsealed, run_of
from lichen.runtime.sealing import Sealing

log = logging.getLogger("lichen.document")

T = TypeVar("T")


def too_large(refused: OverflowError) -> ChangeTooLarge:
    """The error of ours for a change that fits into no change set."""
    return ChangeTooLarge(f"this is too much at once, {refused}", hint="write it in several transactions, or in parts")


@dataclass(frozen=True, slots=True)
class Applied:
    """Something has changed in the document."""

    patches: tuple[Patch, ...]
    """What changed, for incoming change sets; empty for a local transaction."""
    local: bool
    authors: tuple[DeviceKey, ...]


class Host(Protocol):
    """What a document needs of its engine."""

    @property
    def device(self) -> DeviceKey:
        """This device."""

    @property
    def sealer(self) -> Sealer:
        """Seals changes into change sets."""

    def write_soon(self, job: Callable[[Any], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Queue a job for the writer thread."""

    def holds(self, space: SpaceId) -> bool:
        """Whether a space is on this device, and not being left."""

    async def refuse_borrower(self) -> None:
        """Raises `StoreError` when whoever calls would wait for ever, since it holds up every write itself."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None] | None:
        """Start a task; None once the engine is closed."""

    def want_epoch(self, doc: DocId, space: SpaceId) -> None:
        """There is something to seal in a document, and no epoch to seal it under: begin one, where this device can."""

    def sealed(self, event: SetSealed) -> None:
        """An own change set is on disk: push it."""

    def changed(self, document: OpenDocument, applied: Applied) -> None:
        """The document has changed."""

    def changed_asleep(self, space: SpaceId, doc: DocId) -> bool:
        """A document that is not in memory has been changed by others; False when it must be loaded for that."""

    def left_out(self, space: SpaceId, set_id: SetId, reason: str) -> None:
        """A change set is not valid in its past; may be called on a thread."""


@dataclass(slots=True, weakref_slot=True)
class OpenDocument:
    """A document in memory. Made by `Documents`; used from the event loop's thread only."""

    id: DocId
    space: SpaceId
    crdt: Document
    session: Session
    host: Host
    head_sets: dict[bytes, SetId]
    """The set that ends with each Automerge hash, for every set of the document."""
    sessions: dict[Session, SessionLog]
    fold_changes: int
    fold_bytes: int
    tail_changes: int = 0
    tail_bytes: int = 0
    failure: BaseException | None = None
    """Why memory and disk have parted. This object is then of no more use: `Documents.get` loads another."""
    listeners: list[Callable[[Applied], None]] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by an open transaction, while a snapshot is made, and at the moments when an apply changes the document."""
    holder: object = None
    """The task or the thread whose transaction has the turn."""
    lent: bool = False
    """A transaction of another thread has the turn: until that ends, to read `crdt` would hold up the loop."""
    saving: Saving = field(default_factory=Saving)
    sealing: Sealing = field(default_factory=Sealing)
    incoming: Incoming = field(default_factory=Incoming)
    unsealed_bytes: int = 0
    """Bytes of changes that are not in a change set yet, on disk or not."""
    progress: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a queue moves."""
    _joining: list[Sequence[Unsealed]] = field(default_factory=list)
    """Written by another connection while a transaction was open."""
    _merged: bool = True
    """Something was applied since the last local change, so that the next one's deps must be looked up."""
    _folding: bool = False

    # Local edits

    def deps_now(self) -> tuple[bytes, ...] | None:
        """The deps that a transaction begun now will have; None for just the last local change."""
        return self.crdt.heads if self._merged else None

    def record(self, changes: Sequence[tuple[bytes, bytes]], deps: tuple[bytes, ...] | None) -> None:
        """A transaction is in the document: save what it made, `(hash, change)` each, and tell listeners."""
        if not changes:
            return
        self.unsealed_bytes += sum(len(change) for _, change in changes)
        self._merged = self.incoming.busy
        self.saving.add(self, run_of(self.session, changes, deps))
        self._tell(Applied((), True, (self.host.device,)))

    async def saved(self) -> None:
        """Return when everything recorded so far is on disk. Raises `StoreError` when it could not be written."""
        if not self.saving.all_saved:
            await self.host.refuse_borrower()
        await self.saving.wait(self)

    def saved_to_disk(self, changes: Sequence[Unsealed]) -> None:
        """These are on disk: seal them."""
        self._grow([item.change for item in changes])
        self.sealing.waiting.extend(changes)
        self.seal_soon()
        self._fold_if_long()

    async def room(self, most_bytes: int) -> None:
        """Return when at most this many bytes of changes are not sealed yet, or none can be."""
        while self.unsealed_bytes > most_bytes and self.failure is None and not self._stuck:
            await self._moved()

    def begin(self, changes: Sequence[Unsealed]) -> None:
        """It is created here, and the store holds it and these, its first changes."""
        self._grow([item.change for item in changes])
        self._merged = False
        self.resume(changes)
        self._tell(Applied((), True, (self.host.device,)))

    def resume(self, leftovers: Sequence[Unsealed]) -> None:
        """Changes that an earlier process saved and did not seal: they are sealed first, under their own session."""
        self.sealing.waiting.extend(leftovers)
        self.unsealed_bytes += sum(len(item.change) for item in leftovers)
        self.seal_soon()

    def seal_soon(self) -> None:
        """Seal what has gathered, unless that is under way, or this device may not write now."""
        self.sealing.seal_soon(self)

    # What others wrote

    def take(self, accepted: Sequence[AcceptedSet]) -> None:
        """Change sets of others count: apply them as soon as no transaction is open."""
        if self.failure is not None:
            return
        for item in accepted:
            if item.last_hash is not None:
                self.head_sets[item.last_hash] = item.set.id
        self.incoming.take(
            self, (Arrived(item.changes, item.set.header.author, item.set.id) for item in accepted if item.changes)
        )

    def join(self, written: Sequence[Unsealed]) -> None:
        """Another connection of this device wrote these: they are on disk, and are to be sealed and shown."""
        if self.lent or self.crdt.in_transaction:
            self._joining.append(written)
        elif self.failure is None and self.crdt.missing([written[-1].hash]):  # else they were there when it was loaded
            self.resume(written)
            self.incoming.take(self, [Arrived(tuple(item.change for item in written), self.host.device, None)])

    def apply_soon(self) -> None:
        """Apply what came in while a transaction was open, now if that is quick and possible."""
        joining, self._joining = self._joining, []
        for written in joining:
            self.join(written)
        self.incoming.apply_soon(self)

    def applied(self, batch: Sequence[Arrived], patches: Sequence[Patch]) -> None:
        """These are in the document now: tell listeners."""
        self._merged = True
        self._grow([change for item in batch for change in item.changes])
        self.saving.heads_changed(self)
        authors = tuple(dict.fromkeys(item.author for item in batch))
        self._tell(Applied(tuple(patches), False, authors))
        self.progress.set()

    async def take_turn(self, holder: object) -> None:
        """Have the turn, for a transaction of this task or thread. Raises `EngineMisuse` when that is in one."""
        self.refuse_holder(holder)
        await self.turn.acquire()
        self.holder = holder

    def refuse_holder(self, caller: object) -> None:
        """Raises `EngineMisuse` for the task or thread that would wait for its own transaction to end."""
        if caller is not None and caller is self.holder:
            raise EngineMisuse(
                "this document is in a transaction that was begun here, and it would wait for itself",
                hint="write it in that transaction, or after the end of its block",
            )

    def end_turn(self) -> None:
        """Give the turn back, and apply what came in meanwhile: nothing else would, until the next set comes."""
        self.holder = None
        self.lent = False
        self.turn.release()
        self.saving.go_on(self)
        self.apply_soon()

    @asynccontextmanager
    async def turn_here(self) -> AsyncIterator[None]:
        """Have the turn, on the loop. Raises `EngineMisuse` in a transaction of this task."""
        await self.take_turn(asyncio.current_task())
        try:
            yield
        finally:
            self.end_turn()

    async def lend_turn(self, thread: threading.Thread) -> None:
        """Take the turn for a transaction of another thread. Raises `EngineMisuse` when that is in one."""
        await self.take_turn(thread)
        self.lent = True

    async def away(self, work: Callable[[], T], then: Callable[[T], object]) -> T:
        """What `work` makes of the document, on a thread that has this turn meanwhile; then `then` of that.

        It is done to the end, also where who waits is cancelled.
        """
        working = asyncio.ensure_future(asyncio.to_thread(work))
        self.lent = True
        cancelled = await to_its_end(working)
        self.lent = False
        then(working.result())
        if cancelled is not None:
            raise cancelled
        return working.result()

    async def level_turn(self) -> None:
        """Take the turn when all that came in is applied."""
        await self.turn.acquire()
        while not self.incoming.quiet and self.failure is None:
            self.end_turn()
            if not self.incoming.quiet:
                await self._moved()
            await self.turn.acquire()

    # As a whole

    def freshen(self) -> None:
        """Write title and heads anew, and tell listeners: the document had changed on disk before it was loaded."""
        self.saving.heads_changed(self)
        self._tell(Applied((), False, ()))

    @property
    def quiet(self) -> bool:
        """Everything is saved, sealed and applied."""
        return self.saving.quiet and self.sealing.quiet and self.incoming.quiet

    @property
    def _stuck(self) -> bool:
        """All that is left is changes that cannot be sealed now."""
        busy = not self.saving.quiet or self.sealing.busy or not self.incoming.quiet
        return not busy and (self.sealing.failed or not self.host.sealer.ready(self.space))

    async def settled(self) -> None:
        """Return when everything is saved, applied and, where this device may, sealed."""
        while not self.quiet and self.failure is None and not self._stuck:
            await self._moved()

    async def _moved(self) -> None:
        self.progress.clear()
        await self.progress.wait()

    def _tell(self, applied: Applied) -> None:
        told: tuple[Callable[[Applied], None], ...] = (partial(self.host.changed, self), *self.listeners)
        for tell in told:
            try:
                tell(applied)
            except Exception:  # what goes on below must not end in the middle
                log.exception("who was told of a change of document %s failed", self.id.hex())

    # Failing

    def fail(self, error: BaseException) -> None:
        """Memory and disk have parted: everyone who waits or listens hears of it, and nothing more is done.

        What is on disk and not sealed yet is left to the object that is loaded instead.
        """
        first, self.failure = self.failure is None, error
        self.incoming.waiting.clear()
        self.saving.fail(error)
        self.progress.set()
        if first:
            self._tell(Applied((), False, ()))

    async def ended(self) -> None:
        """After a failure: return when nothing of this object is under way. To load it before that could seal twice."""
        while self.saving.busy or self.sealing.busy or self.incoming.busy:
            await self._moved()

    # The store

    def _grow(self, changes: Sequence[bytes]) -> None:
        self.tail_changes += len(changes)
        self.tail_bytes += sum(map(len, changes))

    def _fold_if_long(self) -> None:
        if not self.lent:
            self.fold_from(max(self.fold_changes, self.crdt.operations // 8))

    def fold_from(self, changes: int) -> None:
        """Fold the tail, if it has so many changes, or is large."""
        long = self.tail_changes >= changes or self.tail_bytes >= self.fold_bytes
        if long and not self._folding and self.failure is None:
            self._folding = True
            self.host.spawn(self.fold(), f"fold {self.id.hex()[:8]}")

    async def fold(self) -> None:
        """Replace the tail of single changes in the store by a snapshot."""
        try:
            await fold(self)
        finally:
            self._folding = False

    async def write(self, job: Callable[[Any], T], then: Callable[[], None] = lambda: None) -> T:
        """Run a job on the writer thread, and when it is on disk, `then` on the loop. Raises what the job raises, and
        `StoreError`.
        """
        return await awaited(self.host.write_soon, job, lambda _: then())
