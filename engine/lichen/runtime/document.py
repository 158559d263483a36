"""One document in memory: edits are saved, then sealed and pushed; change sets from others are applied.

A local edit goes through three queues, each written in batches of whatever has gathered while the batch before it was
on its way (group commit; only a burst that nobody waits for gathers some milliseconds longer): `_unsaved` (in memory
only), `_unsealed` (on disk, not yet in a change set), and the change set itself. A change set is pushed only after the
store holds it: otherwise a crash between the two could seal the same changes twice, which is a split.

Incoming change sets are applied between transactions, in batches. A batch that continues exactly from our heads is
replayed, which costs microseconds, so it is applied on the loop. Any other is applied to a copy of the document on a
thread, once the document is large, while local transactions go on; the copy takes the document's place on the loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from lichen_crdt import Applying, CrdtError, Document, Patch, TransactionError

from lichen.core.effects import AcceptedSet
from lichen.core.events import SetSealed
from lichen.errors import LichenError, StoreError
from lichen.ids import DeviceKey, DocId, Session, SetId, SpaceId
from lichen.runtime import rows
from lichen.runtime.folding import fold
from lichen.runtime.sealer import Sealer, SessionLog, Unsealed, run_of
from lichen.wire.changeset import ChangeSet

log = logging.getLogger("lichen.document")

T = TypeVar("T")

INLINE_CHANGES = 128
"""Up to this many changes are applied on the loop in one go, where that is quick; the rest waits a turn."""
BURST_CHANGES = 8
"""After a batch of so many changes, the next one gathers for `GATHER_S` while nobody waits for it."""
GATHER_S = 0.004
TITLE_CHARACTERS = 200


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

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None] | None:
        """Start a task; None once the engine is closed."""

    def want_epoch(self, document: OpenDocument) -> None:
        """There is something to seal, and no epoch to seal it under: begin one, where this device can."""

    def sealed(self, event: SetSealed) -> None:
        """An own change set is on disk: push it."""

    def changed(self, document: OpenDocument, applied: Applied) -> None:
        """The document has changed."""

    def left_out(self, space: SpaceId, set_id: SetId, reason: str) -> None:
        """A change set is not valid in its past; may be called on a thread."""


@dataclass(slots=True)
class _Batch:
    """What one save job writes."""

    changes: list[Unsealed]
    heads: tuple[bytes, ...]
    title: str | None


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
    _unsaved: list[Unsealed] = field(default_factory=list)
    _saving: bool = False
    """A save is on its way to the disk, or gathers what it will write."""
    _gathering: asyncio.TimerHandle | None = None
    _edited: int = 0
    _backlog_bytes: int = 0
    """Bytes of changes that are not in a change set yet."""
    _saved: int = 0
    _waiters: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)
    _unsealed: deque[Unsealed] = field(default_factory=deque)
    _sealing: bool = False
    _unsealable: bool = False
    """Sealing failed by more than the store; it is tried again with the next edit."""
    _incoming: list[AcceptedSet] = field(default_factory=list)
    _applying: bool = False
    _heads_dirty: bool = False
    _merged: bool = True
    """Something was applied since the last local change, so that the next one's deps must be looked up."""
    _folding: bool = False
    _progress: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a queue moves."""

    # Local edits

    def deps_now(self) -> tuple[bytes, ...] | None:
        """The deps that a transaction begun now will have; None for just the last local change."""
        return self.crdt.heads if self._merged else None

    def record(self, changes: Sequence[tuple[bytes, bytes]], deps: tuple[bytes, ...] | None) -> None:
        """A transaction is in the document: save what it made, `(hash, change)` each, and tell listeners."""
        if not changes:
            return
        self._unsaved += run_of(self.session, changes, deps)
        self._backlog_bytes += sum(len(change) for _, change in changes)
        self._merged = self._applying
        self._edited += len(changes)
        if not self._saving:
            self._save()
        self._tell(Applied((), True, (self.host.device,)))

    def _tell(self, applied: Applied) -> None:
        self.host.changed(self, applied)
        for listener in list(self.listeners):
            listener(applied)

    async def saved(self) -> None:
        """Return when everything recorded so far is on disk. Raises `StoreError` when it could not be written."""
        if self._saved >= self._edited and self.failure is None:
            return
        if self.failure is not None:
            raise self.failure
        if self._gathering is not None:
            self._save()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self._edited, waiter))
        await waiter

    async def room(self, most_bytes: int) -> None:
        """Return when at most this many bytes of changes are not sealed yet, or none can be."""
        while self._backlog_bytes > most_bytes and self.failure is None and not self._stuck:
            self._progress.clear()
            await self._progress.wait()

    def freshen(self) -> None:
        """Write title and heads anew, and tell listeners: the document had changed on disk before it was loaded."""
        self._heads_dirty = True
        if not self._saving:
            self._save()
        self._tell(Applied((), False, ()))

    async def settled(self) -> None:
        """Return when everything is saved, applied and, where this device may, sealed."""
        while not self.quiet and self.failure is None and not self._stuck:
            self._progress.clear()
            await self._progress.wait()

    @property
    def _stuck(self) -> bool:
        """All that is left is changes that cannot be sealed now."""
        busy = self._saving or self._sealing or self._unsaved or self._incoming or self._applying
        return not busy and (self._unsealable or not self.host.sealer.ready(self.space))

    @property
    def quiet(self) -> bool:
        """Everything is saved, sealed and applied."""
        return not (
            self._saving or self._sealing or self._unsaved or self._unsealed or self._incoming or self._applying
        )

    def title(self) -> str | None:
        """The document's `title`, where it has one, cut to 200 characters."""
        value = self.crdt.get("title")
        return str(value)[:TITLE_CHARACTERS] if value is not None else None

    def _save(self) -> None:
        """Write all that has gathered; when it is on disk, the next."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if self.failure is not None:
            self._saving = False
            self._progress.set()
            return
        batch = _Batch(self._unsaved, self.crdt.heads, self.title())
        self._unsaved = []
        self._saving = True
        self._heads_dirty = False
        loop = asyncio.get_running_loop()
        now_ms = int(time.time() * 1000)

        def job(conn: Any) -> None:
            rows.save_changes(conn, self.id, batch.changes)
            rows.save_heads(conn, self.id, batch.heads, batch.title, now_ms)

        def done(_result: object, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(self._batch_saved, batch, error)

        self.host.write_soon(job, done)

    def _batch_saved(self, batch: _Batch, error: BaseException | None) -> None:
        self._saving = False
        self._progress.set()
        if error is not None:
            self._save_failed(error)
            return
        self._saved += len(batch.changes)
        self.tail_changes += len(batch.changes)
        self.tail_bytes += sum(len(change.change) for change in batch.changes)
        while self._waiters and self._waiters[0][0] <= self._saved:
            waiter = self._waiters.popleft()[1]
            if not waiter.done():
                waiter.set_result(None)
        self._unsealed.extend(batch.changes)
        self.seal_soon()
        if len(batch.changes) >= BURST_CHANGES and self._unsaved and not self._waiters:
            self._saving = True
            self._gathering = asyncio.get_running_loop().call_later(GATHER_S, self._save)
        elif self._unsaved or self._heads_dirty:
            self._save()
        self._fold_if_long()

    def _save_failed(self, error: BaseException) -> None:
        log.error("document %s could not be saved: %s", self.id.hex(), error)
        self.fail(error)

    def _apply_failed(self, error: Exception) -> None:
        log.error("document %s could not take what came", self.id.hex(), exc_info=error)
        failure = StoreError(f"document {self.id.hex()} could not take what came", hint="open the document again")
        failure.__cause__ = error
        self.fail(failure)

    def fail(self, error: BaseException) -> None:
        """Memory and disk have parted: everyone who waits or listens hears of it, and nothing more is done.

        What is on disk and not sealed yet is left to the object that is loaded instead.
        """
        first, self.failure = self.failure is None, error
        self._unsaved.clear()
        self._incoming.clear()
        while self._waiters:
            waiter = self._waiters.popleft()[1]
            if not waiter.done():
                waiter.set_exception(error)
        self._progress.set()
        if first:
            self._tell(Applied((), False, ()))

    async def ended(self) -> None:
        """After a failure: return when nothing of this object is under way. To load it before that could seal twice."""
        while self._saving or self._sealing or self._applying:
            self._progress.clear()
            await self._progress.wait()

    # Sealing

    def begin(self, changes: Sequence[Unsealed]) -> None:
        """It is created here, and the store holds it and these, its first changes."""
        self.tail_changes, self.tail_bytes = len(changes), sum(len(item.change) for item in changes)
        self._merged = False
        self.resume(changes)
        self._tell(Applied((), True, (self.host.device,)))

    def resume(self, leftovers: Sequence[Unsealed]) -> None:
        """Changes that an earlier process saved and did not seal: they are sealed first, under their own session."""
        self._unsealed.extend(leftovers)
        self._backlog_bytes += sum(len(item.change) for item in leftovers)
        self.seal_soon()

    def seal_soon(self) -> None:
        """Seal what has gathered, unless that is under way, or this device may not write now."""
        if not self._unsealed or self._sealing or self.failure is not None:
            return
        if not self.host.sealer.ready(self.space):
            self.host.want_epoch(self)
        if self.host.sealer.ready(self.space):
            self._sealing, self._unsealable = True, False
            self.host.spawn(self._seal_all(), f"seal {self.id.hex()[:8]}")

    async def _seal_all(self) -> None:
        try:
            while self._unsealed and self.failure is None and self.host.sealer.ready(self.space):
                await self._seal_one()
        except LichenError as error:
            self._unsealable = True
            log.error("changes of document %s could not be sealed: %s", self.id.hex(), error)
        finally:
            self._sealing = False
            self._progress.set()

    async def _seal_one(self) -> None:
        run = self.host.sealer.next_run(self._unsealed)
        session = self.sessions.setdefault(run[0].session, SessionLog(run[0].session))
        change_set = await self.host.sealer.seal(self.space, self.id, session, run, self.head_sets, os.urandom(32))
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        last_hash = run[-1].hash

        def stored(error: BaseException | None) -> None:
            if written.done():  # the engine is closing
                return
            _resolve(written, error, None)
            if error is None:
                self._sealed(change_set, run, session)

        def done(_result: object, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(stored, error)

        self.host.write_soon(lambda conn: rows.save_sealed(conn, change_set, last_hash, len(run)), done)
        try:
            await written
        except StoreError as error:
            self._save_failed(error)

    def _sealed(self, change_set: ChangeSet, run: Sequence[Unsealed], session: SessionLog) -> None:
        """It is on disk: push it in this turn of the loop, before peers are told a position of the store behind it."""
        for _ in run:
            self._backlog_bytes -= len(self._unsealed.popleft().change)
        self._progress.set()
        session.advance(change_set)
        self.head_sets[run[-1].hash] = change_set.id
        self.host.sealed(SetSealed(self.space, change_set, run[-1].hash))

    # Incoming

    def take(self, accepted: Sequence[AcceptedSet]) -> None:
        """Change sets of others count: apply them as soon as no transaction is open."""
        if self.failure is not None:
            return
        for item in accepted:
            if item.last_hash is not None:
                self.head_sets[item.last_hash] = item.set.id
        self._incoming.extend(item for item in accepted if item.changes)
        self.apply_soon()

    def apply_soon(self) -> None:
        """Apply what came in, now if that is quick and possible."""
        if not self._incoming or self._applying or self.turn.locked() or self.crdt.in_transaction:
            return
        batch = self._next_batch()
        if self._applied_at_once(batch):
            if self._incoming:
                asyncio.get_running_loop().call_soon(self.apply_soon)
        else:
            self._applying = True
            self.host.spawn(self._apply_behind(), f"apply {self.id.hex()[:8]}")

    def end_turn(self) -> None:
        """Give the turn back, and apply what came in meanwhile: nothing else would, until the next set comes."""
        self.turn.release()
        self.apply_soon()

    def _next_batch(self) -> list[AcceptedSet]:
        batch: list[AcceptedSet] = []
        count = 0
        for item in self._incoming:
            count += len(item.changes or ())
            if batch and count > INLINE_CHANGES:
                break
            batch.append(item)
        return batch

    def _applied_at_once(self, batch: list[AcceptedSet]) -> bool:
        try:
            patches = self._begin(batch).finish()
        except CrdtError:
            return False
        except Exception as error:
            self._apply_failed(error)
            return True
        if patches is None:
            return False
        del self._incoming[: len(batch)]
        self._finish(batch, patches)
        return True

    def _begin(self, batch: list[AcceptedSet]) -> Applying:
        return self.crdt.applying([c for item in batch for c in item.changes or ()], strict=True)

    async def _apply_behind(self) -> None:
        """Apply what came in while local transactions go on.

        When a set is not valid in its past, halves are tried until it stands alone, and the rest goes without it.
        Every replica leaves the same sets out, since validity depends on the bytes and their past alone.
        """
        waiting = [self._incoming]
        self._incoming = []
        try:
            while waiting:
                batch = waiting[0]
                try:
                    await self._merge(batch)
                except TransactionError:  # a plain `with` on this loop holds the document for long
                    break
                except CrdtError as error:
                    if len(batch) > 1:
                        half = len(batch) // 2
                        waiting[:1] = [batch[:half], batch[half:]]
                        continue
                    self.host.left_out(self.space, batch[0].set.id, str(error))
                    self._finish(batch, ())
                del waiting[0]
        except Exception as error:
            waiting.clear()
            self._apply_failed(error)
        finally:
            self._incoming[:0] = [item for batch in waiting for item in batch]
            self._applying = False
            self._progress.set()
        self.apply_soon()

    async def _merge(self, batch: list[AcceptedSet]) -> None:
        """Apply sets together: the work on a thread, the changes of the document on the loop, between transactions."""
        async with self.turn:
            applying = self._begin(batch)
            patches = applying.finish()
            if patches is not None:
                self._finish(batch, patches)
        while patches is None:
            await asyncio.to_thread(applying.run)
            async with self.turn:
                patches = applying.finish()
                if patches is not None:
                    self._finish(batch, patches)

    def _finish(self, batch: list[AcceptedSet], patches: Sequence[Patch]) -> None:
        count = sum(len(item.changes or ()) for item in batch)
        self._merged = True
        self.tail_changes += count
        self.tail_bytes += sum(len(change) for item in batch for change in item.changes or ())
        self._heads_dirty = True
        if not self._saving:
            self._save()
        authors = tuple(dict.fromkeys(item.set.header.author for item in batch))
        self._tell(Applied(tuple(patches), False, authors))
        self._progress.set()

    # Folding

    def _fold_if_long(self) -> None:
        long = (
            self.tail_changes >= max(self.fold_changes, self.crdt.operations // 8) or self.tail_bytes >= self.fold_bytes
        )
        if long and not self._folding and self.failure is None:
            self._folding = True
            self.host.spawn(self.fold(), f"fold {self.id.hex()[:8]}")

    async def fold(self) -> None:
        """Replace the tail of single changes in the store by a snapshot."""
        try:
            await fold(self)
        finally:
            self._folding = False

    async def level_turn(self) -> None:
        """Take the turn when all that came in is applied."""
        await self.turn.acquire()
        while (self._incoming or self._applying) and self.failure is None:
            self.end_turn()
            if self._incoming or self._applying:
                self._progress.clear()
                await self._progress.wait()
            await self.turn.acquire()

    async def write(self, job: Callable[[Any], T]) -> T:
        """Run a job on the writer thread. Raises what it raises, and `StoreError`."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[T] = loop.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(_resolve, written, error, result)

        self.host.write_soon(job, done)
        return await written


def _resolve(future: asyncio.Future[Any], error: BaseException | None, result: Any) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
