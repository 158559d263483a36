"""Addresses that are dialled for as long as they are wanted, and addresses that are listened at."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator

from lichen.config import Limits
from lichen.crypto.identity import Identity
from lichen.errors import LichenError, LinkClosed
from lichen.runtime.driver import Driver
from lichen.runtime.link import shake_hands
from lichen.runtime.transports import split_token, transport_for
from lichen.transport import Channel, Listener

log = logging.getLogger("lichen.connections")

GREETERS = 256
"""Most incoming channels that may be in their handshake at once; above, the one that has taken longest gives way."""
STEADY_S = 5.0
"""A link that lived this long resets the pause before its address is dialled again."""


class Connection:
    """One address that is dialled again whenever its link ends."""

    def __init__(self, url: str, changed: Callable[[], None]) -> None:
        self.url = url
        self.address = split_token(url)[0]
        """The URL without the token that a relay asks for: what may be shown."""
        self.state = "connecting"
        """`connecting`, `connected`, `waiting` (for the next try) or `closed`."""
        self.error = ""
        """Why it is not connected."""
        self.connected = asyncio.Event()
        self.tried = asyncio.Event()
        """Set after the first try, whatever came of it."""
        self._changed = changed
        self._decided = asyncio.Event()
        """It is connected, or closed."""
        self._task: asyncio.Task[None] | None = None

    def set_state(self, state: str, error: str = "") -> None:
        """Note how it stands."""
        self.state, self.error = state, error
        if state == "connected":
            self.connected.set()
        else:
            self.connected.clear()
        if state in ("connected", "closed"):
            self._decided.set()
        else:
            self._decided.clear()
        if state != "connecting":
            self.tried.set()
        self._changed()

    async def reached(self) -> bool:
        """Whether it came to be connected before it was closed: returns when that is known."""
        await self._decided.wait()
        return self.state == "connected"

    def run_as(self, task: asyncio.Task[None] | None) -> None:
        """The task that keeps it connected."""
        self._task = task

    def close(self) -> None:
        """Stop dialling, and end the link."""
        if self._task is not None:
            self._task.cancel()
        self.set_state("closed")


class Connections:
    """Dials and listens for one node."""

    def __init__(self, driver: Driver, identity: Identity, limits: Limits, changed: Callable[[], None]) -> None:
        self._driver = driver
        self._identity = identity
        self._limits = limits
        self._changed = changed
        self._greeting: dict[asyncio.Task[None], None] = {}
        self._listeners: list[Listener] = []
        self._dialled: dict[str, Connection] = {}

    # Dialling

    @property
    def dialled(self) -> dict[str, Connection]:
        """What is dialled now, by its URL."""
        return {url: connection for url, connection in self._dialled.items() if connection.state != "closed"}

    @contextlib.contextmanager
    def on_trial(self, keep: Callable[[], bool]) -> Iterator[None]:
        """What is dialled in this block is dialled no longer, and what it replaced is again, when the block raises and
        `keep` does not hold.
        """
        before = self.dialled
        try:
            yield
        except BaseException:
            if not keep():
                for url, connection in self.dialled.items():
                    if url not in before:
                        connection.close()
                for url in before.keys() - self.dialled.keys():
                    self.connect(url)
            raise

    def connect(self, url: str) -> Connection:
        """Dial an address, with its token, from now on. Raises `ConfigError` for one that no transport can dial."""
        existing = self.dialled.get(url)
        if existing is not None:
            return existing
        address, token = split_token(url)
        transport_for(address)
        connection = Connection(url, self._changed)
        for other in self.dialled.values():
            if other.address == address:
                other.close()
        self._dialled = {**self.dialled, url: connection}
        connection.run_as(self._driver.spawn(self._keep(connection, address, token), f"connect {address}"))
        return connection

    async def _keep(self, connection: Connection, address: str, token: bytes) -> None:
        pause = self._limits.reconnect_min_s
        loop = asyncio.get_running_loop()
        while True:
            connection.set_state("connecting", connection.error)
            began = loop.time()
            try:
                reason = await self._once(connection, address, token)
            except LichenError as error:
                reason = str(error)
            except Exception as error:  # of a transport: it must not end the dialling for good
                log.exception("the link with %s failed", address)
                reason = f"{type(error).__name__}: {error}"
            if loop.time() - began > STEADY_S:
                pause = self._limits.reconnect_min_s
            connection.set_state("waiting", reason)
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))
            pause = min(pause * 2, self._limits.reconnect_max_s)

    async def _once(self, connection: Connection, address: str, token: bytes) -> str:
        channel = await transport_for(address).dial(address, message_bytes=self._limits.frame_bytes)
        async with _closing(channel):
            hands = await shake_hands(
                channel, self._identity, initiator=True, ephemeral=os.urandom(32), limits=self._limits
            )
            connection.set_state("connected")
            return await self._driver.run_link(channel, hands, dialled=True, token=token)

    # Listening

    async def listen(self, url: str) -> str:
        """Listen at an address; returns it with the port that was bound. Raises `Unreachable`, `ConfigError`."""
        listener = await transport_for(url).listen(url, message_bytes=self._limits.frame_bytes)
        self._listeners.append(listener)
        self._driver.spawn(self._accept(listener), f"listen {listener.address}")
        return listener.address

    @property
    def addresses(self) -> list[str]:
        """The addresses listened at."""
        return [listener.address for listener in self._listeners]

    async def _accept(self, listener: Listener) -> None:
        with contextlib.suppress(LinkClosed):
            while True:
                channel = await listener.accept()
                serving = self._driver.spawn(self._serve(channel), f"serve {channel.remote}")
                if serving is None:
                    return
                self._greeting[serving] = None
                serving.add_done_callback(lambda task: self._greeting.pop(task, None))
                if len(self._greeting) > GREETERS:  # who says nothing keeps nobody out
                    longest = next(iter(self._greeting))
                    del self._greeting[longest]
                    longest.cancel()

    async def _serve(self, channel: Channel) -> None:
        async with _closing(channel):
            try:
                hands = await shake_hands(
                    channel, self._identity, initiator=False, ephemeral=os.urandom(32), limits=self._limits
                )
            except LichenError:
                return
            if (serving := asyncio.current_task()) is not None:
                self._greeting.pop(serving, None)
            if self._has_room():
                await self._driver.run_link(channel, hands, dialled=False)

    def _has_room(self) -> bool:
        """Whether one more link may be kept, after one to a stranger was ended for it if need be."""
        living = [link for link in self._driver.links.values() if not link.reason]
        if len(living) < self._limits.links:
            return True
        state = self._driver.node.state
        for link in living:
            on_link = state.links.get(link.number)
            if on_link is not None and not on_link.dialled and not on_link.spaces.keys() & state.spaces.keys():
                link.close("there are too many links, and this one has no space in common with us")
                return True
        return False

    async def close(self) -> None:
        """Stop listening and dialling."""
        for listener in self._listeners:
            await listener.close()
        for connection in self.dialled.values():
            connection.close()


@contextlib.asynccontextmanager
async def _closing(channel: Channel) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(LichenError, TimeoutError):
            async with asyncio.timeout(2.0):
                await channel.close()
