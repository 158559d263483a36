"""How a device comes into a space: it founds it, or joins it with a ticket; and what its member is called there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time

from lichen.api.cards import CARD_NONCE, Cards, card_id, checked_name
from lichen.api.document import Transaction
from lichen.api.readers import Readers
from lichen.config import Limits
from lichen.core.access.authoring import found_space
from lichen.core.events import SpaceLoaded
from lichen.core.hlc import Clock
from lichen.core.space import SpaceState
from lichen.crypto.identity import Identity
from lichen.errors import ConfigError, NotFound, Unreachable
from lichen.ids import MemberId, SpaceId
from lichen.runtime import rows
from lichen.runtime.documents import Documents
from lichen.runtime.driver import Driver
from lichen.runtime.joining import Joining
from lichen.wire.operation import Role


class Entering:
    """For one device."""

    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        limits: Limits,
        driver: Driver,
        documents: Documents,
        joining: Joining,
        cards: Cards,
        readers: Readers,
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._limits = limits
        self._driver = driver
        self._documents = documents
        self._joining = joining
        self._cards = cards
        self._readers = readers

    async def found(self, name: str, member_name: str) -> tuple[SpaceId, str]:
        """A new space, and its recovery key as text. Raises `ConfigError` for a name, and `LimitExceeded`."""
        name, member_name = checked_name(name, "a space"), checked_name(member_name, "a member")
        if not name:
            raise ConfigError("a space needs a name", hint="choose one that its members will recognise")
        now_ms = int(time.time() * 1000)
        founded = found_space(
            self._identity,
            member=MemberId(os.urandom(16)),
            nonce=os.urandom(32),
            recovery_seed=os.urandom(32),
            epoch_key=(epoch_key := os.urandom(32)),
            time=self._clock.tick(now_ms),
        )
        members = {founded.member.hex(): member_name} if member_name else {}
        card, created = self._documents.draft(founded.space, CARD_NONCE, {"title": name, "members": members}, now_ms)

        def begin() -> None:
            keys = ((founded.epoch, epoch_key),)
            self._driver.feed(SpaceLoaded(founded.space, founded.operations, (), keys))
            self._documents.begin(card, created)

        await card.write(lambda conn: rows.add_founded(conn, founded, epoch_key, created, self._limits), begin)
        return founded.space, founded.recovery_key.text

    async def join(self, ticket: str, name: str, timeout_s: float) -> SpaceId:
        """Join the space of a ticket: returns when its issuer has answered and the space's card is here."""
        name = checked_name(name, "a member")
        space_id = await self._joining.join(ticket, name, timeout_s)
        space = self._driver.node.state.spaces[space_id]
        try:
            async with asyncio.timeout(self._limits.join_s):
                await self._readers.until(lambda: _card_here(space))
        except TimeoutError:
            raise Unreachable(
                f"this device is a member of space {space_id.hex()[:12]} now, but nothing of it has come",
                hint="stay connected: it comes as soon as a device of the space, or its relay, is there",
            ) from None
        await self.load_card(space)
        if name and (space.log.role_of(self._identity.device) or 0) >= Role.WRITER:
            await self.name_member(space, name)
        return space_id

    async def load_card(self, space: SpaceState) -> None:
        """Know the names on a space's card, if it is here."""
        genesis = space.log.genesis
        if genesis is not None:
            with contextlib.suppress(NotFound):
                self._cards.read(await self._documents.get(card_id(genesis)))

    async def name_member(self, space: SpaceState, name: str) -> None:
        """Write on a space's card what this member, who may write there, calls itself."""
        name = checked_name(name, "a member")
        member = space.log.member_of(self._identity.device)
        if space.log.genesis is None or member is None:
            raise NotFound(f"this device is not in space {space.id.hex()[:12]} yet")
        card = await self._documents.get(card_id(space.log.genesis))
        async with Transaction(card, "name") as crdt:
            crdt["members"][member.hex()] = name


def _card_here(space: SpaceState) -> bool:
    return space.log.genesis is not None and space.holds(card_id(space.log.genesis))
