"""Connected channels over websockets, for tests."""

from __future__ import annotations

import asyncio

from lichen.transport import Channel, Listener, Transport

SIZE = 60 * 1024


async def open_pair(through: Transport, listeners: list[Listener], url: str, size: int) -> tuple[Channel, Channel]:
    listener = await through.listen(url, message_bytes=size)
    listeners.append(listener)
    return await asyncio.gather(through.dial(listener.address, message_bytes=size), listener.accept())
