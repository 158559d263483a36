"""Incoming change sets are applied between transactions, in batches.

A batch that continues exactly from the document's heads is replayed, which costs microseconds, so it is applied on the
loop. Any other is applied to a copy of the document on a thread, once the document is large, while local transactions
go on; the copy takes the document's place on the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lichen_crdt import Applying, CrdtError, TransactionError

from lichen.errors import StoreError
from lichen.ids import DeviceKey, SetId

if TYPE_CHECKING:
    from lichen.runtime.document import OpenDocument

log = logging.getLogger("lichen.document")

INLINE_CHANGES = 128
"""Up to this many changes are applied on the loop in one go, where that is quick; the rest waits a turn."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Changes that go to the disk, or are there, beside the document in memory."""

    changes: tuple[bytes, ...]
    author: DeviceKey
    set_id: SetId | None
    """The change set of another device; None for what another connection of this one wrote."""


@dataclass(slots=True)
class Incoming:
    """What others have written, and is to be applied to one document.

    Its methods are given the document that it belongs to: a reference of its own would keep that in memory.
    """

    waiting: list[Arrived] = field(default_factory=list)
    busy: bool = False
    """A task applies what came."""

    @property
    def quiet(self) -> bool:
        """Everything that came is applied."""
        return not self.busy and not self.waiting

    def take(self, opened: OpenDocument, arrived: Iterable[Arrived]) -> None:
        """Apply these as soon as no transaction is open."""
        self.waiting.extend(arrived)
        self.apply_soon(opened)

    def apply_soon(self, opened: OpenDocument) -> None:
        """Apply what came in, now if that is quick and possible."""
        if not self.waiting or self.busy or opened.turn.locked() or opened.crdt.in_transaction:
            return
        batch = self._next_batch()
        if self._applied_at_once(opened, batch):
            if self.waiting:
                asyncio.get_running_loop().call_soon(self.apply_soon, opened)
        else:
            self.busy = True
            opened.host.spawn(self._apply_behind(opened), f"apply {opened.id.hex()[:8]}")

    def _next_batch(self) -> list[Arrived]:
        batch: list[Arrived] = []
        count = 0
        for item in self.waiting:
            count += len(item.changes)
            if batch and count > INLINE_CHANGES:
                break
            batch.append(item)
        return batch

    def _applied_at_once(self, opened: OpenDocument, batch: list[Arrived]) -> bool:
        try:
            patches = _begin(opened, batch).finish()
        except CrdtError:
            return False
        except Exception as error:
            _fail(opened, error)
            return True
        if patches is None:
            return False
        del self.waiting[: len(batch)]
        opened.applied(batch, patches)
        return True

    async def _apply_behind(self, opened: OpenDocument) -> None:
        """Apply what came in while local transactions go on.

        When a set is not valid in its past, halves are tried until it stands alone, and the rest goes without it.
        Every replica leaves the same sets out, since validity depends on the bytes and their past alone.
        """
        waiting = [self.waiting]
        self.waiting = []
        try:
            while waiting and opened.failure is None:
                batch = waiting[0]
                try:
                    await _merge(opened, batch)
                except TransactionError:  # a plain `with` on this loop holds the document for long
                    break
                except CrdtError as error:
                    if len(batch) > 1:
                        half = len(batch) // 2
                        waiting[:1] = [batch[:half], batch[half:]]
                        continue
                    if batch[0].set_id is None:
                        raise
                    opened.host.left_out(opened.space, batch[0].set_id, str(error))
                    opened.applied(batch, ())
                del waiting[0]
        except Exception as error:
            _fail(opened, error)
        finally:
            if opened.failure is None:
                self.waiting[:0] = [item for batch in waiting for item in batch]
            self.busy = False
            opened.progress.set()
        self.apply_soon(opened)


def _begin(opened: OpenDocument, batch: list[Arrived]) -> Applying:
    return opened.crdt.applying([change for item in batch for change in item.changes], strict=True)


async def _merge(opened: OpenDocument, batch: list[Arrived]) -> None:
    """Apply sets together: the work on a thread, the changes of the document on the loop, between transactions."""
    async with opened.turn:
        applying = _begin(opened, batch)
        patches = applying.finish()
        if patches is not None:
            opened.applied(batch, patches)
    while patches is None:
        await asyncio.to_thread(applying.run)
        async with opened.turn:
            if opened.failure is not None:
                return
            patches = applying.finish()
            if patches is not None:
                opened.applied(batch, patches)


def _fail(opened: OpenDocument, error: Exception) -> None:
    log.error("document %s could not take what came", opened.id.hex(), exc_info=error)
    failure = StoreError(f"document {opened.id.hex()} could not take what came", hint="open the document again")
    failure.__cause__ = error
    opened.fail(failure)
