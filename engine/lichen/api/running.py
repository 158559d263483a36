"""What of one device's engine runs: its node, driver, documents and connections, and what they tell each other.

`lichen.api.engine` is what applications ask of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from lichen.api.cards import Cards, card_of
from lichen.api.events import CaughtUp, DocumentChanged, Event, PathsChanged, Rejected, Served, SpaceChanged
from lichen.api.feed import Feed
from lichen.api.presence import Presences
from lichen.config import Limits
from lichen.core import effects as do
from lichen.core import events as happened
from lichen.core.hlc import Clock
from lichen.core.node import Node
from lichen.core.space import SpaceState
from lichen.crypto.identity import Identity
from lichen.errors import EngineMisuse, LichenError, NotFound
from lichen.ids import DeviceKey, DocId, Session, SetId, SpaceId
from lichen.runtime import rows
from lichen.runtime.connections import Connections
from lichen.runtime.direct import DirectPaths
from lichen.runtime.document import Applied, OpenDocument
from lichen.runtime.documents import Documents
from lichen.runtime.driver import Driver
from lichen.runtime.epochs import author_epoch
from lichen.runtime.joining import Joining
from lichen.runtime.remembered import Remembered
from lichen.runtime.sealer import Sealer
from lichen.runtime.unsealed_rows import UnsealedDocument
from lichen.store import Store
from lichen.wire.operation import Role

log = logging.getLogger("lichen.engine")


class Running:
    """The parts of an engine, as the rooms below see them (`lichen.runtime.driver.Application`,
    `lichen.runtime.document.Host`), and who writes into its store beside it.
    """

    def __init__(self, store: Store, identity: Identity, store_id: bytes, limits: Limits) -> None:
        self.identity = identity
        self.store = store
        self.limits = limits
        self.session = Session(os.urandom(16))
        self.cards = Cards()
        self.clock = Clock()
        self._node = Node(identity, self.session, store_id, os.urandom(32), limits=limits)
        self._driver = Driver(self._node, store, self, limits)
        self.sealer = Sealer(identity, self.clock, limits, self._node.state.spaces.get)
        self._documents = Documents(self, store, self.device, self.session, limits)
        self._connections = Connections(self._driver, identity, limits, self._paths_changed)
        self._remembered = Remembered(self._driver, self._connections)
        self._direct = DirectPaths(self._driver, identity, limits)
        self.joining = Joining(self._driver, identity, self.clock, limits, self._connections)
        self._loop = asyncio.get_running_loop()
        self._feeds: list[Feed[Event]] = []
        self._before_close: dict[object, Callable[[], Awaitable[object]]] = {}
        self._presences = Presences()

    @property
    def device(self) -> DeviceKey:
        """This device's key: its peer id."""
        return self.identity.device

    def refuse_other_loop(self) -> None:
        """Raises `EngineMisuse` anywhere but on the event loop in which this was opened."""
        with contextlib.suppress(RuntimeError):  # there is none
            if asyncio.get_running_loop() is self._loop:
                return
        raise EngineMisuse(
            "this engine was opened on another event loop",
            hint="open and use it on one loop, or use `lichen.blocking`, which has its own",
        )

    def state_of(self, space_id: SpaceId) -> SpaceState:
        """What this device knows of a space. Raises `NotFound`."""
        state = self._node.state.spaces.get(space_id)
        if state is None:
            raise NotFound(f"space {space_id.hex()} is not on this device", hint="join it with a ticket: Engine.join")
        return state

    def may_write(self, space_id: SpaceId) -> bool:
        """Whether this device may write in a space, as far as it knows."""
        role = self.state_of(space_id).log.role_of(self.device)
        return role is not None and role >= Role.WRITER

    # Beginning and end

    async def _load(self) -> None:
        for space in await asyncio.wrap_future(self.store.write(rows.load_spaces)):
            self._driver.feed(space)
            await self._load_card(space.space)
        await self.joining.load()
        self._documents.seal(await asyncio.wrap_future(self.store.write(rows.documents_to_seal)))

    async def _load_card(self, space: SpaceId) -> None:
        card = card_of(self.state_of(space))
        if card is not None:
            with contextlib.suppress(NotFound):
                self.cards.read(await self._documents.get(card))

    def before_close(self, call: Callable[[], Awaitable[object]]) -> Callable[[], object]:
        """Have something awaited when this begins to close, in the order in which it was asked for: what is to be
        written still.

        Returns what forgets it. What it raises is logged, and keeps nothing from closing.
        """
        self._before_close[key := object()] = call
        return lambda: self._before_close.pop(key, None)

    async def _close(self) -> None:
        while self._before_close:
            try:
                await self._before_close.pop(next(iter(self._before_close)))()
            except Exception:
                log.exception("what was to be done before closing failed")
        with contextlib.suppress(TimeoutError, LichenError):
            async with asyncio.timeout(5):
                await self._documents.settle()
        await self._connections.close()
        await self._driver.close()
        for feed in self._feeds:
            feed.close()

    def refuse_holder(self, caller: object) -> None:
        """Raises `EngineMisuse` for a task or thread that is in a transaction of a document. Call it on the loop."""
        for document in self._documents.all_open():
            document.refuse_holder(caller)

    # For those who write beside it

    def expect_writer(self, session: Session) -> None:
        """Another connection will write under this new session of this device's. To be called before it does."""
        self._documents.expect(session)

    def written_elsewhere(
        self, written: Sequence[rows.WrittenDocument], unsealed: Sequence[UnsealedDocument] = ()
    ) -> None:
        """Another connection has written changes into documents of the store: show, seal and push them.

        From any thread, and before that connection gives back the right to write. After the engine has closed they
        are sealed at the next start. `unsealed` is what it may have read of some of them with `load_unsealed`, after it
        had written and before it committed: it spares the engine to do so.
        """
        with contextlib.suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(self._documents.written_elsewhere, written, unsealed)

    # For applications

    def _publish(self, event: Event) -> None:
        for feed in list(self._feeds):
            feed.put(event)

    def _paths_changed(self) -> None:
        self._publish(PathsChanged())

    # For the driver (`lichen.runtime.driver.Application`)

    def sets_accepted(self, effect: do.StoreSets) -> None:
        """Change sets of others count."""
        for item in effect.sets:
            self.clock.observe(item.set.header.time, now_ms())
        self._documents.take(effect)

    def sets_lost(self, space: SpaceId, docs: set[DocId]) -> None:
        """Change sets could not be stored."""
        self._documents.forget(docs)

    def connect_direct(self, peer: DeviceKey, *, offers: bool) -> None:
        """Open a direct path."""
        self._direct.connect(peer, offers=offers)

    def signal(self, peer: DeviceKey, payload: bytes) -> None:
        """A peer negotiates a direct path."""
        self._direct.signal(peer, payload)

    def mail(self, sender: DeviceKey, body: bytes) -> None:
        """Mail came: it belongs to a joining."""
        self.joining.mail(sender, body)

    def tell(self, effect: do.Effect) -> None:
        """Something for the application to know."""
        match effect:
            case do.TellSpace(space):
                self._documents.wake(space)
                self.joining.space_changed(space)
                self._publish(SpaceChanged(space))
            case do.TellPeers():
                self._publish(PathsChanged())
            case do.TellPresence():
                self._publish(self._presences.told(effect))
            case do.TellCaughtUp(space, peer):
                self._publish(CaughtUp(space, peer))
            case do.TellServed(space, peer):
                self._publish(Served(space, peer))
            case do.TellInvalid(space, rejected, reason):
                self._publish(Rejected(space, rejected, reason))

    # For documents (`lichen.runtime.document.Host`)

    def holds(self, space: SpaceId) -> bool:
        """Whether a space is on this device, and not being left."""
        return space in self._node.state.spaces

    async def refuse_borrower(self) -> None:
        """Raises `StoreError` when whoever calls would wait for ever, since it holds up every write itself.

        What it has begun waits until it has ended, for some seconds.
        """
        await self.store.refuse_within()

    def write_soon(self, job: Callable[[Any], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Queue a job for the writer thread."""
        self.store.write_soon(job, done)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None] | None:
        """Start a task of the driver's."""
        return self._driver.spawn(work, name)

    def want_epoch(self, doc: DocId, space: SpaceId) -> None:
        """There is something to seal, and no epoch to seal it under."""
        if not self.holds(space):
            return
        self._documents.cannot_seal(doc, space)
        operations = author_epoch(self.state_of(space), self.identity, self.clock)
        if operations:
            self._driver.feed(happened.OperationsAuthored(space, tuple(operations)))

    def sealed(self, event: happened.SetSealed) -> None:
        """An own change set is on disk."""
        self._driver.feed(event)

    def left_out(self, space: SpaceId, set_id: SetId, reason: str) -> None:
        """A change set is not valid in its past."""
        self._loop.call_soon_threadsafe(self._publish, Rejected(space, set_id, reason))

    def changed_asleep(self, space: SpaceId, doc: DocId) -> bool:
        """A document that is not in memory has been changed by others."""
        if doc == card_of(self.state_of(space)):
            return False
        self._publish(DocumentChanged(space, doc, False, (), ()))
        return True

    def changed(self, document: OpenDocument, applied: Applied) -> None:
        """A document has changed."""
        if not self.holds(document.space):
            return
        if document.id == card_of(self.state_of(document.space)):
            self.cards.read(document)
            self._publish(SpaceChanged(document.space))
            return
        self._publish(DocumentChanged(document.space, document.id, applied.local, applied.patches, applied.authors))


def now_ms() -> int:
    """The local time, in Unix milliseconds."""
    return int(time.time() * 1000)
