"""A link: the handshake over a channel, then messages both ways, in order.

A message longer than a frame travels in pieces. Each frame's plaintext begins with one byte: 0 for the last (or only)
piece of a message, 1 for any other. Change sets are packed with the link's dictionaries (`lichen.wire.dictionary`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lichen.config import KIB, Limits
from lichen.crypto.identity import Identity
from lichen.crypto.link import LinkCiphers, LinkHandshake
from lichen.errors import HandshakeFailed, LichenError, LinkBroken, LinkClosed, ProtocolError
from lichen.ids import DeviceKey
from lichen.transport import Channel
from lichen.wire import frames
from lichen.wire.dictionary import Packer, Unpacker

LAST = b"\x00"
MORE = b"\x01"
FRAME_OVERHEAD = 64
"""What a frame's seal and leading byte may add, at most."""
CLOSE_S = 2.0
"""Longest time that closing a channel may take."""
SLICE_S = 0.004
"""So long what has come is taken in without a pause, before the loop is left to others."""


Tap = Callable[[str, DeviceKey, bytes], None]
"""Told of every message: its direction (`in`, `out`), the peer, its bytes."""


@dataclass(frozen=True, slots=True)
class Handshaken:
    """What a successful handshake gives."""

    peer: DeviceKey
    hash: bytes
    ciphers: LinkCiphers


async def shake_hands(
    channel: Channel,
    identity: Identity,
    *,
    initiator: bool,
    ephemeral: bytes,
    limits: Limits,
    expected: DeviceKey | None = None,
) -> Handshaken:
    """Authenticate both ends of a channel.

    Raises `HandshakeFailed`, also when it takes longer than `limits.handshake_s`, and `LinkError` when the channel
    ends.
    """
    prologue = b"\x00".join((b"lichen/link/v1", channel.path.encode(), channel.binding))
    machine = LinkHandshake(identity, initiator=initiator, prologue=prologue, ephemeral=ephemeral, expected=expected)
    try:
        async with asyncio.timeout(limits.handshake_s):
            return await _exchange(channel, machine, initiator, limits)
    except TimeoutError as error:
        raise HandshakeFailed(f"{channel.remote} did not finish the handshake in {limits.handshake_s:g} s") from error


async def _exchange(channel: Channel, machine: LinkHandshake, initiator: bool, limits: Limits) -> Handshaken:
    received: bytes | None = None
    if not initiator:
        received = await _bounded(channel, limits)
    while True:
        reply = machine.step(received)
        if reply is not None:
            await channel.send(reply)
        if machine.done:
            return Handshaken(machine.peer, machine.handshake_hash, machine.session)
        received = await _bounded(channel, limits)


async def _bounded(channel: Channel, limits: Limits) -> bytes:
    message = await channel.receive()
    if len(message) > limits.handshake_bytes:
        raise HandshakeFailed(f"{channel.remote} sent {len(message)} bytes before it had authenticated itself")
    return message


