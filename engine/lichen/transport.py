"""What the engine asks of a transport: a channel of whole messages.

The engine imports no transport. It finds one by the scheme of an address through the entry-point
group `lichen.transports`; the entry's name is the scheme, its object a `Transport`.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Channel(Protocol):
    """A reliable, ordered channel of messages between two nodes; not yet authenticated or encrypted."""

    @property
    def path(self) -> str:
        """The kind of path: `"websocket"`, `"webrtc"` or `"memory"`."""

    @property
    def binding(self) -> bytes:
        """What the handshake must bind to, equal on both sides (WebRTC: both DTLS fingerprints in the
        offerer's order); empty where the path has nothing of its own."""

    @property
    def remote(self) -> str:
        """The other side as a person would name it, for logs and status."""

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the path's buffer is full.

        Raises `LinkClosed` after `close`, `LinkBroken` when the path or the other side ended it.
        """

    async def receive(self) -> bytes:
        """The next message. Raises as `send` does. A message above the size the channel was opened
        with breaks it."""

    async def close(self) -> None:
        """End it: idempotent, bounded in time, wakes every waiter."""


@runtime_checkable
class Listener(Protocol):
    """Accepts channels at an address."""

    @property
    def address(self) -> str:
        """The address to dial, with the port that was really bound."""

    async def accept(self) -> Channel:
        """The next incoming channel. Raises `LinkClosed` after `close`."""

    async def close(self) -> None:
        """Stop accepting; channels already accepted live on."""


@runtime_checkable
class Transport(Protocol):
    """Dials and listens at addresses of one scheme."""

    async def dial(self, url: str, *, message_bytes: int) -> Channel:
        """Open a channel. Raises `Unreachable`, or `ConfigError` for an address it cannot read."""

    async def listen(self, url: str, *, message_bytes: int) -> Listener:
        """Listen; port 0 lets the system choose. Raises `Unreachable` when the address cannot be bound."""


class Signals(Protocol):
    """A mailbox to one peer through which a direct path is negotiated."""

    async def send(self, signal: bytes) -> None:
        """Send one signal; it may be lost."""

    async def receive(self) -> bytes:
        """The next signal from the peer."""


@runtime_checkable
class SignalledTransport(Protocol):
    """Opens a direct channel to a peer, negotiated over `Signals` (WebRTC)."""

    async def connect(self, signals: Signals, *, offers: bool, message_bytes: int) -> Channel:
        """Open a direct channel; exactly one side passes `offers=True`. Raises `Unreachable`; the caller
        bounds the time."""
