from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import aiortc.rtcsctptransport
import pytest
from lichen.errors import ConfigError, LinkBroken, Unreachable
from lichen.testing.channels import CHECKS, Check
from lichen.testing.waiting import until
from lichen.transport import Channel, SignalledTransport
from lichen_transports import rtc_library
from lichen_transports.datachannel import DataChannelLimits
from lichen_transports.signalling import Kind, Signal, fingerprint
from lichen_transports.webrtc import MESSAGE_BYTES, IceServer, WebRtcLimits, WebRtcTransport, transport

SIZE = 60 * 1024


class Mailbox:
    """Signals between two ends in one process; the first `lose` of what is sent are lost."""

    def __init__(self, incoming: asyncio.Queue[bytes], outgoing: asyncio.Queue[bytes]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._first: list[bytes] = []
        self.lose = 0
        self.sent: list[Signal] = []

    def prepend(self, signal: bytes) -> None:
        """What the next `receive` gives."""
        self._first.append(signal)

    async def send(self, signal: bytes) -> None:
        self.sent.append(Signal.decode(signal))
        if self.lose:
            self.lose -= 1
        else:
            self._outgoing.put_nowait(signal)

    async def receive(self) -> bytes:
        return self._first.pop() if self._first else await self._incoming.get()


class Deaf:
    """A mailbox out of which nothing comes; with `mute` no goodbye goes in either."""

    def __init__(self, mailbox: Mailbox, *, mute: bool = False) -> None:
        self._mailbox = mailbox
        self._mute = mute

    async def send(self, signal: bytes) -> None:
        if not (self._mute and Signal.decode(signal).kind is Kind.BYE):
            await self._mailbox.send(signal)

    async def receive(self) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError


def mailboxes() -> tuple[Mailbox, Mailbox]:
    there: asyncio.Queue[bytes] = asyncio.Queue()
    back: asyncio.Queue[bytes] = asyncio.Queue()
    return Mailbox(back, there), Mailbox(there, back)


@pytest.fixture
async def local() -> AsyncIterator[WebRtcTransport]:
    """A transport over loopback only, that leaves no task behind."""
    yield WebRtcTransport(loopback=True, limits=WebRtcLimits(resend_s=0.1))
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


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


async def test_a_substituted_fingerprint_opens_no_path(local: WebRtcTransport) -> None:
    here, there = mailboxes()
    offering = asyncio.create_task(local.connect(here, offers=True, message_bytes=SIZE))
    offer = Signal.decode(await there.receive())
    forged = ":".join(["AA"] * 32)
    theirs = ":".join(f"{byte:02X}" for byte in fingerprint(offer.sdp))
    there.prepend(Signal(Kind.OFFER, offer.attempt, offer.sdp.replace(theirs, forged)).encode())
    with pytest.raises(Unreachable):
        await local.connect(there, offers=False, message_bytes=SIZE)
    with pytest.raises(Unreachable):
        await offering


async def test_someone_in_the_middle_shows_in_the_binding(local: WebRtcTransport) -> None:
    """A carrier of the signals who answers each side itself gets two paths, bound to different values."""
    here, to_middle = mailboxes()
    from_middle, there = mailboxes()
    a, middle_a, middle_b, b = await asyncio.gather(
        local.connect(here, offers=True, message_bytes=SIZE),
        local.connect(to_middle, offers=False, message_bytes=SIZE),
        local.connect(from_middle, offers=True, message_bytes=SIZE),
        local.connect(there, offers=False, message_bytes=SIZE),
    )
    assert a.binding != b.binding
    assert a.binding[:32] not in b.binding
    assert b.binding[32:] not in a.binding
    for channel in (a, middle_a, middle_b, b):
        await channel.close()


async def test_lost_signals_are_sent_again(local: WebRtcTransport) -> None:
    here, there = mailboxes()
    here.lose = there.lose = 2
    a, b = await asyncio.gather(
        local.connect(here, offers=True, message_bytes=SIZE), local.connect(there, offers=False, message_bytes=SIZE)
    )
    await a.send(b"after all")
    assert await b.receive() == b"after all"
    await a.close()
    await b.close()


async def test_garbage_and_signals_of_other_attempts_are_ignored(local: WebRtcTransport) -> None:
    here, there = mailboxes()
    for box in (here, there):
        box.prepend(b"\xff garbage")
        box.prepend(Signal(Kind.BYE, bytes(16)).encode())
        box.prepend(Signal(Kind.ANSWER, bytes(16), "v=0").encode())
    a, b = await asyncio.gather(
        local.connect(here, offers=True, message_bytes=SIZE), local.connect(there, offers=False, message_bytes=SIZE)
    )
    assert a.binding == b.binding
    await a.close()
    await b.close()


async def test_a_newer_offer_replaces_one_that_was_given_up(local: WebRtcTransport) -> None:
    here, there = mailboxes()
    answering = asyncio.create_task(local.connect(there, offers=False, message_bytes=SIZE))
    first = asyncio.create_task(local.connect(Deaf(here, mute=True), offers=True, message_bytes=SIZE))
    await until(lambda: there.sent)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    a = await local.connect(here, offers=True, message_bytes=SIZE)
    b = await answering
    assert a.binding == b.binding
    assert len({signal.attempt for signal in there.sent}) == 2
    await a.close()
    await b.close()


async def test_a_goodbye_ends_the_other_sides_attempt(local: WebRtcTransport) -> None:
    here, there = mailboxes()
    answering = asyncio.create_task(local.connect(there, offers=False, message_bytes=SIZE))
    offering = asyncio.create_task(local.connect(Deaf(here), offers=True, message_bytes=SIZE))
    await until(lambda: there.sent)
    offering.cancel()
    with pytest.raises(Unreachable):
        await answering
    with pytest.raises(asyncio.CancelledError):
        await offering
    assert here.sent[-1].kind is Kind.BYE
    assert [signal.kind for signal in there.sent] == [Kind.ANSWER]


async def test_an_answerer_does_not_wait_long_for_an_attempt_that_is_over() -> None:
    _, there = mailboxes()
    there.prepend(Signal(Kind.BYE, bytes(16)).encode())
    with pytest.raises(Unreachable):
        await WebRtcTransport(limits=WebRtcLimits(stale_s=0.05)).connect(there, offers=False, message_bytes=SIZE)
    assert there.sent == []


async def test_a_refusal_is_unreachable(local: WebRtcTransport) -> None:
    here, there = mailboxes()
    offering = asyncio.create_task(local.connect(here, offers=True, message_bytes=SIZE))
    offer = Signal.decode(await there.receive())
    await there.send(Signal(Kind.BYE, offer.attempt).encode())
    with pytest.raises(Unreachable):
        await offering


@pytest.mark.parametrize(
    "change",
    [
        lambda sdp: "",
        lambda sdp: "nonsense",
        lambda sdp: sdp.replace("a=ice-pwd", "a=other"),
        lambda sdp: sdp.replace("a=fingerprint", "a=other"),
        lambda sdp: sdp.replace("a=setup:actpass", "a=setup:sideways"),
        lambda sdp: sdp.replace("a=mid:0", "a=mid:0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0"),
        lambda sdp: sdp.replace("typ host", "typ nothing"),
        lambda sdp: sdp.replace("sctp-port:5000", "sctp-port:many"),
        lambda sdp: sdp[: len(sdp) // 2],
    ],
)
async def test_an_unusable_offer_is_unreachable(change: Callable[[str], str], local: WebRtcTransport) -> None:
    here, there = mailboxes()
    offering = asyncio.create_task(local.connect(here, offers=True, message_bytes=SIZE))
    offer = Signal.decode(await there.receive())
    there.prepend(Signal(Kind.OFFER, offer.attempt, change(offer.sdp)).encode())
    with pytest.raises(Unreachable):
        async with asyncio.timeout(10):
            await local.connect(there, offers=False, message_bytes=SIZE)
    with pytest.raises(Unreachable):
        await offering


async def test_an_attempt_that_is_cancelled_leaves_nothing(local: WebRtcTransport) -> None:
    here, _ = mailboxes()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await local.connect(here, offers=True, message_bytes=SIZE)
    assert [signal.kind for signal in here.sent][-1] is Kind.BYE
    assert sum(signal.kind is Kind.OFFER for signal in here.sent) >= 2


async def test_without_the_library_it_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiortc", None)
    here, _ = mailboxes()
    with pytest.raises(ConfigError) as caught:
        await WebRtcTransport().connect(here, offers=True, message_bytes=SIZE)
    assert "lichen[webrtc]" in caught.value.hint


async def test_an_unreadable_ice_server_is_a_config_error() -> None:
    here, _ = mailboxes()
    with pytest.raises(ConfigError, match="ICE server"):
        await WebRtcTransport([IceServer("http://x")]).connect(here, offers=True, message_bytes=SIZE)


async def test_a_message_size_that_no_path_carries_is_a_config_error() -> None:
    here, _ = mailboxes()
    with pytest.raises(ConfigError):
        await WebRtcTransport().connect(here, offers=True, message_bytes=MESSAGE_BYTES + 1)


async def test_messages_without_an_end_break_the_channel(
    local: WebRtcTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    reckless = DataChannelLimits(window_bytes=8 * 1024 * 1024)
    hostile = WebRtcTransport(loopback=True, limits=WebRtcLimits(channel=reckless))
    here, there = mailboxes()
    a, b = await asyncio.gather(
        hostile.connect(here, offers=True, message_bytes=SIZE), local.connect(there, offers=False, message_bytes=SIZE)
    )
    monkeypatch.setattr(aiortc.rtcsctptransport, "SCTP_DATA_LAST_FRAG", 0)
    writing = asyncio.create_task(write_until_broken(a))
    with pytest.raises(LinkBroken, match="without an end"):
        await b.receive()
    with pytest.raises(LinkBroken):
        await writing
    await a.close()
    await b.close()


async def test_another_channel_of_the_other_side_breaks_the_channel(local: WebRtcTransport) -> None:
    library = rtc_library.load()
    connection = library.RTCPeerConnection(library.RTCConfiguration(iceServers=[]))
    connection.createDataChannel("lichen", negotiated=True, id=0)
    connection.createDataChannel("another")
    here, there = mailboxes()
    opening = asyncio.create_task(local.connect(there, offers=False, message_bytes=SIZE))
    with rtc_library.loopback(True):
        await connection.setLocalDescription()
    await here.send(Signal(Kind.OFFER, bytes(16), connection.localDescription.sdp).encode())
    answer = Signal.decode(await here.receive())
    await connection.setRemoteDescription(library.RTCSessionDescription(sdp=answer.sdp, type="answer"))
    channel = await opening
    with pytest.raises(LinkBroken, match="another channel"):
        await channel.receive()
    await channel.close()
    await connection.close()


def test_importing_the_module_does_not_import_the_library() -> None:
    code = "import sys, lichen_transports.webrtc; sys.exit('aiortc' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_nothing_is_logged_when_the_other_side_goes_while_we_write(
    local: WebRtcTransport, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = await open_pair(local)
    writing = asyncio.create_task(write_until_broken(a))
    await b.receive()
    await b.close()
    with pytest.raises(LinkBroken):
        await writing
    await a.close()
    gc.collect()
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def write_until_broken(channel: Channel) -> None:
    while True:
        await channel.send(bytes(5_000))
