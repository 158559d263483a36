"""Channels inside one process, for tests and for several engines in one program.

An address is `memory://name`. Both ends live on one event loop.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass

from lichen.errors import ConfigError, LinkBroken, LinkClosed, Unreachable

_SCHEME = "memory://"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimits:
    """What waits inside a memory path."""

    queue_bytes: int = 1024 * 1024
    """A sender waits while this many bytes, each message counted as at least 64, are unread by the other side."""
    backlog: int = 64
    """Most dialled channels that wait to be accepted; above, a dial is refused."""


_MESSAGE_OVERHEAD = 64


class _Pipe:
    """One direction: a bounded queue with one reader and any number of writers."""

    def __init__(self, message_bytes: int, limits: MemoryLimits) -> None:
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self._message_bytes = message_bytes
        self._limit = limits.queue_bytes
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.ended = False
        self.oversize = False

    def wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    @property
    def full(self) -> bool:
        return self._bytes >= self._limit

    @property
    def empty(self) -> bool:
        return not self._messages

    def put(self, message: bytes) -> None:
        if len(message) > self._message_bytes:
            self.oversize = self.ended = True
        else:
            self._messages.append(message)
            self._bytes += len(message) + _MESSAGE_OVERHEAD
        self.wake()

    def take(self) -> bytes:
        message = self._messages.popleft()
        self._bytes -= len(message) + _MESSAGE_OVERHEAD
        self.wake()
        return message


class MemoryChannel:
    """One end of a path inside the process. One task at a time may receive; any number may send."""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe, remote: str) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._remote = remote
        self._closed = False

    @property
    def path(self) -> str:
        """`"memory"`."""
        return "memory"

    @property
    def binding(self) -> bytes:
        """Empty: the path has nothing of its own to bind to."""
        return b""

    @property
    def remote(self) -> str:
        """The address that was dialled, or `dialler of` it."""
        return self._remote

    async def send(self, message: bytes) -> None:
        """Queue one message; waits while the other side has too much unread.

        Raises `LinkClosed` after `close`, `LinkBroken` when the other side ended it.
        """
        self._check_open()
        while self._outgoing.full:
            await self._outgoing.wait()
            self._check_open()
        self._outgoing.put(bytes(message))

    async def receive(self) -> bytes:
        """The next message. What the other side sent before it closed is still delivered."""
        while True:
            if self._closed:
                raise LinkClosed(f"the link to {self._remote} was closed here")
            if not self._incoming.empty:
                return self._incoming.take()
            if self._incoming.ended:
                self._break()
                raise self._broken()
            await self._incoming.wait()

    async def close(self) -> None:
        """End it for both sides. Idempotent; returns at once."""
        self._closed = True
        self._break()

    def _break(self) -> None:
        for pipe in (self._outgoing, self._incoming):
            pipe.ended = True
            pipe.wake()

    def _check_open(self) -> None:
        if self._closed:
            raise LinkClosed(f"the link to {self._remote} was closed here")
        if self._outgoing.ended:
            raise self._broken()

    def _broken(self) -> LinkBroken:
        if self._incoming.oversize or self._outgoing.oversize:
            return LinkBroken(f"a message was larger than the link to {self._remote} allows")
        return LinkBroken(f"{self._remote} closed the link")


def pair(
    *, message_bytes: int, limits: MemoryLimits | None = None, name: str = "pair"
) -> tuple[MemoryChannel, MemoryChannel]:
    """Two connected ends, without any listener."""
    limits = limits or MemoryLimits()
    there, back = _Pipe(message_bytes, limits), _Pipe(message_bytes, limits)
    return (
        MemoryChannel(there, back, f"{_SCHEME}{name}"),
        MemoryChannel(back, there, f"dialler of {_SCHEME}{name}"),
    )


class MemoryListener:
    """Accepts channels dialled to one name."""

    def __init__(self, transport: MemoryTransport, name: str, message_bytes: int, limits: MemoryLimits) -> None:
        self._transport = transport
        self._name = name
        self._message_bytes = message_bytes
        self._limits = limits
        self._waiting: deque[MemoryChannel] = deque()
        self._arrived = asyncio.Condition()
        self._closed = False

    @property
    def address(self) -> str:
        """`memory://name`."""
        return f"{_SCHEME}{self._name}"

    async def accept(self) -> MemoryChannel:
        """The next incoming channel. Raises `LinkClosed` after `close`."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                raise LinkClosed(f"{self.address} no longer listens")
            return self._waiting.popleft()

    async def close(self) -> None:
        """Stop accepting; channels already accepted live on, the others are closed."""
        self._transport.forget(self._name, self)
        async with self._arrived:
            self._closed = True
            self._arrived.notify_all()
        while self._waiting:
            await self._waiting.popleft().close()

    async def arrive(self, message_bytes: int) -> MemoryChannel:
        """Make a channel for a dialler. The smaller of both sides' message sizes holds for both directions."""
        if len(self._waiting) >= self._limits.backlog:
            raise Unreachable(f"{self.address} accepts too slowly", hint="try again")
        dialled, accepted = pair(
            message_bytes=min(message_bytes, self._message_bytes), limits=self._limits, name=self._name
        )
        async with self._arrived:
            if self._closed:
                raise Unreachable(f"{self.address} no longer listens")
            self._waiting.append(accepted)
            self._arrived.notify()
        return dialled


class MemoryTransport:
    """Dials and listens at `memory://name`. An empty name lets the transport choose one."""

    def __init__(self, limits: MemoryLimits | None = None) -> None:
        self._limits = limits or MemoryLimits()
        self._listeners: dict[str, MemoryListener] = {}
        self._numbers = itertools.count(1)

    async def dial(self, url: str, *, message_bytes: int) -> MemoryChannel:
        """Open a channel. Raises `Unreachable` where nobody listens, `ConfigError` for another scheme."""
        name = _name(url)
        listener = self._listeners.get(name)
        if listener is None:
            raise Unreachable(f"nobody listens at {_SCHEME}{name}", hint="memory addresses reach this process only")
        return await listener.arrive(message_bytes)

    async def listen(self, url: str, *, message_bytes: int) -> MemoryListener:
        """Listen at a name. Raises `Unreachable` when it is taken."""
        name = _name(url) or f"{next(self._numbers)}"
        if name in self._listeners:
            raise Unreachable(f"{_SCHEME}{name} is taken", hint="choose another name")
        listener = MemoryListener(self, name, message_bytes, self._limits)
        self._listeners[name] = listener
        return listener

    def forget(self, name: str, listener: MemoryListener) -> None:
        """Called by a listener that closes."""
        if self._listeners.get(name) is listener:
            del self._listeners[name]


def _name(url: str) -> str:
    if not url.startswith(_SCHEME):
        raise ConfigError(f"not a memory address: {url!r}", hint=f"write {_SCHEME}NAME")
    return url[len(_SCHEME) :].rstrip("/")


transport = MemoryTransport()
"""The entry point of scheme `memory`."""
