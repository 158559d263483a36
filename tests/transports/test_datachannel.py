"""The packing and the flow control, over data channels of the test's own."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any

import pytest
from lichen.errors import LinkBroken, LinkClosed
from lichen_transports.datachannel import DataChannelLimits, WebRtcChannel

LIMITS = DataChannelLimits(window_bytes=4_000, send_buffer_bytes=1_000, pack_bytes=500, close_s=0.05)
SIZE = 400
COST = 64


class FakeData:
    """A data channel that keeps what is sent until `flow` takes it away."""

    def __init__(self) -> None:
        self.readyState = "open"
        self.sent: list[bytes | str] = []
        self.waiting: list[bytes | str] = []
        self.listeners: dict[str, Callable[..., Any]] = {}
        self.fails: Exception | None = None

    @property
    def bufferedAmount(self) -> int:  # noqa: N802 - the library names it so
        return sum(len(one) for one in self.waiting)

    def send(self, data: bytes | str) -> None:
        if self.fails is not None:
            raise self.fails
        self.waiting.append(data)

    def close(self) -> None:
        self.readyState = "closing"

    def on(self, event: str, listener: Callable[..., Any]) -> None:
        self.listeners[event] = listener

    def flow(self) -> list[bytes | str]:
        """The path takes what waits; what follows is handed over until nothing does."""
        taken: list[bytes | str] = []
        while self.waiting:
            taken += self.waiting
            self.waiting.clear()
            self.listeners["bufferedamountlow"]()
        return taken

    def gone(self) -> None:
        self.readyState = "closed"
        self.listeners["close"]()


class Ended:
    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1


def pack(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(message)) + message for message in messages)


@pytest.fixture
def data() -> FakeData:
    return FakeData()


@pytest.fixture
def ended() -> Ended:
    return Ended()


@pytest.fixture
async def channel(data: FakeData, ended: Ended) -> WebRtcChannel:
    channel = WebRtcChannel(data, ended, SIZE, LIMITS)
    data.listeners["open"]()
    return channel


async def test_a_lone_message_leaves_at_once(channel: WebRtcChannel, data: FakeData) -> None:
    await channel.send(b"one")
    assert data.waiting == [pack(b"one")]


async def test_messages_gather_while_the_path_is_busy(channel: WebRtcChannel, data: FakeData) -> None:
    for message in (b"first", b"second", b"", b"fourth"):
        await channel.send(message)
    assert data.waiting == [pack(b"first")]
    assert data.flow() == [pack(b"first"), pack(b"second", b"", b"fourth")]


async def test_a_pack_is_at_most_its_size_unless_one_message_is_larger(channel: WebRtcChannel, data: FakeData) -> None:
    small = WebRtcChannel(data, Ended(), SIZE, DataChannelLimits(window_bytes=8_000, pack_bytes=100))
    for length in (1, 40, 48, 1, 200, 5):
        await small.send(bytes(length))
    assert [len(one) for one in data.flow()] == [5, 44 + 52, 5, 204, 9]


async def test_a_pack_of_exactly_its_size_is_not_split(channel: WebRtcChannel, data: FakeData) -> None:
    for length in (1, 246, 246):
        await channel.send(bytes(length))
    assert [len(one) for one in data.flow()] == [5, 500]


async def test_a_sender_waits_while_the_buffer_is_full(channel: WebRtcChannel, data: FakeData) -> None:
    for _ in range(4):
        await channel.send(bytes(SIZE))
    sender = asyncio.create_task(channel.send(b"late"))
    await settle()
    assert not sender.done()
    data.flow()
    await settle()
    assert sender.done()


async def test_a_sender_waits_for_the_other_sides_program_to_take_messages(
    channel: WebRtcChannel, data: FakeData
) -> None:
    count = LIMITS.window_bytes // (SIZE + COST)
    for _ in range(count):
        await channel.send(bytes(SIZE))
        data.flow()
    sender = asyncio.create_task(channel.send(bytes(SIZE)))
    await settle()
    data.flow()
    assert not sender.done()
    data.listeners["message"](str(SIZE + COST))
    await settle()
    assert sender.done()


async def test_empty_messages_count_too(channel: WebRtcChannel, data: FakeData) -> None:
    for _ in range(LIMITS.window_bytes // COST):
        await channel.send(b"")
        data.flow()
    sender = asyncio.create_task(channel.send(b""))
    await settle()
    assert not sender.done()
    sender.cancel()


async def test_waiting_senders_go_on_in_their_order(channel: WebRtcChannel, data: FakeData) -> None:
    for _ in range(4):
        await channel.send(bytes(SIZE))
    senders = [asyncio.create_task(channel.send(bytes([index]))) for index in range(5)]
    await settle()
    senders[1].cancel()
    await settle()
    flowed = b""
    for _ in range(10):
        flowed += b"".join(one for one in data.flow() if isinstance(one, bytes))
        await settle()
    assert flowed.endswith(pack(b"\0", b"\2", b"\3", b"\4"))


async def test_a_cancelled_waiter_passes_its_turn_on(channel: WebRtcChannel, data: FakeData) -> None:
    for _ in range(LIMITS.window_bytes // (SIZE + COST)):
        await channel.send(bytes(SIZE))
        data.flow()
    first, second = (asyncio.create_task(channel.send(bytes(SIZE))) for _ in range(2))
    await settle()
    data.listeners["message"](str(SIZE + COST))
    first.cancel()
    await settle()
    assert second.done()
    assert not second.cancelled()


async def test_what_is_taken_is_granted_in_steps(channel: WebRtcChannel, data: FakeData) -> None:
    for _ in range(4):
        data.listeners["message"](pack(bytes(SIZE)))
    for _ in range(2):
        await channel.receive()
    assert data.waiting == []
    await channel.receive()
    assert data.waiting == [str(3 * (SIZE + COST))]


async def test_a_pack_is_received_as_its_messages(channel: WebRtcChannel, data: FakeData) -> None:
    data.listeners["message"](pack(b"a", b"", b"ccc"))
    assert [await channel.receive() for _ in range(3)] == [b"a", b"", b"ccc"]


@pytest.mark.parametrize(
    "hostile",
    [
        b"\0",
        b"\0\0\0",
        pack(b"whole") + b"\0\0",
        struct.pack(">I", 5) + b"four",
        pack(bytes(SIZE + 1)),
        struct.pack(">I", 0xFFFFFFFF),
        "",
        "-1",
        "1",
        "99999999999999999999999",
        "١",
        "0x10",
        "hello",
    ],
)
async def test_a_hostile_message_breaks_the_channel(
    hostile: bytes | str, channel: WebRtcChannel, data: FakeData, ended: Ended
) -> None:
    data.listeners["message"](pack(b"before"))
    data.listeners["message"](hostile)
    received = [await channel.receive()]
    if hostile == pack(b"whole") + b"\0\0":
        received.append(await channel.receive())
    assert received[0] == b"before"
    with pytest.raises(LinkBroken):
        await channel.receive()
    with pytest.raises(LinkBroken):
        await channel.send(b"x")
    await settle()
    assert ended.times == 1


async def test_more_than_was_granted_breaks_the_channel(channel: WebRtcChannel, data: FakeData, ended: Ended) -> None:
    for _ in range(LIMITS.window_bytes // (SIZE + COST) + 1):
        data.listeners["message"](pack(bytes(SIZE)))
    await settle()
    assert ended.times == 1


async def test_a_grant_that_goes_back_breaks_the_channel(channel: WebRtcChannel, data: FakeData) -> None:
    await channel.send(b"x")
    await channel.send(b"y")
    data.listeners["message"](str(2 * (1 + COST)))
    data.listeners["message"](str(1 + COST))
    with pytest.raises(LinkBroken):
        await channel.send(b"z")


async def test_nothing_is_kept_of_what_comes_after_a_break(channel: WebRtcChannel, data: FakeData) -> None:
    data.listeners["message"](b"\0")
    data.listeners["message"](pack(b"after"))
    with pytest.raises(LinkBroken):
        await channel.receive()


async def test_a_data_channel_that_refuses_breaks_the_channel(channel: WebRtcChannel, data: FakeData) -> None:
    data.fails = ValueError("no")
    await channel.send(b"x")
    with pytest.raises(LinkBroken):
        await channel.send(b"y")


async def test_the_path_going_away_wakes_everyone(channel: WebRtcChannel, data: FakeData, ended: Ended) -> None:
    for _ in range(4):
        await channel.send(bytes(SIZE))
    waiting = [asyncio.create_task(channel.send(b"x")), asyncio.create_task(channel.receive())]
    await settle()
    data.gone()
    for task in waiting:
        with pytest.raises(LinkBroken):
            await task
    assert ended.times == 1
    await channel.close()
    with pytest.raises(LinkClosed):
        await channel.receive()
    assert ended.times == 1


async def test_close_hands_over_what_waits_before_it_says_goodbye(channel: WebRtcChannel, data: FakeData) -> None:
    for _ in range(3):
        await channel.send(bytes(SIZE))
    closing = asyncio.create_task(channel.close())
    await settle()
    assert data.readyState == "open"
    assert len(data.flow()) == 3
    await settle()
    assert data.readyState == "closing"
    data.gone()
    await closing


async def test_close_of_a_path_that_does_not_move_is_bounded(
    channel: WebRtcChannel, data: FakeData, ended: Ended
) -> None:
    await channel.send(bytes(SIZE))
    async with asyncio.timeout(2):
        await asyncio.gather(channel.close(), channel.close())
    assert ended.times == 1


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
