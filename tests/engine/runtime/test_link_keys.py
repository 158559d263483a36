"""The age of a link's keys."""

from __future__ import annotations

import asyncio
import dataclasses

from lichen.config import DEFAULT_LIMITS
from lichen.crypto.identity import Identity
from lichen.runtime.link import Link, shake_hands
from lichen.wire import frames
from lichen_transports.memory import pair

ANN, BEN = (Identity(bytes((number,)) * 96) for number in (1, 2))
QUICK = dataclasses.replace(DEFAULT_LIMITS, heartbeat_s=0.01, rekey_s=0.03)


async def test_a_link_whose_keys_are_renewed_over_and_over_goes_on() -> None:
    here, there = pair(message_bytes=QUICK.frame_bytes)
    hands = await asyncio.gather(
        shake_hands(here, ANN, initiator=True, ephemeral=b"1" * 32, limits=QUICK),
        shake_hands(there, BEN, initiator=False, ephemeral=b"2" * 32, limits=QUICK),
    )
    first_key = hands[0].ciphers._sending._state._aead
    keys = {id(first_key): first_key}
    renewed = asyncio.Event()

    def arrived(_number: int, _message: frames.Message) -> None:
        key = hands[0].ciphers._sending._state._aead
        keys[id(key)] = key
        if len(keys) > 3:
            renewed.set()

    links = [
        Link(number, channel, hand, QUICK, arrived=arrived, congested=lambda _: None, drained=lambda _: None)
        for number, (channel, hand) in enumerate(zip((here, there), hands, strict=True))
    ]
    runs = [asyncio.create_task(link.run()) for link in links]
    async with asyncio.timeout(10):
        await renewed.wait()
    assert [link.reason for link in links] == ["", ""]
    for link in links:
        link.close("done")
    await asyncio.gather(*runs)
