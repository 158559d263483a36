"""A relay: verifies, stores and forwards sealed change sets, carries signals and keeps mail; it holds no epoch key.

It is the same node as a device has, without keys: it judges change sets by their headers alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from lichen.config import DEFAULT_LIMITS, Limits
from lichen.core import effects as do
from lichen.core.node import Node
from lichen.crypto.identity import Identity
from lichen.ids import DeviceKey, DocId, Session, SpaceId
from lichen.relay.capture import Capture
from lichen.runtime import rows
from lichen.runtime.connections import Connections
from lichen.runtime.driver import Driver
from lichen.runtime.opening import open_for
from lichen.store import Store

MAIL_SWEEP_S = 3_600.0
"""How often mail that was kept too long is dropped."""


class Relay:
    """One relay node. Open it with `Relay.open`, then `listen`."""

    def __init__(
        self, store: Store, identity: Identity, store_id: bytes, token: bytes, capture: Capture | None, limits: Limits
    ) -> None:
        self.identity = identity
        self.store = store
        self.limits = limits
        self._capture = capture
        session = Session(os.urandom(16))
        self._node = Node(identity, session, store_id, os.urandom(32), relay=True, token=token, limits=limits)
        self._driver = Driver(self._node, store, self, limits, tap=None if capture is None else capture.tap)
        self._connections = Connections(self._driver, identity, limits, lambda: None)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        passphrase: str | None = None,
        token: str = "",
        capture: Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> AsyncIterator[Relay]:
        """Open the relay's store, made when it is not there.

        With no passphrase its key lies in a file beside it. With a `token`, only devices that show it may bring new
        spaces. `capture` is a folder that receives everything that crosses the relay, for tests. Raises `StoreError`.
        """
        async with open_for(url, passphrase=passphrase, create=True, limits=limits) as store:
            identity, store_id = await asyncio.wrap_future(store.write(rows.load_identity))
            relay = cls(store, identity, store_id, token.encode(), Capture(capture) if capture else None, limits)
            async with relay._driver.running():
                try:
                    for space in await asyncio.wrap_future(store.write(rows.load_spaces)):
                        relay._driver.feed(space)
                    relay._driver.spawn(relay._sweep(), "mail sweep")
                    yield relay
                finally:
                    await relay._connections.close()
                    await relay._driver.close()

    async def listen(self, url: str) -> str:
        """Accept links at an address; returns it with the port that was bound. Raises `Unreachable`."""
        return await self._connections.listen(url)

    @property
    def device(self) -> DeviceKey:
        """The relay's own key."""
        return self.identity.device

    @property
    def status(self) -> dict[str, int]:
        """How many spaces, links and change sets it holds."""
        spaces = self._node.state.spaces.values()
        return {
            "spaces": len(spaces),
            "links": len(self._driver.links),
            "change_sets": sum(len(space.known) for space in spaces),
        }

    async def _sweep(self) -> None:
        while True:
            self.store.write_soon(lambda conn: rows.expire_mail(conn, self.limits), lambda _result, _error: None)
            await asyncio.sleep(MAIL_SWEEP_S)

    # For the driver (`lichen.runtime.driver.Application`): a relay has no application above it

    def sets_accepted(self, effect: do.StoreSets) -> None:
        """Nothing is applied here."""

    def sets_lost(self, space: SpaceId, docs: set[DocId]) -> None:
        """Nothing was applied here."""

    def connect_direct(self, peer: DeviceKey, *, offers: bool) -> None:
        """A relay opens no direct paths."""

    def signal(self, peer: DeviceKey, payload: bytes) -> None:
        """A relay is no end of a direct path."""

    def mail(self, sender: DeviceKey, body: bytes) -> None:
        """A relay issues no tickets: mail to itself has no reader."""

    def tell(self, effect: do.Effect) -> None:
        """Nobody listens here."""
