"""Direct paths between two devices: WebRTC data channels by `aiortc`, negotiated over signals that others carry.

`aiortc` (the extra `lichen[webrtc]`) is imported when the first path is opened, in a thread, since that takes a while.

Both sides' certificate fingerprints become the channel's `binding`, in the offerer's order. Whoever carries the signals
can put its own certificate in their place, but then the two sides are bound to different values and their handshake
fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lichen.errors import ConfigError, LichenError, LinkError, ProtocolError, Unreachable
from lichen.transport import Signals

from lichen_transports import rtc_library
from lichen_transports.datachannel import DataChannelLimits, WebRtcChannel
from lichen_transports.signalling import ATTEMPT_BYTES, Kind, Signal, fingerprint

_log = logging.getLogger(__name__)

MESSAGE_BYTES = 255 * 1024
"""Largest message that a direct path can be opened for: what the library announces, less the framing."""


@dataclass(frozen=True, slots=True)
class IceServer:
    """A server that helps to find a path: STUN tells a device its public address, TURN passes packets on."""

    url: str
    """`stun:host:port`, `turn:host:port` or `turn:host:port?transport=tcp`."""
    username: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRtcLimits:
    """What opening and closing a direct path waits for."""

    resend_s: float = 1.0
    """An offer that nobody answers is sent again after this long; the pause doubles."""
    stale_s: float = 2.0
    """An answerer whose first signal belongs to an attempt that is over waits this long for a fresh offer."""
    goodbye_s: float = 0.5
    """Longest time for telling the other side that an attempt was given up."""
    end_s: float = 1.0
    """Longest time that a channel waits for the library to let go of its sockets; it goes on in the background."""
    channel: DataChannelLimits = field(default_factory=DataChannelLimits)


class WebRtcTransport:
    """Opens direct paths. A `lichen.transport.SignalledTransport`.

    `ice_servers` are asked for addresses (only the first STUN and the first TURN server are used); there are none by
    default, and nobody is asked. `loopback` adds 127.0.0.1 to the addresses that are offered; without it that is done
    where the machine has no other address, or `LICHEN_WEBRTC_LOOPBACK` is 1.
    """

    def __init__(
        self, ice_servers: Sequence[IceServer] = (), *, loopback: bool = False, limits: WebRtcLimits | None = None
    ) -> None:
        self._limits = limits or WebRtcLimits()
        self.configure(ice_servers=ice_servers, loopback=loopback)

    def configure(self, *, ice_servers: Sequence[IceServer] = (), loopback: bool = False) -> None:
        """Set what later paths use."""
        self._ice_servers = tuple(ice_servers)
        self._loopback = loopback

    async def connect(self, signals: Signals, *, offers: bool, message_bytes: int) -> WebRtcChannel:
        """Open a direct channel; exactly one side passes `offers=True`.

        Raises `Unreachable`, or `ConfigError` without `aiortc` or with an ICE server it cannot read. The caller bounds
        the time; cancelling it tells the other side and lets go of everything. Both sides must pass the same
        `message_bytes`, of at most `MESSAGE_BYTES`.
        """
        if message_bytes > MESSAGE_BYTES:
            raise ConfigError(f"a direct path carries messages of at most {MESSAGE_BYTES} bytes")
        library = await asyncio.to_thread(rtc_library.load)
        open_end = functools.partial(_End, library, self._servers(library), message_bytes, self._limits)
        with rtc_library.loopback(self._loopback):
            return await (_offer(signals, open_end) if offers else _answer(signals, open_end, self._limits.stale_s))

    def _servers(self, library: Any) -> list[Any]:
        return [library.RTCIceServer(server.url, server.username, server.password) for server in self._ice_servers]


class _GivenUp(Unreachable):
    """The other side ended the attempt, so it need not be told."""


async def _offer(signals: Signals, open_end: Callable[[], _End]) -> WebRtcChannel:
    end = open_end()
    attempt = os.urandom(ATTEMPT_BYTES)
    async with _giving_up(signals, end, attempt):
        offer = Signal(Kind.OFFER, attempt, await end.describe())
        answer = await _answered(signals, offer, end.limits.resend_s)
        await end.accept("answer", answer.sdp)
        reply = await _opened_unless(end, _until(signals, attempt, Kind.BYE))
        if reply is not None:
            raise _GivenUp("the other side gave the direct path up")
        return end.ready(fingerprint(offer.sdp) + fingerprint(answer.sdp), answer.sdp)


async def _answered(signals: Signals, offer: Signal, resend_s: float) -> Signal:
    """Send an offer until it is answered."""
    while True:
        await signals.send(offer.encode())
        try:
            async with asyncio.timeout(resend_s):
                reply = await _until(signals, offer.attempt, Kind.ANSWER, Kind.BYE)
        except TimeoutError:
            resend_s *= 2
            continue
        if reply.kind is Kind.BYE:
            raise _GivenUp("the other side refused a direct path")
        return reply


async def _answer(signals: Signals, open_end: Callable[[], _End], stale_s: float) -> WebRtcChannel:
    offer = await _first_offer(signals, stale_s)
    while True:
        end = open_end()
        async with _giving_up(signals, end, offer.attempt):
            await end.accept("offer", offer.sdp)
            answer = Signal(Kind.ANSWER, offer.attempt, await end.describe())
            await signals.send(answer.encode())
            reply = await _opened_unless(end, _newer_offer(signals, answer))
            if reply is None:
                return end.ready(fingerprint(offer.sdp) + fingerprint(answer.sdp), offer.sdp)
            if reply.kind is Kind.BYE:
                raise _GivenUp("the other side gave the direct path up")
            offer = reply
            await end.close()


async def _first_offer(signals: Signals, stale_s: float) -> Signal:
    signal = await _until(signals, None, *Kind)
    if signal.kind is Kind.OFFER:
        return signal
    try:
        async with asyncio.timeout(stale_s):
            return await _until(signals, None, Kind.OFFER)
    except TimeoutError:
        raise Unreachable("the other side offers no direct path any more") from None


async def _newer_offer(signals: Signals, answer: Signal) -> Signal:
    """The goodbye of this attempt or the offer of another; an answer that was lost is sent again."""
    while True:
        signal = await _until(signals, None, Kind.OFFER, Kind.BYE)
        if signal.attempt == answer.attempt and signal.kind is Kind.OFFER:
            await signals.send(answer.encode())
        elif signal.attempt == answer.attempt or signal.kind is Kind.OFFER:
            return signal


async def _until(signals: Signals, attempt: bytes | None, *kinds: Kind) -> Signal:
    """The next well-formed signal of these kinds, of this attempt or of any; others are ignored."""
    while True:
        try:
            signal = Signal.decode(await signals.receive())
        except ProtocolError as error:
            _log.debug("ignored a signal: %s", error)
            continue
        if signal.kind in kinds and attempt in (None, signal.attempt):
            return signal


async def _opened_unless(end: _End, interruption: Awaitable[Signal]) -> Signal | None:
    """Wait until the path is open; a signal that comes first is returned instead."""
    watching: asyncio.Future[Any] = asyncio.ensure_future(interruption)
    try:
        await asyncio.wait([watching, end.channel.opened], return_when=asyncio.FIRST_COMPLETED)
        if end.channel.opened.done():
            end.channel.opened.result()
            return None
        signal: Signal = watching.result()
        return signal
    except LinkError as error:
        raise Unreachable("no direct path could be opened", hint="the link through the relay goes on") from error
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@contextlib.asynccontextmanager
async def _giving_up(signals: Signals, end: _End, attempt: bytes) -> AsyncIterator[None]:
    """Whatever ends an attempt without a path: tell the other side and let go of everything."""
    try:
        yield
    except BaseException as error:
        await end.close()
        if not isinstance(error, _GivenUp):
            await _say_goodbye(signals, attempt, end.limits.goodbye_s)
        if isinstance(error, ProtocolError):
            raise Unreachable(f"the other side's description cannot be used: {error}") from error
        raise


async def _say_goodbye(signals: Signals, attempt: bytes, within_s: float) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(within_s):
            await signals.send(Signal(Kind.BYE, attempt).encode())


class _End:
    """This side of one attempt: a peer connection and the channel over it."""

    def __init__(self, library: Any, servers: list[Any], message_bytes: int, limits: WebRtcLimits) -> None:
        self.limits = limits
        self._library = library
        try:
            self._connection = library.RTCPeerConnection(library.RTCConfiguration(iceServers=servers))
            data = self._connection.createDataChannel("lichen", protocol="lichen.v1", negotiated=True, id=0)
        except ValueError as error:
            raise ConfigError(
                f"cannot use an ICE server: {error}", hint="write stun:HOST:PORT or turn:HOST:PORT"
            ) from error
        self._outlet = rtc_library.Outlet(self._connection.sctp, self._on_overrun)
        self.channel = WebRtcChannel(data, self._let_go, message_bytes, limits.channel)
        self._connection.on("connectionstatechange", self._on_state)
        self._connection.on("datachannel", lambda _: self.channel.lost("opened another channel"))

    async def describe(self) -> str:
        """This side's offer or answer, with every address it found."""
        await self._connection.setLocalDescription()
        return str(self._connection.localDescription.sdp)

    async def accept(self, kind: str, sdp: str) -> None:
        """Take the other side's description. Raises `ProtocolError` for one that cannot be used."""
        fingerprint(sdp)
        try:
            await self._connection.setRemoteDescription(self._library.RTCSessionDescription(sdp=sdp, type=kind))
        except LichenError:
            raise
        except Exception as error:  # the library's errors on hostile input are of many kinds
            raise ProtocolError(f"unusable {kind}") from error

    def ready(self, binding: bytes, remote_sdp: str) -> WebRtcChannel:
        """The open channel."""
        self.channel.bind(binding, _addresses(remote_sdp))
        return self.channel

    async def close(self) -> None:
        """Give the attempt up."""
        await self.channel.close()

    def _on_state(self) -> None:
        if self._connection.connectionState in ("failed", "closed"):
            self.channel.lost()

    def _on_overrun(self) -> None:
        self.channel.lost("sent a message without an end")

    async def _let_go(self) -> None:
        self._outlet.close()
        closing = asyncio.create_task(self._connection.close())
        _closing.add(closing)
        closing.add_done_callback(_closed)
        await asyncio.wait({closing}, timeout=self.limits.end_s)


_closing: set[asyncio.Task[None]] = set()


def _closed(task: asyncio.Task[None]) -> None:
    _closing.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.debug("closing a direct path failed", exc_info=error)


def _addresses(sdp: str) -> str:
    found = {
        line.split(" ")[4] for line in sdp.splitlines() if line.startswith("a=candidate:") and line.count(" ") >= 4
    }
    return "a direct peer at " + " or ".join(sorted(found)[:3]) if found else "a direct peer"


transport = WebRtcTransport()
"""The entry point of scheme `webrtc`."""


def configure(*, ice_servers: Sequence[IceServer] = (), loopback: bool = False) -> None:
    """Set what paths opened through `transport` use from now on."""
    transport.configure(ice_servers=ice_servers, loopback=loopback)
