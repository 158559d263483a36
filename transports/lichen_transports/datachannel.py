"""A channel of whole messages over one WebRTC data channel (RFC 8831), with the flow control that it lacks.

A data channel takes whatever is sent and hands over whatever arrives, so a fast sender would fill the memory of both
sides. Here the receiver grants credit: a sender may be `window_bytes` ahead of what the other side's program has taken.

On the data channel (ordered, reliable, agreed beforehand as stream 0, protocol `lichen.v1`):

- a binary message is a pack: one or more messages, each a 4-byte big-endian length and its bytes;
- a text message is a grant: in decimal, the cost of all messages taken so far, where the cost of a message is its
  length plus 64.

A lone message leaves at once, alone in its pack. While a pack waits for the path, what is sent gathers in the next one:
an SCTP packet costs the same whether it carries 50 bytes or 1,150, so small messages are many times cheaper together.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from lichen.errors import LinkBroken, LinkClosed, LinkError

_log = logging.getLogger(__name__)
_LENGTH = struct.Struct(">I")
_GRANT_DIGITS = 20
_OVERHEAD = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChannelLimits:
    """What a data channel path waits for and holds."""

    window_bytes: int = 512 * 1024
    """How far, in cost, a sender may be ahead of what the other side's program has taken. Both sides must agree."""
    send_buffer_bytes: int = 128 * 1024
    """A sender waits while more than this waits here for the path."""
    pack_bytes: int = 32 * 1024
    """Messages are packed together up to this size."""
    close_s: float = 1.0
    """Longest time for delivering what was sent and saying goodbye; then the path is dropped."""


class DataChannel(Protocol):
    """What is used of a data channel."""

    @property
    def bufferedAmount(self) -> int: ...  # noqa: N802 - the library names it so

    @property
    def readyState(self) -> str: ...  # noqa: N802 - the library names it so

    def send(self, data: bytes | str) -> None: ...

    def close(self) -> None: ...

    def on(self, event: str, listener: Callable[..., Any]) -> Any: ...


