"""Sealing: changes that are on disk are put into change sets, in order, whatever has gathered at once.

A change set is pushed only after the store holds it: otherwise a crash between the two could seal the same changes
twice, which is a split.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lichen.core.events import SetSealed
from lichen.errors import LichenError, StoreError
from lichen.runtime import rows
from lichen.runtime.sealer import SessionLog, Unsealed
from lichen.wire.changeset import ChangeSet

if TYPE_CHECKING:
    from lichen.runtime.document import OpenDocument

log = logging.getLogger("lichen.document")


@dataclass(slots=True)
class Sealing:
    """The changes of one document that are on disk, and not in a change set yet.

    Its methods are given the document that it belongs to: a reference of its own would keep that in memory.
    """

    waiting: deque[Unsealed] = field(default_factory=deque)
    busy: bool = False
    failed: bool = False
    """It failed by more than the store; it is tried again with the next edit."""

    @property
    def quiet(self) -> bool:
        """Everything is in a change set."""
        return not self.busy and not self.waiting

    def seal_soon(self, opened: OpenDocument) -> None:
        """Seal what has gathered, unless that is under way, or this device may not write now."""
        if not self.waiting or self.busy or opened.failure is not None:
            return
        host = opened.host
        if not host.sealer.ready(opened.space):
            host.want_epoch(opened.id, opened.space)
        if host.sealer.ready(opened.space):
            self.busy, self.failed = True, False
            host.spawn(self._seal_all(opened), f"seal {opened.id.hex()[:8]}")

    async def _seal_all(self, opened: OpenDocument) -> None:
        try:
            while self.waiting and opened.failure is None and opened.host.sealer.ready(opened.space):
                await self._seal_one(opened)
        except Exception as error:
            self.failed = True
            expected = isinstance(error, LichenError)
            log.error("changes of document %s could not be sealed: %s", opened.id.hex(), error, exc_info=not expected)
        finally:
            self.busy = False
            opened.progress.set()

    async def _seal_one(self, opened: OpenDocument) -> None:
        sealer = opened.host.sealer
        run = sealer.next_run(self.waiting)
        session = opened.sessions.setdefault(run[0].session, SessionLog(run[0].session))
        change_set = await sealer.seal(opened.space, opened.id, session, run, opened.head_sets, os.urandom(32))

        def sealed() -> None:
            self._sealed(opened, change_set, run, session)

        try:
            await opened.write(lambda conn: rows.save_sealed(conn, change_set, run[-1].hash, len(run)), sealed)
        except StoreError as error:
            log.error("a change set of document %s could not be stored: %s", opened.id.hex(), error)
            opened.fail(error)

    def _sealed(
        self, opened: OpenDocument, change_set: ChangeSet, run: Sequence[Unsealed], session: SessionLog
    ) -> None:
        """It is on disk: push it in this turn of the loop, before peers are told a position of the store behind it."""
        for _ in run:
            opened.unsealed_bytes -= len(self.waiting.popleft().change)
        opened.progress.set()
        session.advance(change_set)
        opened.head_sets[run[-1].hash] = change_set.id
        opened.host.sealed(SetSealed(opened.space, change_set, run[-1].hash))
