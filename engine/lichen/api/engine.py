"""The engine of one device: what an application opens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Literal

from lichen_crdt import Value

from lichen.api.cards import CARD_NONCE, Cards, card_of, checked_name
from lichen.api.document import Document
from lichen.api.events import (
    CaughtUp,
    DocumentChanged,
    Event,
    PathsChanged,
    Rejected,
    Served,
    SpaceChanged,
    SpaceLeft,
)
from lichen.api.feed import Feed
from lichen.api.paths import PeerPath, peer_paths
from lichen.api.presence import Presences
from lichen.api.space import DocumentInfo, Space
from lichen.config import DEFAULT_LIMITS, Limits
from lichen.core import effects as do
from lichen.core import events as happened
from lichen.core.access.authoring import found_space
from lichen.core.hlc import Clock
from lichen.core.node import Node
from lichen.core.space import SpaceState
from lichen.crypto.identity import Identity
from lichen.errors import AccessDenied, ConfigError, EngineMisuse, LichenError, NotFound, Unreachable
from lichen.ids import DeviceKey, DocId, MemberId, Session, SetId, SpaceId
from lichen.runtime import rows
from lichen.runtime.connections import Connection, Connections
from lichen.runtime.direct import DirectPaths
from lichen.runtime.document import Applied, OpenDocument
from lichen.runtime.documents import Documents
from lichen.runtime.driver import Driver
from lichen.runtime.epochs import author_epoch
from lichen.runtime.join_progress import JoinProgress, telling
from lichen.runtime.joining import Joining
from lichen.runtime.leaving import leave
from lichen.runtime.opening import open_for
from lichen.runtime.remembered import Remembered
from lichen.runtime.sealer import Sealer
from lichen.runtime.transports import signalled
from lichen.store import Store
from lichen.wire.operation import Role

log = logging.getLogger("lichen.engine")

Durability = Literal["process", "power"]


class Engine:
    """One device's engine: its spaces, documents and connections. Open it with `Engine.open`.

    Everything is used from the event loop in which it was opened.
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
        self._leaving: asyncio.Future[None] | None = None
        self._before_close: dict[object, Callable[[], Awaitable[object]]] = {}
        self._presences = Presences()

    # Opening

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        passphrase: str | None = None,
        create: bool = True,
        durability: Durability = "process",
        limits: Limits = DEFAULT_LIMITS,
        clear_rows: bool = False,
    ) -> AsyncIterator[Engine]:
        """Open the store at `url` (`sqlite:///notes.db`), made when it is not there and `create` holds.

        With no passphrase the store's key lies in a file beside it, readable to this user only. A store in PostgreSQL
        (`postgresql://user@host/database`) needs a passphrase, and `clear_rows=True`: that tables of the application
        may lie there as they are. Raises `StoreError`, and `ConfigError`.
        """
        async with open_for(
            url, passphrase=passphrase, create=create, durability=durability, limits=limits, clear_rows=clear_rows
        ) as store:
            identity, store_id = await asyncio.wrap_future(store.write(rows.load_identity))
            engine = cls(store, identity, store_id, limits)
            async with engine._driver.running():
                try:
                    await engine._load()
                    yield engine
                finally:
                    await engine._close()

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

    # What is here

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

    def derive_secret(self, purpose: str) -> bytes:
        """32 secret bytes for the application's own use, the same in every run on this device.

        Each purpose has its own; they tell nothing about the device's keys.
        """
        return self.identity.derive_secret(purpose)

    @property
    def spaces(self) -> list[Space]:
        """Every space on this device, in the order in which they came to it."""
        return [Space(self, state) for state in self._node.state.spaces.values() if state.log.heads]

    def space(self, space_id: SpaceId) -> Space:
        """A space by its id. Raises `NotFound`."""
        return Space(self, self.state_of(space_id))

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

    async def document(self, doc: DocId) -> Document:
        """A document by its id, loaded if need be. Raises `NotFound`, and `StoreBusy`."""
        self.refuse_other_loop()
        async with self.store.waiting():
            return Document(self, await self._documents.get(doc))

    async def wait_for_document(self, space_id: SpaceId, doc: DocId, wait_s: float) -> None:
        """Return when a document's first change set is here, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s), contextlib.aclosing(self.events()) as events:
                while not self._holds(space_id, doc):
                    await anext(events)

    def _holds(self, space_id: SpaceId, doc: DocId) -> bool:
        return any(known.doc == doc for known in self.state_of(space_id).known.values())

    async def list_documents(self, space_id: SpaceId) -> list[DocumentInfo]:
        """What a space holds, most recently changed first; without its card."""
        self.refuse_other_loop()
        card = card_of(self.state_of(space_id))
        listed = await asyncio.wrap_future(self.store.write_in_time(lambda conn: rows.list_documents(conn, space_id)))
        infos = [DocumentInfo(row.doc, row.title, row.changed_ms, row.heads) for row in listed if row.doc != card]
        return sorted(infos, key=lambda info: (-info.changed_ms, info.id))

    async def count_sets(self, doc: DocId) -> int:
        """How many change sets of a document are here."""
        return await asyncio.wrap_future(self.store.write_in_time(lambda conn: rows.count_sets(conn, doc)))

    # Making

    async def create_space(self, name: str, *, member_name: str = "") -> Space:
        """A new space of which this device's member is the owner.

        The handle that is returned carries the recovery key as text; it is shown this once, and kept nowhere. Raises
        `ConfigError` for a name, and `LimitExceeded`.
        """
        self.refuse_other_loop()
        name, member_name = checked_name(name, "a space"), checked_name(member_name, "a member")
        if not name:
            raise ConfigError("a space needs a name", hint="choose one that its members will recognise")
        founded = found_space(
            self.identity,
            member=MemberId(os.urandom(16)),
            nonce=os.urandom(32),
            recovery_seed=os.urandom(32),
            epoch_key=(epoch_key := os.urandom(32)),
            time=self.clock.tick(_now_ms()),
        )
        members = {founded.member.hex(): member_name} if member_name else {}
        card, created = self._documents.draft(founded.space, CARD_NONCE, {"title": name, "members": members}, _now_ms())
        await asyncio.wrap_future(
            self.store.write_in_time(lambda conn: rows.add_founded(conn, founded, epoch_key, created, self.limits))
        )
        keys = ((founded.epoch, epoch_key),)
        self._driver.feed(happened.SpaceLoaded(founded.space, founded.operations, (), keys))
        self._documents.begin(card, created)
        return Space(self, self.state_of(founded.space), founded.recovery_key.text)

    async def create_document(self, space_id: SpaceId, content: Mapping[str, Value]) -> Document:
        """A new document in a space. Content that cannot be in a document is refused, and makes none."""
        self.refuse_other_loop()
        if not self.may_write(space_id):
            raise AccessDenied(
                f"this device may not write in space {space_id.hex()[:12]}", hint="ask an admin of the space"
            )
        opened, created = self._documents.draft(space_id, os.urandom(16), content, _now_ms())
        await asyncio.wrap_future(self.store.write_in_time(lambda conn: rows.create_document(conn, created)))
        self.state_of(space_id)  # raises when the space has left meanwhile, and the document with it
        self._documents.begin(opened, created)
        return Document(self, opened)

    def expect_writer(self, session: Session) -> None:
        """Another connection will write under this new session of this device's. To be called before it does."""
        self._documents.expect(session)

    def written_elsewhere(self, written: Sequence[rows.WrittenDocument]) -> None:
        """Another connection has written changes into documents of the store: show, seal and push them.

        From any thread, and before that connection gives back the right to write. After the engine has closed they
        are sealed at the next start.
        """
        with contextlib.suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(self._documents.written_elsewhere, written)

    async def name_member(self, space_id: SpaceId, name: str) -> None:
        """Write on a space's card what this member calls itself.

        Raises `NotFound` while the card is not here, and `ConfigError`.
        """
        name = checked_name(name, "a member")
        state = self.state_of(space_id)
        card, member = card_of(state), state.log.member_of(self.device)
        if card is None or member is None:
            raise NotFound(f"this device is not in space {space_id.hex()[:12]} yet", hint="join it first: Engine.join")
        async with (await self.document(card)).change("name") as crdt:
            crdt["members"][member.hex()] = name

    async def open_space(
        self,
        new: str,
        ticket: str = "",
        *,
        name: str = "",
        own: bool = False,
        timeout_s: float | None = None,
        progress: Callable[[JoinProgress], object] | None = None,
    ) -> Space:
        """The space of a program that shows one: that of the ticket, joined as by `join`, whatever is here already.

        Without a ticket it is the space that came to this device last, or with `own` the last of which this member is
        an owner. Where there is none, it is a new one, called `new`; but not after a join that was interrupted or not
        answered, unless with `own`: that raises `ConfigError`. `name` is what this member calls itself. Raises what
        `join` and `create_space` raise.
        """
        if ticket:
            return await self.join(ticket, name=name, timeout_s=timeout_s, progress=progress)
        found = [space for space in self.spaces if not own or space.role == Role.OWNER]
        if found:
            return found[-1]
        if not own and (where := await self.joining.unfinished()) is not None:
            raise ConfigError(
                f"a join{f' at {where}' if where else ''} was begun, and not finished",
                hint="start with its invitation again; or with --own (own=True), for one of your own",
            )
        return await self.create_space(new, member_name=name)

    async def join(
        self,
        ticket: str,
        *,
        name: str = "",
        timeout_s: float | None = None,
        progress: Callable[[JoinProgress], object] | None = None,
    ) -> Space:
        """Join the space of a ticket: waits until its issuer has answered and the space's card is here.

        A member has its space at once, and nobody need be there. While it waits, `progress` is called on the loop
        every few seconds, with what can be shown as text. Raises `TicketError`, `ConfigError`, `LimitExceeded`, and
        `Unreachable` when nobody has answered after `timeout_s` seconds.
        """
        self.refuse_other_loop()
        within_s = timeout_s or self.limits.join_s
        async with telling(progress, lambda waited_s: self.joining.progress(waited_s, within_s)):
            return await self._join(ticket, checked_name(name, "a member"), within_s)

    async def _join(self, ticket: str, name: str, timeout_s: float) -> Space:
        space_id = await self.joining.join(ticket, name, timeout_s)
        try:
            async with asyncio.timeout(self.limits.join_s), contextlib.aclosing(self.events()) as events:
                while not self._card_here(space_id):
                    await anext(events)
        except TimeoutError:
            raise Unreachable(
                f"this device is a member of space {space_id.hex()[:12]} now, but nothing of it has come",
                hint="stay connected: it comes as soon as a device of the space, or its relay, is there",
            ) from None
        await self._load_card(space_id)
        if name and self.may_write(space_id):
            await self.name_member(space_id, name)
        return self.space(space_id)

    def _card_here(self, space_id: SpaceId) -> bool:
        card = card_of(self.state_of(space_id))
        return card is not None and self._holds(space_id, card)

    async def leave(self, space_id: SpaceId) -> None:
        """Take a space off this device: its documents, and what applications made of them, go.

        Nothing of it comes any more, unless this device joins again. The members still list it, and what it wrote and
        nobody has fetched is lost. Raises `NotFound`; and what keeps a row from being deleted: then nothing is left.
        """
        self.refuse_other_loop()
        self.state_of(space_id)
        await self.refuse_borrower()
        await self._documents.saved(space_id)
        self.state_of(space_id)
        self._leaving = asyncio.ensure_future(self._leave(space_id))
        await asyncio.shield(self._leaving)  # who gives up waiting does not leave it half done

    async def _leave(self, space_id: SpaceId) -> None:
        await leave(space_id, self._driver, self._documents)
        self.cards.forget(space_id)
        self._presences.forget(space_id)
        self.joining.forget(space_id)
        self._publish(SpaceLeft(space_id))

    # Paths

    async def connect(self, url: str, *, remember: bool = False) -> Connection:
        """Dial an address, a relay's or a device's, from now on and again whenever the link ends.

        With `remember`, once it has been reached, `connect_remembered` dials it after a restart. Raises `ConfigError`.
        """
        self.refuse_other_loop()
        connection = self._connections.connect(url)
        if remember:
            self._remembered.add(connection)
        return connection

    async def connect_remembered(self) -> list[Connection]:
        """Dial every remembered address that is not dialled already, and of a kind that this device knows."""
        return await self._remembered.connect()

    async def remembered(self) -> list[str]:
        """The addresses that are dialled after a restart."""
        return await self._remembered.addresses()

    @property
    def up_to_date(self) -> bool:
        """Every dialled address is connected, has stored all that this device has, and has nothing more for it."""
        return self._driver.up_to_date(len(self._connections.dialled))

    @property
    def unreached(self) -> list[Connection]:
        """The dialled addresses that were tried, and are not connected."""
        return [dialled for dialled in self.connections if dialled.state == "waiting"]

    @property
    def reached_up_to_date(self) -> bool:
        """As `up_to_date`, for the addresses that can be reached: every one was tried, and at least one is there."""
        away = len(self.unreached)
        return len(self.connections) - away > 0 and self._driver.up_to_date(len(self.connections) - away)

    @property
    def refusals(self) -> list[str]:
        """Why peers that are connected will not serve spaces of this device, in their own words."""
        return self._driver.refusals()

    @property
    def connections(self) -> list[Connection]:
        """Every address that is dialled."""
        return list(self._connections.dialled.values())

    async def listen(self, url: str, *, required: bool = True) -> str:
        """Accept links at an address; returns it with the port that was bound. Raises `Unreachable`.

        If it is not `required`, since the program is of use without, an address that cannot be had is logged as a
        warning, and nothing is returned.
        """
        self.refuse_other_loop()
        try:
            return await self._connections.listen(url)
        except Unreachable as error:
            if required:
                raise
            log.warning("others do not find this device: %s", error.told)
            return ""

    def use_direct(self, scheme: str = "webrtc") -> None:
        """Open direct paths to other devices where possible. Raises `ConfigError` when the transport is missing."""
        self._direct.enable(signalled(scheme))

    def paths(self, space_id: SpaceId) -> list[PeerPath]:
        """Every other device of a space, and how it can be reached now."""
        return peer_paths(self._node.state, self._driver, self.state_of(space_id))

    @property
    def traffic(self) -> dict[str, tuple[int, int]]:
        """Bytes sent and received over each kind of path since the engine was opened."""
        return self._driver.bytes_by_path()

    async def settled(self) -> None:
        """Return when everything in memory is saved, sealed and applied."""
        await self.refuse_borrower()
        await self._documents.settle()

    # Events

    def events(self) -> AsyncGenerator[Event, None]:
        """What happens from now on, in all spaces."""
        feed: Feed[Event] = Feed()
        self._feeds.append(feed)
        return feed.items(lambda: self._feeds.remove(feed))

    def _publish(self, event: Event) -> None:
        for feed in list(self._feeds):
            feed.put(event)

    def _paths_changed(self) -> None:
        self._publish(PathsChanged())

    def set_presence(self, space: SpaceId, doc: DocId, payload: bytes | None) -> None:
        """Show or end own presence; `Document.set_presence` checks its size. Raises `NotFound`."""
        self.state_of(space)
        self._driver.feed(happened.PresenceSet(space, doc, payload))

    def presence(self, space: SpaceId, doc: DocId) -> Mapping[DeviceKey, Mapping[str, Any]]:
        """What other devices show in a document."""
        return self._presences.of(space, doc)

    # For the driver (`lichen.runtime.driver.Application`)

    def sets_accepted(self, effect: do.StoreSets) -> None:
        """Change sets of others count."""
        for item in effect.sets:
            self.clock.observe(item.set.header.time, _now_ms())
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


def _now_ms() -> int:
    return int(time.time() * 1000)
