from __future__ import annotations

import asyncio

import pytest
from lichen.errors import ConfigError, LinkBroken, LinkClosed, Unreachable
from lichen.testing.channels import CHECKS, Check
from lichen.transport import Channel, Listener, Transport
from lichen_transports.memory import MemoryLimits, MemoryTransport, pair, transport


async def make_pair(message_bytes: int) -> tuple[Channel, Channel]:
    memory = MemoryTransport()
    listener = await memory.listen("memory://here", message_bytes=message_bytes)
    return await memory.dial("memory://here", message_bytes=message_bytes), await listener.accept()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_is_a_channel(check: Check) -> None:
    await check(make_pair)


async def test_satisfies_the_interfaces() -> None:
    assert isinstance(transport, Transport)
    listener = await MemoryTransport().listen("memory://x", message_bytes=10)
    assert isinstance(listener, Listener)


async def test_a_dial_where_nobody_listens_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="nobody listens"):
        await MemoryTransport().dial("memory://nowhere", message_bytes=10)


async def test_a_name_is_taken_until_its_listener_closes() -> None:
    memory = MemoryTransport()
    first = await memory.listen("memory://name", message_bytes=10)
    with pytest.raises(Unreachable, match="taken"):
        await memory.listen("memory://name", message_bytes=10)
    await first.close()
    await (await memory.listen("memory://name", message_bytes=10)).close()


async def test_an_empty_name_is_chosen() -> None:
    memory = MemoryTransport()
    first = await memory.listen("memory://", message_bytes=10)
    second = await memory.listen("memory://", message_bytes=10)
    assert first.address != second.address
    await memory.dial(second.address, message_bytes=10)
    assert await second.accept()


async def test_another_scheme_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        await MemoryTransport().dial("ws://here", message_bytes=10)


async def test_closing_a_listener_wakes_accept_and_breaks_what_was_not_accepted() -> None:
    memory = MemoryTransport()
    listener = await memory.listen("memory://x", message_bytes=10)
    waiting = asyncio.create_task(listener.accept())
    await asyncio.sleep(0)
    await listener.close()
    with pytest.raises(LinkClosed):
        await waiting
    listener = await memory.listen("memory://x", message_bytes=10)
    dialled = await memory.dial("memory://x", message_bytes=10)
    await listener.close()
    with pytest.raises(LinkBroken):
        await dialled.receive()


async def test_accepted_channels_outlive_their_listener() -> None:
    memory = MemoryTransport()
    listener = await memory.listen("memory://x", message_bytes=10)
    dialled, accepted = await memory.dial("memory://x", message_bytes=10), await listener.accept()
    await listener.close()
    await dialled.send(b"still")
    assert await accepted.receive() == b"still"


async def test_a_full_backlog_refuses_a_dial() -> None:
    memory = MemoryTransport(MemoryLimits(backlog=2))
    await memory.listen("memory://x", message_bytes=10)
    for _ in range(2):
        await memory.dial("memory://x", message_bytes=10)
    with pytest.raises(Unreachable, match="too slowly"):
        await memory.dial("memory://x", message_bytes=10)


async def test_empty_messages_count_against_the_queue_too() -> None:
    a, _ = pair(message_bytes=10, limits=MemoryLimits(queue_bytes=640))
    for _ in range(10):
        await a.send(b"")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await a.send(b"")
