"""The engine of one device: what an application opens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, Literal

from lichen_crdt import Value

from lichen.api.cards import CARD_NONCE, card_of, checked_name
from lichen.api.document import Document
from lichen.api.events import Event, SpaceLeft
from lichen.api.feed import Feed
from lichen.api.paths import PeerPath, peer_paths
from lichen.api.running import Running, now_ms
from lichen.api.space import DocumentInfo, Space
from lichen.config import DEFAULT_LIMITS, Limits
from lichen.core import events as happened
from lichen.core.access.authoring import found_space
from lichen.errors import AccessDenied, ConfigError, NotFound, Unreachable
from lichen.ids import DeviceKey, DocId, MemberId, SpaceId
from lichen.runtime import rows
from lichen.runtime.connections import Connection
from lichen.runtime.join_progress import JoinProgress, telling
from lichen.runtime.leaving import leave
from lichen.runtime.opening import open_for
from lichen.runtime.transports import signalled
from lichen.wire.operation import Role

log = logging.getLogger("lichen.engine")

Durability = Literal["process", "power"]


class Engine(Running):
    """One device's engine: its spaces, documents and connections. Open it with `Engine.open`.

    Everything is used from the event loop in which it was opened.
    """

    _leaving: asyncio.Future[None] | None = None

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

    # What is here

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
            time=self.clock.tick(now_ms()),
        )
        members = {founded.member.hex(): member_name} if member_name else {}
        card, created = self._documents.draft(founded.space, CARD_NONCE, {"title": name, "members": members}, now_ms())
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
        opened, created = self._documents.draft(space_id, os.urandom(16), content, now_ms())
        await asyncio.wrap_future(self.store.write_in_time(lambda conn: rows.create_document(conn, created)))
        self.state_of(space_id)  # raises when the space has left meanwhile, and the document with it
        self._documents.begin(opened, created)
        return Document(self, opened)

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
        """Return when everything in memory is saved, sealed and applied. Raises `EngineMisuse` in a transaction."""
        self.refuse_holder(asyncio.current_task())
        await self.refuse_borrower()
        await asyncio.sleep(0)  # what sessions on this thread have committed is heard of first
        await self._documents.settle()

    # Events

    def events(self) -> AsyncGenerator[Event, None]:
        """What happens from now on, in all spaces."""
        feed: Feed[Event] = Feed()
        self._feeds.append(feed)
        return feed.items(lambda: self._feeds.remove(feed))

    def set_presence(self, space: SpaceId, doc: DocId, payload: bytes | None) -> None:
        """Show or end own presence; `Document.set_presence` checks its size. Raises `NotFound`."""
        self.state_of(space)
        self._driver.feed(happened.PresenceSet(space, doc, payload))

    def presence(self, space: SpaceId, doc: DocId) -> Mapping[DeviceKey, Mapping[str, Any]]:
        """What other devices show in a document."""
        return self._presences.of(space, doc)
