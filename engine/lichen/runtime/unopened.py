"""Documents that are not in memory, sealed many at a time and without being loaded.

An application that writes rows by the thousand touches as many documents, and needs none of them in memory. What it
takes to seal one lies in the store.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from lichen.core.events import SetSealed
from lichen.ids import DocId
from lichen.runtime import unsealed_rows
from lichen.runtime.awaited import awaited
from lichen.runtime.sealer import SessionLog, Unsealed
from lichen.runtime.unsealed_rows import UnsealedDocument
from lichen.turns import in_turn
from lichen.wire.changeset import ChangeSet

if TYPE_CHECKING:
    from lichen.runtime.document import Host

log = logging.getLogger("lichen.documents")

BATCH = 64
"""Documents sealed and stored at a time."""
INLINE_SETS = 2
INLINE_BYTES = 8 * 1024
"""What is less than this is sealed on the loop: a thread's start would cost more."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """One change set that is to be made."""

    of: UnsealedDocument
    run: Sequence[Unsealed]
    session: SessionLog
    work: Callable[[], ChangeSet]


class Unopened:
    """The documents that are being sealed so, and those that wait for it.

    `asleep(doc)` says whether one is not in memory, nor being loaded; `load(doc)` is called for one that is, that
    could not be sealed here, or that has a tail of `long` changes.
    """

    def __init__(self, host: Host, asleep: Callable[[DocId], bool], load: Callable[[DocId], None], long: int) -> None:
        self._host = host
        self._asleep = asleep
        self._load = load
        self._long = long
        self._waiting: dict[DocId, None] = {}
        self._known: dict[DocId, UnsealedDocument] = {}
        """What the store has unsealed of the first that wait, where it need not be asked."""
        self._busy: dict[DocId, asyncio.Future[None]] = {}
        self._running: asyncio.Task[None] | None = None

    def busy(self, doc: DocId) -> asyncio.Future[None] | None:
        """Resolves when a document may be loaded: to do so before that could seal it twice."""
        return self._busy.get(doc)

    async def settle(self) -> None:
        """Return when all are sealed, as far as they can be."""
        if self._running is not None:
            await asyncio.wait([self._running])

    def seal(self, docs: Iterable[DocId], known: Iterable[UnsealedDocument] = ()) -> None:
        """Seal what the store has unsealed of these.

        `known` is that of some of them as they were when this was asked for, but for what is under way here: then it is
        read from the store after all.
        """
        self._waiting.update(dict.fromkeys(docs))
        if self._running is not None:
            self._known.clear()
        elif self._waiting:
            self._known = {one.doc: one for one in known}
            self._running = self._host.spawn(self._seal_all(), "seal what is not open")

    async def _seal_all(self) -> None:
        try:
            while self._waiting:
                batch = list(islice(self._waiting, BATCH))
                for doc in batch:
                    del self._waiting[doc]
                asleep = [doc for doc in batch if self._asleep(doc)]
                for doc in batch:
                    if doc not in asleep:
                        self._load(doc)
                await self._seal_batch(asleep)
        finally:
            self._running = None

    async def _seal_batch(self, docs: Sequence[DocId]) -> None:
        loop = asyncio.get_running_loop()
        self._busy = {doc: loop.create_future() for doc in docs}
        known, self._known = self._known, {}
        to_load: Sequence[DocId] = ()
        try:
            if all(doc in known for doc in docs):
                left = [known[doc] for doc in docs]
            else:
                left = await awaited(self._host.write_soon, lambda conn: unsealed_rows.load_unsealed(conn, docs))
            while left := [one for one in left if one.waiting and self._ready(one)]:
                to_load = await self._seal_runs(docs, left)
        except Exception:
            log.exception("documents that are not open could not be sealed together")
            to_load = docs
        finally:
            busy, self._busy = self._busy, {}
            for future in busy.values():
                if not future.done():
                    future.set_result(None)
        for doc in to_load:
            self._load(doc)

    async def _seal_runs(self, docs: Sequence[DocId], left: Sequence[UnsealedDocument]) -> list[DocId]:
        """Seal the first run of each that is left of these documents; which of them have a long tail."""
        plans = [self._plan(one) for one in left]

        def work() -> list[tuple[_Plan, ChangeSet]]:
            return [(plan, plan.work()) for plan in plans]

        made = work() if _small(plans) else await asyncio.to_thread(in_turn, work)

        def sealed(_: object) -> None:
            for plan, change_set in made:  # pushed in this turn, before peers are told a position behind it
                plan.of.sealed(change_set, plan.run, plan.session)
                self._host.sealed(SetSealed(plan.of.space, change_set, plan.run[-1].hash))

        rows = [(change_set, plan.run[-1].hash, len(plan.run)) for plan, change_set in made]

        def save(conn: Connection) -> list[DocId]:
            unsealed_rows.save_many_sealed(conn, rows)
            return unsealed_rows.long_tails(conn, docs, self._long)

        return await awaited(self._host.write_soon, save, sealed)

    def _ready(self, one: UnsealedDocument) -> bool:
        """Whether this device can seal it now; when not, it is sealed once it can."""
        if not self._host.sealer.ready(one.space):
            self._host.want_epoch(one.doc, one.space)
        return self._host.sealer.ready(one.space)

    def _plan(self, one: UnsealedDocument) -> _Plan:
        sealer = self._host.sealer
        run = sealer.next_run(one.waiting)
        session = one.sessions[run[0].session]
        return _Plan(one, run, session, sealer.plan(one.space, one.doc, session, run, one.head_sets, os.urandom(32)))


def _small(plans: Sequence[_Plan]) -> bool:
    return len(plans) <= INLINE_SETS and sum(len(one.change) for plan in plans for one in plan.run) <= INLINE_BYTES