class Link:
    """An authenticated, encrypted connection to one peer. `run` lives as long as the link does."""

    def __init__(
        self,
        number: int,
        channel: Channel,
        hands: Handshaken,
        limits: Limits,
        *,
        arrived: Callable[[int, frames.Message], None],
        congested: Callable[[int], None],
        drained: Callable[[int], None],
        tap: Tap | None = None,
    ) -> None:
        self.number = number
        self.peer = hands.peer
        self.channel = channel
        self.handshake_hash = hands.hash
        self.reason = ""
        """Why the link ended, once it has."""
        self.bytes_sent = 0
        self.bytes_received = 0
        self._ciphers = hands.ciphers
        self._limits = limits
        self._arrived = arrived
        self._congested_callback = congested
        self._drained_callback = drained
        self._tap = tap
        self._packer = Packer()
        self._unpacker = Unpacker()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._is_congested = False
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = asyncio.Event()
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self._last_sent = self._last_received = asyncio.get_running_loop().time()

    # Sending

    def send(self, message: frames.Message) -> None:
        """Queue a message; never blocks. Above the queue's bound the node is told that the link is congested."""
        if self._closing.is_set():
            return
        if isinstance(message, frames.Sets):
            message = frames.Sets(message.space, tuple(self._packer.pack(body) for body in message.sets))
        data = frames.encode(message)
        if self._tap is not None:
            self._tap("out", self.peer, data)
        size = self._limits.frame_bytes - FRAME_OVERHEAD
        for start in range(0, len(data), size):
            last = start + size >= len(data)
            self._queue.append((LAST if last else MORE) + data[start : start + size])
        self._queued_bytes += len(data)
        self._something.set()
        if self._queued_bytes > self._limits.send_queue_most_bytes:
            self.close("the peer does not read what it is sent")
            return
        if self._queued_bytes > self._limits.send_queue_bytes // 2:
            self._room.clear()
        if self._queued_bytes > self._limits.send_queue_bytes and not self._is_congested:
            self._is_congested = True
            self._congested_callback(self.number)

    @property
    def queued(self) -> bool:
        """Something waits to be sent."""
        return bool(self._queue)

    async def room(self) -> None:
        """Wait until the queue is at most half full, or the link ends."""
        await self._room.wait()

    def close(self, reason: str) -> None:
        """End the link; `run` returns soon after."""
        if not self._closing.is_set():
            self.reason = reason
            self._closing.set()
            self._room.set()
            self._something.set()

    # Living

    async def run(self) -> None:
        """Send and receive until either side, or the path, ends the link; then close the channel."""
        tasks = [
            asyncio.create_task(self._guard(loop()), name=f"link {self.number} {loop.__name__}")
            for loop in (self._send_loop, self._receive_loop, self._watch_loop)
        ]
        try:
            await self._closing.wait()
        finally:
            self.close("this side is closing")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(LichenError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self.channel.close()

    async def _guard(self, loop: Awaitable[None]) -> None:
        try:
            await loop
        except (LinkClosed, LinkBroken, ProtocolError) as error:
            self.close(str(error))
        except Exception as error:
            self.close(f"{type(error).__name__}: {error}")
            raise

    async def _send_loop(self) -> None:
        while True:
            await self._something.wait()
            while self._queue:
                plain = self._queue.popleft()
                sealed = self._ciphers.seal(plain)
                self._queued_bytes -= len(plain) - 1
                self._last_sent = asyncio.get_running_loop().time()
                self.bytes_sent += len(sealed)
                await self.channel.send(sealed)
                self._make_room()
            self._something.clear()

    def _make_room(self) -> None:
        if self._queued_bytes <= self._limits.send_queue_bytes // 2:
            self._room.set()
            if self._is_congested:
                self._is_congested = False
                self._drained_callback(self.number)

    async def _receive_loop(self) -> None:
        time = asyncio.get_running_loop().time
        rests = time() + SLICE_S
        while True:
            sealed = await self.channel.receive()
            self._last_received = now = time()
            self.bytes_received += len(sealed)
            plain = self._ciphers.open(sealed)
            self._piece(plain)
            if now > rests:  # what has come already is received without a pause
                await asyncio.sleep(0)
                rests = time() + SLICE_S

    def _piece(self, plain: bytes) -> None:
        flag, piece = plain[:1], plain[1:]
        if flag not in (LAST, MORE):
            raise ProtocolError("a frame does not begin with a known flag")
        self._pieces_bytes += len(piece)
        if self._pieces_bytes > self._limits.object_bytes + 512 * KIB:
            raise ProtocolError("a message in pieces is larger than any object")
        self._pieces.append(piece)
        if flag == LAST:
            data = b"".join(self._pieces)
            self._pieces, self._pieces_bytes = [], 0
            if self._tap is not None:
                self._tap("in", self.peer, data)
            self._deliver(frames.decode(data, self._limits))

    def _deliver(self, message: frames.Message) -> None:
        if isinstance(message, frames.Sets):
            message = frames.Sets(message.space, tuple(self._unpacker.unpack(packed) for packed in message.sets))
        self._arrived(self.number, message)

    async def _watch_loop(self) -> None:
        """Say something when there is nothing to say; end the link when the peer does not; renew the key in time."""
        loop = asyncio.get_running_loop()
        keyed = loop.time()
        while True:
            due = loop.time() + self._limits.heartbeat_s / 2
            await asyncio.sleep(self._limits.heartbeat_s / 2)
            now = loop.time()
            # while this process did not come to listen, as during a large edit, the peer was not silent
            self._last_received = min(now, self._last_received + max(0.0, now - due))
            if now - keyed >= self._limits.rekey_s:
                self._ciphers.want_new_key()
                keyed = now
            if now - self._last_received > self._limits.silence_s:
                raise LinkBroken(f"nothing came from the peer for {self._limits.silence_s:g} s")
            if now - self._last_sent >= self._limits.heartbeat_s:
                self.send(frames.Beat())
