from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lichen.testing.channels import CHECKS, Check
from lichen.transport import Channel, SignalledTransport
from lichen_transports.signalling import Kind, Signal, fingerprint
from lichen_transports.webrtc import WebRtcLimits, WebRtcTransport, transport

SIZE = 60 * 1024


class Mailbox:
    """Signals between two ends in one process; `lose` of the first ones are lost, each passes through `change`."""

    def __init__(self, incoming: asyncio.Queue[bytes], outgoing: asyncio.Queue[bytes]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.lose = 0
        self.sent: list[Signal] = []
        self.replace: dict[bytes, bytes] = {}

    async def send(self, signal: bytes) -> None:
        self.sent.append(Signal.decode(signal))
        if self.lose:
            self.lose -= 1
            return
        for old, new in self.replace.items():
            signal = signal.replace(old, new)
        self._outgoing.put_nowait(signal)

    async def receive(self) -> bytes:
        return await self._incoming.get()


def mailboxes() -> tuple[Mailbox, Mailbox]:
    there: asyncio.Queue[bytes] = asyncio.Queue()
    back: asyncio.Queue[bytes] = asyncio.Queue()
    return Mailbox(back, there), Mailbox(there, back)


@pytest.fixture
async def local() -> AsyncIterator[WebRtcTransport]:
    """A transport over loopback only, that leaves no task behind."""
    yield WebRtcTransport(loopback=True, limits=WebRtcLimits(resend_s=0.1))
    async with asyncio.timeout(5):
        while asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.sleep(0.01)


async def open_pair(through: WebRtcTransport, message_bytes: int = SIZE) -> tuple[Channel, Channel]:
    here, there = mailboxes()
    return await asyncio.gather(
        through.connect(here, offers=True, message_bytes=message_bytes),
        through.connect(there, offers=False, message_bytes=message_bytes),
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("offerer_first", [True, False], ids=["offerer-first", "answerer-first"])
async def test_is_a_channel(check: Check, offerer_first: bool, local: WebRtcTransport) -> None:
    async def make_pair(message_bytes: int) -> tuple[Channel, Channel]:
        a, b = await open_pair(local, message_bytes)
        return (a, b) if offerer_first else (b, a)

    await check(make_pair)


def test_satisfies_the_interface() -> None:
    assert isinstance(transport, SignalledTransport)


async def test_the_binding_is_both_fingerprints_in_the_offerers_order(local: WebRtcTransport) -> None:
    here, there = mailboxes()
    a, b = await asyncio.gather(
        local.connect(here, offers=True, message_bytes=SIZE), local.connect(there, offers=False, message_bytes=SIZE)
    )
    offer, answer = here.sent[0], there.sent[0]
    assert (offer.kind, answer.kind) == (Kind.OFFER, Kind.ANSWER)
    assert a.binding == b.binding == fingerprint(offer.sdp) + fingerprint(answer.sdp)
    assert len(a.binding) == 64
    await a.close()
    await b.close()
