"""Everything that is particular about `aiortc`, the WebRTC library: loading it, and where it is made to behave.

Three things reach below its documented surface, each where it cannot be helped and each tolerant of a library that
changed: constants of its modules, the list of own addresses, and how one association sends its chunks.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any

from lichen.errors import ConfigError

if importlib.util.find_spec("aiortc") is None:  # told where direct paths are asked for, not when one should open
    raise ImportError("direct paths need aiortc", name="aiortc")

LOOPBACK_VARIABLE = "LICHEN_WEBRTC_LOOPBACK"
"""Set to 1, it lets paths use 127.0.0.1 even where the machine has other addresses."""

# A lost last packet shows only by a timer. RFC 9260 suggests 1 s, and 3 s at first; these are what TCP uses.
_RETRANSMIT_MIN_S = 0.2
_RETRANSMIT_FIRST_S = 1.0

# The library keeps no account of the receiver's room, so a receiver that is busy for some milliseconds would lose
# packets of a burst: the socket holds a whole window, as far as the system allows it.
_SOCKET_BUFFER_BYTES = 1024 * 1024

# RFC 9260, section 6.2: acknowledge at least every second packet, and within 200 ms; well below _RETRANSMIT_MIN_S.
_ACKNOWLEDGE_EVERY = 2
_ACKNOWLEDGE_S = 0.02


def load() -> Any:
    """The library. Takes some 0.3 s the first time. Raises `ConfigError` when it is not installed."""
    try:
        import aioice.ice
        import aioice.turn
        import aiortc.rtcsctptransport
    except ImportError as error:
        raise ConfigError("direct paths need aiortc", hint="pip install 'lichen[webrtc]'") from error
    sctp: Any = aiortc.rtcsctptransport
    sctp.SCTP_RTO_MIN = _RETRANSMIT_MIN_S
    sctp.SCTP_RTO_INITIAL = _RETRANSMIT_FIRST_S
    aioice.turn.UDP_SOCKET_BUFFER_SIZE = _SOCKET_BUFFER_BYTES
    _offer_loopback(aioice.ice)
    return aiortc


_with_loopback: ContextVar[bool] = ContextVar("_with_loopback", default=False)


@contextlib.contextmanager
def loopback(wanted: bool) -> Iterator[None]:
    """Within it, offer 127.0.0.1 too if that is wanted here or by the environment."""
    token = _with_loopback.set(wanted or os.environ.get(LOOPBACK_VARIABLE) == "1")
    try:
        yield
    finally:
        _with_loopback.reset(token)


def _offer_loopback(ice: Any) -> None:
    """Let the library use 127.0.0.1, which it never does: where it is wanted, and where there is nothing else."""
    others: Callable[[bool, bool], list[str]] = ice.get_host_addresses
    if getattr(others, "offers_loopback", False):
        return

    def addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        found = others(use_ipv4, use_ipv6)
        return [*found, "127.0.0.1"] if use_ipv4 and (_with_loopback.get() or not found) else found

    addresses.offers_loopback = True  # type: ignore[attr-defined]  # a mark of ours
    ice.get_host_addresses = addresses


class Outlet:
    """How one SCTP association sends its chunks.

    - Its own background sends end without a word when the path under them is gone, or its TLS is: they run in tasks
      that nobody awaits, so each would be reported as an exception that was never retrieved.
    - Acknowledgements are sent for every second packet, or 20 ms later; at once when something is missing. The library
      sends one for every packet, which is nearly a third of what a transfer costs the sender.
    - An acknowledgement that announces no room left tells that the other side has sent a megabyte of messages without
      an end. The library would keep on gathering them, so `overrun` is called.
    """

    def __init__(self, association: Any, overrun: Callable[[], None]) -> None:
        self._overrun = overrun
        self._send: Callable[[Any], Awaitable[None]] | None = getattr(association, "_send_chunk", None)
        self._held: Any = None
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        if self._send is not None:
            association._send_chunk = self.send  # noqa: SLF001 - there is no other place to do this

    async def send(self, chunk: Any) -> None:
        """Send one chunk, or hold an acknowledgement back."""
        if type(chunk).__name__ == "SackChunk":
            if chunk.advertised_rwnd == 0:
                self._overrun()
            if self._hold(chunk):
                return
        await self._pass_on(chunk)

    def close(self) -> None:
        """Nothing more is sent by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._held = None

    def _hold(self, chunk: Any) -> bool:
        self._count += 1
        if self._count >= _ACKNOWLEDGE_EVERY or chunk.gaps or chunk.duplicates:
            self._count = 0
            self._held = None
            return False
        self._held = chunk
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_ACKNOWLEDGE_S, self._late)
        return True

    def _late(self) -> None:
        self._timer = None
        if self._held is not None:
            held, self._held, self._count = self._held, None, 0
            self._sending = asyncio.create_task(self._pass_on(held))

    async def _pass_on(self, chunk: Any) -> None:
        from OpenSSL import SSL  # the library loaded it

        assert self._send is not None
        with contextlib.suppress(ConnectionError, SSL.Error):
            await self._send(chunk)
