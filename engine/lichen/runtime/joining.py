"""Tickets: issuing them, answering who comes with one, and joining with one.

The conversation (`lichen.core.pairing`) travels as mail: over the link to the other device where there is one, else
through a relay, which keeps it until that device is there. A joiner repeats its first message until it is answered;
an issuer that has already taken a device in answers it again, so a joiner may start anew at any point.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import Connection

from lichen.config import Limits
from lichen.core.access.authoring import MOST_PARENTS, add_member, merge_heads, wrap_keys
from lichen.core.effects import StoreOperations
from lichen.core.events import MailWritten, OperationsAuthored, SpaceLoaded
from lichen.core.hlc import Clock
from lichen.core.pairing import Accepted, Issuer, Joiner, JoinRequested, OpenTicket
from lichen.core.space import SpaceState
from lichen.crypto.identity import Identity
from lichen.errors import AccessDenied, ConfigError, LichenError, ProtocolError, StoreError, TicketError, Unreachable
from lichen.ids import DeviceKey, MemberId, SpaceId
from lichen.runtime import rows, ticket_rows
from lichen.runtime.connections import Connections
from lichen.runtime.driver import Driver
from lichen.runtime.join_progress import SHOWN, JoinProgress
from lichen.runtime.transports import split_token
from lichen.wire.operation import Operation, Role
from lichen.wire.ticket import Ticket

log = logging.getLogger("lichen.joining")

T = TypeVar("T")

REPEAT_S = 2.0
"""A joiner repeats its mail this often until it is answered."""
MOST_REPEATS = 3
"""After so many requests unheard a joiner begins anew: an issuer that was restarted has forgotten the conversation."""
MOST_CONVERSATIONS = 256
"""Most conversations that an issuer keeps at once; the oldest is dropped, and its joiner starts anew."""
NO_ADDRESS = (
    "this ticket names no address, so who has it must know one: listen, or connect to a relay, before you invite; "
    "or say where you are with hints="
)
MOST_DAYS = 366
MOST_USES = 1_000


@dataclass(slots=True)
class _Joining:
    ticket: Ticket
    joiner: Joiner
    answered: asyncio.Future[Accepted]


class Joining:
    """Both sides of joining, for one device."""

    def __init__(
        self, driver: Driver, identity: Identity, clock: Clock, limits: Limits, connections: Connections
    ) -> None:
        self._driver = driver
        self._identity = identity
        self._clock = clock
        self._limits = limits
        self._connections = connections
        self._joinings: dict[bytes, _Joining] = {}
        self._issuers: OrderedDict[bytes, Issuer] = OrderedDict()
        self._open_tickets: dict[bytes, OpenTicket] = {}
        self._space_changed = asyncio.Event()
        self._admitting = asyncio.Lock()

    # Issuing

    async def load(self) -> None:
        """Know the tickets that are open, after a restart."""
        for row in await self._write(ticket_rows.open_tickets):
            self._open_tickets[row.id] = OpenTicket(SpaceId(row.space), row.psk)

    async def invite(
        self, space: SpaceState, mode: str, role: Role, expires: timedelta, uses: int, hints: Sequence[str] | None
    ) -> str:
        """A new ticket as text. Raises `AccessDenied`, `ConfigError`."""
        self._check_invite(space, mode, role, expires, uses)
        where = list(hints) if hints is not None else [*self._connections.dialled, *self._connections.addresses]
        if hints is None and not where:
            log.warning("%s", NO_ADDRESS)
        ticket = Ticket(os.urandom(32), space.id, self._identity.device, tuple(where[:8]))
        text = ticket.encode()
        row = ticket_rows.new_ticket(ticket, role, uses, mode, int((time.time() + expires.total_seconds()) * 1000))
        await self._write(lambda conn: ticket_rows.add_ticket(conn, row, self._limits))
        self._open_tickets[ticket.id] = OpenTicket(space.id, ticket.psk)
        return text

    def _check_invite(self, space: SpaceState, mode: str, role: Role, expires: timedelta, uses: int) -> None:
        if mode != "auto":
            raise ConfigError(f"there is no ticket mode {mode!r}", hint='use mode="auto"')
        if not 0 < expires.total_seconds() <= MOST_DAYS * 86_400:
            raise ConfigError(
                f"a ticket cannot be good for {expires}", hint=f"give it some time, {MOST_DAYS} days at most"
            )
        if not 1 <= uses <= MOST_USES:
            raise ConfigError(f"a ticket cannot be used {uses} times", hint=f"give it 1 to {MOST_USES} uses")
        own = space.log.role_of(self._identity.device)
        if own is None or own < Role.ADMIN:
            raise AccessDenied("only admins and owners of a space invite", hint="ask one of them")
        if not Role.READER <= role <= Role.WRITER:
            raise ConfigError(f"a ticket cannot grant {role.name.lower()}", hint="roles: reader, writer")

    async def _answer(self, issuer: Issuer, requested: JoinRequested, joiner: DeviceKey) -> None:
        """Take the device in, when its ticket is still good, and tell it so."""
        try:
            async with self._admitting:
                await self._admit(requested)
        except StoreError as error:  # it is no fault of the joiner's, who asks again
            log.error("a request to join could not be answered: %s", error)
            return
        except LichenError as error:
            log.info("a request to join was refused: %s", error)
            self._mail(joiner, issuer.refuse(str(error)))
            return
        space = self._driver.node.state.spaces[requested.space]
        self._mail(joiner, issuer.accept(space.log.heads))

    async def _admit(self, requested: JoinRequested) -> None:
        """Take the device in, unless it was; on disk before it hears of it, else it could be taken in twice."""
        space = self._driver.node.state.spaces.get(requested.space)
        if space is None:
            raise TicketError("the space of this ticket is not here any more")
        device = requested.device.key
        if space.log.member_of(device) is None and requested.member in space.log.members():
            raise TicketError("the id that this device chose for its member belongs to another member")
        now_ms = int(time.time() * 1000)
        row = await self._write(lambda conn: ticket_rows.redeem(conn, requested.ticket_id, device, now_ms))
        if space.log.role_of(device) is None:
            operations = tuple(self._grant(space, requested, Role(row.role)))
            await self._write(lambda conn: rows.store_operations(conn, StoreOperations(space.id, operations)))
            self._driver.feed(OperationsAuthored(space.id, operations))

    def _grant(self, space: SpaceState, requested: JoinRequested, role: Role) -> list[Operation]:
        now_ms = int(time.time() * 1000)
        if len(space.log.heads) > MOST_PARENTS:
            merges = merge_heads(space.log, self._identity.signer, time=self._clock.tick(now_ms))
            self._driver.feed(OperationsAuthored(space.id, tuple(merges)))
        added = add_member(
            space.log,
            self._identity.signer,
            member=requested.member,
            role=role,
            devices=(requested.device,),
            time=self._clock.tick(now_ms),
        )
        operations = [added]
        if role >= Role.READER:
            operations += wrap_keys(
                space.log,
                self._identity.signer,
                keys=space.keys,
                recipients=(requested.device.sealing_key,),
                parents=(added.id,),
                time=self._clock.tick(now_ms),
            )
        return operations

    # Joining

    async def join(self, text: str, name: str, timeout_s: float) -> SpaceId:
        """Talk to the issuer until this device is a member and has a key; where it is, only while it goes on.

        Raises `TicketError`, `LimitExceeded` and `Unreachable`.
        """
        ticket = Ticket.parse(text)
        if ticket.issuer == self._identity.device:
            raise TicketError("this ticket was issued by this device", hint="use it on another one")
        await self._write(lambda conn: rows.check_room(conn, ticket.space, self._limits))
        state = self._driver.node.state.spaces.get(ticket.space)
        if state is not None and state.keys and state.log.role_of(self._identity.device) is not None:
            self._driver.spawn(self._join_again(ticket, name, timeout_s), "join again")
            return ticket.space
        await self._write(lambda conn: ticket_rows.note_join(conn, ticket.space, _where(ticket)))
        try:
            with self._connections.on_trial(lambda: ticket.space in self._driver.node.state.spaces):
                await self._join(ticket, name, timeout_s)
        except TicketError:
            await self._write(lambda conn: ticket_rows.forget_join(conn, ticket.space))
            raise
        return ticket.space

    async def unfinished(self) -> str | None:
        """Where others were looked for in the join that was begun last, unless it was refused; empty if unknown."""
        return await self._write(ticket_rows.noted_join)

    async def _write(self, job: Callable[[Connection], T]) -> T:
        return await asyncio.wrap_future(self._driver.store.write(job))

    async def _join_again(self, ticket: Ticket, name: str, timeout_s: float) -> None:
        """A device that was put back from a backup may have forgotten that it took this one in."""
        try:
            await self._join(ticket, name, timeout_s)
        except LichenError as error:
            log.info("a ticket was not answered again: %s", error)

    async def _join(self, ticket: Ticket, name: str, timeout_s: float) -> None:
        urls = self._dial(ticket.hints)
        if not self._connections.dialled and not self._connections.addresses:
            raise Unreachable(
                "the ticket does not say where its issuer can be reached, and this device knows no address",
                hint="name the relay of who invited you, or their device: --connect URL, or Engine.connect",
            )
        try:
            async with asyncio.timeout(timeout_s):
                accepted = await self._converse(ticket, name)
                await self._enter(ticket, accepted, urls)
        except TimeoutError:
            raise self._unanswered(timeout_s) from None

    def _unanswered(self, timeout_s: float) -> Unreachable:
        dialled = self._connections.dialled.values()
        away = [one.error for one in dialled if one.state != "connected" and one.error]
        if away and not self._linked():
            return Unreachable(
                f"nobody answered within {timeout_s:g} s: {'; '.join(away)}",
                hint="the program of who invited you, or its relay, must be running there; then try again",
            )
        return Unreachable(
            f"who issued the ticket did not answer within {timeout_s:g} s",
            hint="the device that made the ticket must be online, or come online; then try again",
        )

    def progress(self, waited_s: int, timeout_s: float) -> JoinProgress:
        """How a join stands that goes on."""
        dialled = self._connections.dialled.values()
        unreached = tuple(one.address for one in dialled if one.state != "connected")
        return JoinProgress(waited_s, timeout_s, unreached, self._linked())

    def _dial(self, urls: Sequence[str]) -> list[str]:
        """Dial these, and return them: without addresses of a kind that this device does not know."""
        dialled = []
        for url in urls:
            with contextlib.suppress(ConfigError):
                self._connections.connect(url)
                dialled.append(url)
        return dialled

    async def _converse(self, ticket: Ticket, name: str) -> Accepted:
        """Converse until there is an answer: again from the start when the issuer has forgotten what was said."""
        member = MemberId(os.urandom(16))
        while True:
            conversation = os.urandom(16)
            joiner = Joiner(
                self._identity,
                ticket,
                ephemeral=os.urandom(32),
                conversation=conversation,
                member=member,
                name=name,
            )
            joining = _Joining(ticket, joiner, asyncio.get_running_loop().create_future())
            self._joinings[conversation] = joining
            try:
                if await self._ask(joining):
                    return joining.answered.result()
            finally:
                del self._joinings[conversation]

    async def _ask(self, joining: _Joining) -> bool:
        """Mail what is to be said until there is an answer: True, or False when the request goes unheard."""
        unheard = 0
        while not joining.answered.done():
            self._mail(joining.ticket.issuer, joining.joiner.pending)
            unheard += joining.joiner.asked and self._linked()
            if unheard > MOST_REPEATS:
                return False
            await asyncio.wait([joining.answered], timeout=REPEAT_S if self._linked() else 0.05)
        return True

    def _linked(self) -> bool:
        return any(link.hello is not None for link in self._driver.node.state.links.values())

    async def _enter(self, ticket: Ticket, accepted: Accepted, urls: Sequence[str]) -> None:
        if ticket.space not in self._driver.node.state.spaces:
            now_ms = int(time.time() * 1000)
            await self._write(lambda conn: ticket_rows.add_joined(conn, ticket, urls, now_ms, self._limits))
            self._driver.feed(SpaceLoaded(ticket.space, (), (), (), ticket.issuer))
        space = self._driver.node.state.spaces[ticket.space]
        while space.log.role_of(self._identity.device) is None or not space.keys:
            self._space_changed.clear()
            await self._space_changed.wait()

    def forget(self, space: SpaceId) -> None:
        """The space is not here any more, and its tickets are good for nothing."""
        self._open_tickets = {ticket: one for ticket, one in self._open_tickets.items() if one.space != space}

    def space_changed(self, _space: SpaceId) -> None:
        """The access log or keys of some space have changed."""
        self._space_changed.set()

    # Mail

    def _mail(self, to: DeviceKey, body: bytes) -> None:
        self._driver.feed(MailWritten(to, body))

    def mail(self, sender: DeviceKey, body: bytes) -> None:
        """Mail came. What is malformed, or belongs to nothing here, is dropped."""
        try:
            self._read(sender, body)
        except ProtocolError as error:
            log.info("mail from %s was dropped: %s", sender.hex()[:12], error)

    def _read(self, sender: DeviceKey, body: bytes) -> None:
        conversation = body[:16]
        joining = self._joinings.get(conversation)
        if joining is not None:
            self._read_answer(joining, body)
            return
        issuer = self._issuers.get(conversation) or Issuer(
            self._identity, ephemeral=os.urandom(32), lookup=self._open_tickets.get
        )
        outcome = issuer.receive(body)
        if outcome is not None:  # what begins no conversation must not push one out
            self._keep(conversation, issuer)
        if isinstance(outcome, JoinRequested):
            self._driver.spawn(self._answer(issuer, outcome, sender), "answer a ticket")
        elif outcome is not None:
            self._mail(sender, outcome)

    def _keep(self, conversation: bytes, issuer: Issuer) -> None:
        self._issuers[conversation] = issuer
        if len(self._issuers) > MOST_CONVERSATIONS:
            self._issuers.popitem(last=False)

    def _read_answer(self, joining: _Joining, body: bytes) -> None:
        before = joining.joiner.pending
        try:
            accepted = joining.joiner.receive(body)
        except TicketError as error:
            if not joining.answered.done():
                joining.answered.set_exception(error)
            return
        if accepted is not None and not joining.answered.done():
            joining.answered.set_result(accepted)
        elif joining.joiner.pending != before:
            self._mail(joining.ticket.issuer, joining.joiner.pending)


def _where(ticket: Ticket) -> str:
    """The addresses of a ticket without tokens, as far as they can be shown."""
    addresses = []
    for hint in ticket.hints[:SHOWN]:
        with contextlib.suppress(ConfigError):
            addresses.append(split_token(hint)[0])
    return " and ".join(filter(str.isprintable, addresses))