class WebRtcChannel:
    """One end of a direct path. One task at a time may receive; any number may send.

    `end` tears down everything below the data channel. The channel calls it once, in a task of its own.
    """

    def __init__(
        self, data: DataChannel, end: Callable[[], Any], message_bytes: int, limits: DataChannelLimits
    ) -> None:
        self._data = data
        self._end = end
        self._message_bytes = message_bytes
        self._limits = limits
        self._window = max(limits.window_bytes, 4 * (message_bytes + _OVERHEAD))
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._sent = self._granted_to_us = 0
        self._incoming: deque[bytes] = deque()
        self._arrived = self._taken = self._granted = 0
        self._senders: deque[asyncio.Future[None]] = deque()
        self._receiver: asyncio.Future[None] | None = None
        self._closed = False
        self._broken = ""
        self._ending: asyncio.Task[None] | None = None
        self._drained = asyncio.Event()
        self._gone = asyncio.Event()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._binding = b""
        self._remote = "a direct peer"
        self._listen()

    @property
    def path(self) -> str:
        """`"webrtc"`."""
        return "webrtc"

    @property
    def binding(self) -> bytes:
        """Both certificates' SHA-256 fingerprints, the offerer's first: 64 bytes."""
        return self._binding

    @property
    def remote(self) -> str:
        """The addresses that the other side offered."""
        return self._remote

    def bind(self, binding: bytes, remote: str) -> None:
        """Tell the channel what the path is bound to and who is there, before it is handed out."""
        self._binding = binding
        self._remote = remote

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the path's buffer is full or the other side has too much unread.

        Raises `LinkClosed` after `close`, `LinkBroken` when the path or the other side ended it.
        """
        self._check()
        if len(message) > self._message_bytes:
            self._break(
                f"a message of {len(message)} bytes is larger than the link to {self._remote} allows", flush=True
            )
            raise self._error()
        cost = len(message) + _OVERHEAD
        while self._senders or not self._may_send(cost):
            await self._wait_to_send()
            self._check()
            if self._may_send(cost):
                break
        self._sent += cost
        self._outgoing.append(message)
        self._outgoing_bytes += len(message) + _LENGTH.size
        self._pump()
        self._wake_sender()

    async def receive(self) -> bytes:
        """The next message. What the other side sent before it closed is still delivered."""
        while True:
            if self._closed:
                raise self._error()
            if self._incoming:
                return self._take()
            if self._broken:
                raise self._error()
            self._receiver = asyncio.get_running_loop().create_future()
            await self._receiver

    async def close(self) -> None:
        """End it: delivers what was sent for at most `close_s`, then drops the path. Idempotent."""
        if not self._closed:
            self._closed = True
            self._wake_all()
        await asyncio.shield(self._start_ending(flush=not self._broken))

    # Sending

    def _may_send(self, cost: int) -> bool:
        ahead = self._sent + cost - self._granted_to_us
        return ahead <= self._window and self._outgoing_bytes < self._limits.send_buffer_bytes

    async def _wait_to_send(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._senders.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._senders:
                self._senders.remove(waiter)
            else:
                self._wake_sender()
            raise

    def _wake_sender(self) -> None:
        while self._senders:
            waiter = self._senders.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _pump(self) -> None:
        """Hand packs to the data channel, one ahead of what it is sending."""
        try:
            while self._outgoing and self._data.bufferedAmount == 0 and self._data.readyState == "open":
                self._data.send(self._pack())
        except Exception as error:  # of many kinds, that all mean the same
            _log.debug("data channel refused a message", exc_info=error)
            self._break("the direct path refused a message")
        if not self._outgoing and self._data.bufferedAmount == 0:
            self._drained.set()

    def _pack(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while self._outgoing:
            message = self._outgoing[0]
            if parts and size + _LENGTH.size + len(message) > self._limits.pack_bytes:
                break
            self._outgoing.popleft()
            parts += (_LENGTH.pack(len(message)), message)
            size += _LENGTH.size + len(message)
        self._outgoing_bytes -= size
        return b"".join(parts)

    def _on_low(self) -> None:
        self._pump()
        if self._outgoing_bytes < self._limits.send_buffer_bytes:
            self._wake_sender()

    # Receiving

    def _on_message(self, data: bytes | str) -> None:
        if self._broken:
            return
        if isinstance(data, str):
            self._on_grant(data)
            return
        for message in self._unpack(data):
            self._incoming.append(message)
            self._arrived += len(message) + _OVERHEAD
        if self._arrived - self._taken > self._window:
            self._break(f"{self._remote} sent more than was granted")
        self._wake_receiver()

    def _unpack(self, pack: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(pack):
            start = at + _LENGTH.size
            if start > len(pack):
                self._break(f"{self._remote} sent a malformed pack")
                return
            (length,) = _LENGTH.unpack_from(pack, at)
            if length > self._message_bytes:
                self._break(f"a message of {length} bytes is larger than the link to {self._remote} allows")
                return
            at = start + length
            if at > len(pack):
                self._break(f"{self._remote} sent a malformed pack")
                return
            yield pack[start:at]

    def _on_grant(self, text: str) -> None:
        granted = int(text) if len(text) <= _GRANT_DIGITS and text.isascii() and text.isdigit() else -1
        if not self._granted_to_us <= granted <= self._sent:
            self._break(f"{self._remote} granted what was never sent")
            return
        self._granted_to_us = granted
        self._wake_sender()

    def _take(self) -> bytes:
        message = self._incoming.popleft()
        self._taken += len(message) + _OVERHEAD
        if self._taken - self._granted >= self._window // 4 and not self._broken and self._data.readyState == "open":
            self._granted = self._taken
            self._data.send(str(self._taken))
        return message

    def _wake_receiver(self) -> None:
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)

    # Ending

    def _listen(self) -> None:
        self._data.on("open", self._on_open)
        self._data.on("message", self._on_message)
        self._data.on("bufferedamountlow", self._on_low)
        self._data.on("close", self._on_close)

    def _on_open(self) -> None:
        if not self.opened.done():
            self.opened.set_result(None)

    def _on_close(self) -> None:
        self._gone.set()
        self.lost()

    def lost(self, reason: str = "closed or lost the direct path") -> None:
        """The path ended below the data channel, or the other side closed it or misbehaved, as `reason` says."""
        self._gone.set()
        self._break(f"{self._remote} {reason}")

    def _break(self, reason: str, *, flush: bool = False) -> None:
        if self._broken or self._closed:
            return
        self._broken = reason
        self._wake_all()
        self._start_ending(flush=flush)

    def _wake_all(self) -> None:
        while self._senders:
            self._wake_sender()
        self._wake_receiver()
        if not self.opened.done():
            self.opened.set_exception(self._error())
            self.opened.exception()

    def _check(self) -> None:
        if self._closed or self._broken:
            raise self._error()

    def _error(self) -> LinkError:
        if self._closed:
            return LinkClosed(f"the link to {self._remote} was closed here")
        return LinkBroken(self._broken)

    def _start_ending(self, *, flush: bool) -> asyncio.Task[None]:
        if self._ending is None:
            self._ending = asyncio.create_task(self._finish(flush=flush))
        return self._ending

    async def _finish(self, *, flush: bool) -> None:
        try:
            if flush and self._data.readyState == "open":
                async with asyncio.timeout(self._limits.close_s):
                    await self._say_goodbye()
        except TimeoutError:
            pass
        finally:
            await self._end()

    async def _say_goodbye(self) -> None:
        self._drained.clear()
        self._pump()
        drained = asyncio.create_task(self._drained.wait())
        gone = asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait({drained, gone}, return_when=asyncio.FIRST_COMPLETED)
            self._data.close()
            await gone
        finally:
            drained.cancel()
            gone.cancel()
