"""What a link bears: a process that did not come to listen for a while, and a peer that reads nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from lichen.config import DEFAULT_LIMITS, Limits
from lichen.crypto.identity import Identity
from lichen.runtime.link import LAST, Link, shake_hands
from lichen.testing.waiting import until
from lichen.transport import Channel
from lichen.wire import frames
from lichen_transports.memory import pair

ANN, BEN = (Identity(bytes((number,)) * 96) for number in (1, 2))
SMALL = dataclasses.replace(
    DEFAULT_LIMITS, heartbeat_s=0.02, silence_s=0.2, send_queue_bytes=100_000, send_queue_most_bytes=200_000
)


class Ends:
    """Both ends of a link, and what came to the second."""

    def __init__(self, links: list[Link], arrived: list[frames.Message]) -> None:
        self.here, self.there = links
        self.arrived = arrived


@pytest.fixture
async def channels() -> AsyncIterator[tuple[Channel, Channel]]:
    here, there = pair(message_bytes=SMALL.frame_bytes)
    yield here, there
    await here.close()
    await there.close()


async def linked(channels: tuple[Channel, Channel], limits: Limits) -> Ends:
    hands = await asyncio.gather(
        shake_hands(channels[0], ANN, initiator=True, ephemeral=b"1" * 32, limits=limits),
        shake_hands(channels[1], BEN, initiator=False, ephemeral=b"2" * 32, limits=limits),
    )
    came: list[frames.Message] = []

    def arrived(number: int, message: frames.Message) -> None:
        if number == 1:
            came.append(message)

    def link(number: int) -> Link:
        return Link(
            number,
            channels[number],
            hands[number],
            limits,
            arrived=arrived,
            congested=lambda _: None,
            drained=lambda _: None,
        )

    return Ends([link(0), link(1)], came)


async def test_a_link_outlives_a_moment_in_which_nobody_came_to_listen(channels: tuple[Channel, Channel]) -> None:
    """As during one very large edit: what the peer sent meanwhile waits to be read, and it was not silent."""
    ends = await linked(channels, SMALL)
    runs = [asyncio.create_task(link.run()) for link in (ends.here, ends.there)]
    await until(lambda: len(ends.arrived) >= 2)
    time.sleep(2 * SMALL.silence_s)  # the loop itself is held up
    before = len(ends.arrived)
    await until(lambda: len(ends.arrived) >= before + 4)
    assert (ends.here.reason, ends.there.reason) == ("", "")
    for link in (ends.here, ends.there):
        link.close("done")
    await asyncio.gather(*runs)


async def test_a_peer_that_asks_on_and_reads_nothing_is_cut_off(channels: tuple[Channel, Channel]) -> None:
    ends = await linked(channels, SMALL)
    run = asyncio.create_task(ends.here.run())
    await asyncio.sleep(0)
    answer = frames.Mail(ANN.device, BEN.device, bytes(10_000))
    for _ in range(100):
        ends.here.send(answer)
    await run
    assert "does not read" in ends.here.reason
    assert ends.here._queued_bytes <= SMALL.send_queue_most_bytes + 2 * len(answer.body)


class Full:
    """A channel on which everything has come already: receiving never waits, until there is no more."""

    def __init__(self, sealed: list[bytes]) -> None:
        self._sealed = sealed[::-1]

    async def receive(self) -> bytes:
        return self._sealed.pop() if self._sealed else await asyncio.Event().wait() or b""


async def test_a_burst_that_has_come_already_leaves_the_loop_to_others_in_between(
    channels: tuple[Channel, Channel],
) -> None:
    ends = await linked(channels, DEFAULT_LIMITS)
    beat = LAST + frames.encode(frames.Beat())
    ends.there.channel = Full([ends.here._ciphers.seal(beat) for _ in range(5_000)])  # type: ignore[assignment]  # as much of one as is needed
    receiving = asyncio.create_task(ends.there._receive_loop())
    turns: list[int] = []
    while len(ends.arrived) < 5_000:
        await asyncio.sleep(0)
        turns.append(len(ends.arrived))
    assert max(after - before for before, after in pairwise(turns)) < 2_500
    receiving.cancel()
