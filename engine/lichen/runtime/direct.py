"""Direct paths: carries out one attempt at a time for each peer."""

from __future__ import annotations

import asyncio
import logging
import os

from lichen.config import Limits
from lichen.core.events import DirectEnabled, DirectFailed, SignalWritten
from lichen.crypto.identity import Identity
from lichen.errors import LichenError
from lichen.ids import DeviceKey
from lichen.runtime.driver import Driver
from lichen.runtime.link import shake_hands
from lichen.transport import SignalledTransport

log = logging.getLogger("lichen.direct")

WAITING_SIGNALS = 64
"""Most signals of one peer that may wait to be read; further ones are dropped, as signals may be."""


class _SignalBox:
    """The mailbox between two devices that negotiate a direct path."""

    def __init__(self, driver: Driver, peer: DeviceKey) -> None:
        self._driver = driver
        self._peer = peer
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue(WAITING_SIGNALS)

    async def send(self, signal: bytes) -> None:
        """Send one signal, sealed, over a relay that both are connected to."""
        self._driver.feed(SignalWritten(self._peer, signal))

    async def receive(self) -> bytes:
        """The next signal from the peer."""
        return await self._arrived.get()

    def put(self, signal: bytes) -> None:
        """A signal came."""
        if not self._arrived.full():
            self._arrived.put_nowait(signal)


class DirectPaths:
    """Opens direct paths with one signalled transport, once `enable` was called."""

    def __init__(self, driver: Driver, identity: Identity, limits: Limits) -> None:
        self._driver = driver
        self._identity = identity
        self._limits = limits
        self._transport: SignalledTransport | None = None
        self._boxes: dict[DeviceKey, _SignalBox] = {}

    def enable(self, transport: SignalledTransport) -> None:
        """Open direct paths with this transport from now on."""
        self._transport = transport
        self._driver.feed(DirectEnabled())

    def connect(self, peer: DeviceKey, *, offers: bool) -> None:
        """Start an attempt; an offer fails at once while an attempt with this peer is running."""
        if self._transport is None or peer in self._boxes:
            if offers:
                self._driver.feed(DirectFailed(peer))
            return
        self._boxes[peer] = _SignalBox(self._driver, peer)
        self._driver.spawn(self._attempt(self._transport, peer, offers), f"direct {peer.hex()[:8]}")

    def signal(self, peer: DeviceKey, payload: bytes) -> None:
        """A signal came: for the running attempt, or to begin answering one."""
        if self._transport is None:
            return
        self.connect(peer, offers=False)
        self._boxes[peer].put(payload)

    async def _attempt(self, transport: SignalledTransport, peer: DeviceKey, offers: bool) -> None:
        box = self._boxes[peer]
        opened = False
        try:
            async with asyncio.timeout(self._limits.direct_s):
                channel = await transport.connect(box, offers=offers, message_bytes=self._limits.frame_bytes)
            try:
                hands = await shake_hands(
                    channel,
                    self._identity,
                    initiator=offers,
                    ephemeral=os.urandom(32),
                    limits=self._limits,
                    expected=peer,
                )
                opened = True
                self._boxes.pop(peer, None)
                await self._driver.run_link(channel, hands, dialled=False)
            finally:
                await channel.close()
        except (LichenError, TimeoutError) as error:
            log.info("no direct path to %s: %s", peer.hex()[:12], error or "it took too long")
        finally:
            if not opened:
                self._boxes.pop(peer, None)
                if offers:
                    self._driver.feed(DirectFailed(peer))
