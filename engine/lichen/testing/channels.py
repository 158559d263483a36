"""The checks that every transport's channels must pass; a transport of your own runs them too.

Give the way to make a connected pair, and run each of `CHECKS` (or all of them with `check_channel_pair`):

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_is_a_channel(check):
        await check(make_pair)

A check raises `AssertionError` with what is wrong, and ends in bounded time: what waits too long is a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from lichen.errors import LinkBroken, LinkClosed, LinkError
from lichen.transport import Channel

MakePair = Callable[[int], Awaitable[tuple[Channel, Channel]]]
"""Opens both ends of one path; the argument is `message_bytes`, the largest message both ends accept."""

T = TypeVar("T")

Check = Callable[[MakePair], Coroutine[Any, Any, None]]

FRAME_BYTES = 60 * 1024
"""The largest frame of a link: every channel must carry it whole."""

PATIENCE_S = 10.0
"""Longest time that any single step may take."""

CLOSE_S = 3.0
"""Longest time that a close may take, whatever the other side does."""

PATH_BYTES = 64 * 1024 * 1024
"""Most bytes that a path may hold, all its buffers and the kernel's together, before a sender must wait."""


async def check_channel_pair(make_pair: MakePair) -> None:
    """Run every check, one after the other."""
    for check in CHECKS:
        await check(make_pair)


async def check_order(make_pair: MakePair) -> None:
    """Messages arrive whole, once and in the order they were sent, in both directions at the same time."""
    a, b = await _open(make_pair)
    sent = [index.to_bytes(4, "big") + bytes(index % 700) for index in range(1_000)]
    got_b, got_a, *_ = await _soon(
        asyncio.gather(_receive_many(b, len(sent)), _receive_many(a, len(sent)), _send_all(a, sent), _send_all(b, sent))
    )
    _expect(got_b == sent, "messages from the first end arrived changed or in another order")
    _expect(got_a == sent, "messages from the second end arrived changed or in another order")
    await _close(a, b)


async def check_sizes(make_pair: MakePair) -> None:
    """The empty message, one byte and the largest frame arrive as they were sent."""
    a, b = await _open(make_pair)
    for size in (0, 1, 1_199, 1_200, 1_201, 16_384, FRAME_BYTES - 1, FRAME_BYTES):
        message = bytes(index * 31 % 251 for index in range(size))
        await _soon(a.send(message))
        got = await _soon(b.receive())
        _expect(type(got) is bytes and got == message, f"a message of {size} bytes did not arrive as it was sent")
    await _close(a, b)


async def check_oversize(make_pair: MakePair) -> None:
    """A message above the agreed size breaks the channel for both ends, and what came before it is still delivered."""
    a, b = await _open(make_pair, message_bytes=1_000)
    await _soon(a.send(bytes(1_000)))
    await _until_link_error(a.send(bytes(1_001)))
    _expect(await _soon(b.receive()) == bytes(1_000), "a message before the oversized one was lost")
    await _raises(LinkBroken, b.receive(), "receive after an oversized message")
    await _raises(LinkBroken, b.send(b"x"), "send after an oversized message")
    await _raises(LinkBroken, a.receive(), "receive at the sender of an oversized message")
    await _close(a, b)


async def check_close_wakes_receivers(make_pair: MakePair) -> None:
    """Closing wakes a waiting receiver: with LinkClosed on this side, with LinkBroken on the other."""
    a, b = await _open(make_pair)
    here, there = asyncio.create_task(a.receive()), asyncio.create_task(b.receive())
    await _settle()
    await _closes(a)
    await _raises(LinkClosed, here, "a receiver waiting where the channel was closed")
    await _raises(LinkBroken, there, "a receiver waiting at the other end of a closed channel")
    await _raises(LinkClosed, a.receive(), "receive after close")
    await _raises(LinkClosed, a.send(b"x"), "send after close")
    await _raises(LinkBroken, b.receive(), "receive after the other end closed")
    await _raises(LinkBroken, b.send(b"x"), "send after the other end closed")
    await _close(a, b)


async def check_close_delivers_what_was_sent(make_pair: MakePair) -> None:
    """What was sent before a close is delivered to an end that reads."""
    a, b = await _open(make_pair)
    sent = [bytes([index]) * 5_000 for index in range(20)]
    await _soon(_send_all(a, sent))
    got, _ = await _soon(asyncio.gather(_receive_many(b, len(sent)), a.close()))
    _expect(got == sent, "messages sent before the close were lost")
    await _raises(LinkBroken, b.receive(), "receive after the other end closed")
    await _close(a, b)


async def check_close_is_idempotent(make_pair: MakePair) -> None:
    """Closing twice, from two tasks, and from both ends at once is no error."""
    a, b = await _open(make_pair)
    await _soon(asyncio.gather(a.close(), a.close(), b.close()))
    await _closes(a)
    await _closes(b)
    await _raises(LinkClosed, a.send(b"x"), "send after close")
    await _raises(LinkClosed, b.receive(), "receive after close")


async def check_backpressure(make_pair: MakePair) -> None:
    """A sender waits while the other side does not read, instead of filling memory; then nothing is lost."""
    a, b = await _open(make_pair)
    sent = 0
    message = bytes(FRAME_BYTES)
    while sent * FRAME_BYTES < PATH_BYTES and await _quick(a.send(message)):
        sent += 1
    _expect(sent * FRAME_BYTES < PATH_BYTES, f"{PATH_BYTES} bytes were accepted though nobody read")
    got = await _soon(_receive_many(b, sent), PATIENCE_S * 3)
    _expect(all(one == message for one in got), "a message changed while it waited")
    await _close(a, b)


async def check_close_wakes_senders(make_pair: MakePair) -> None:
    """Closing an end whose sender waits for a reader is bounded and wakes the sender with LinkClosed."""
    a, b = await _open(make_pair)
    sender = asyncio.create_task(_flood(a))
    await _stalled(sender)
    await _closes(a)
    await _raises(LinkClosed, sender, "a sender waiting where the channel was closed")
    await _until_link_error(_drain(b))
    await _close(a, b)


async def check_remote_close_wakes_senders(make_pair: MakePair) -> None:
    """When the other end closes without reading, a waiting sender is woken with LinkBroken."""
    a, b = await _open(make_pair)
    sender = asyncio.create_task(_flood(a))
    await _stalled(sender)
    await _closes(b)
    await _raises(LinkBroken, sender, "a sender waiting when the other end closed")
    await _close(a, b)


async def check_concurrent_senders(make_pair: MakePair) -> None:
    """Messages of several senders do not mix, and each sender's own arrive in its order."""
    a, b = await _open(make_pair)
    senders, each = 8, 40
    streams = [[bytes([who]) * (who * 997 + index * 61 + 1) for index in range(each)] for who in range(senders)]
    sending = [asyncio.create_task(_send_all(a, stream)) for stream in streams]
    got = await _soon(_receive_many(b, senders * each))
    await _soon(asyncio.gather(*sending))
    for who, stream in enumerate(streams):
        _expect([one for one in got if one[0] == who] == stream, f"the messages of sender {who} mixed or changed order")
    await _close(a, b)


async def check_cancelled_receive_loses_nothing(make_pair: MakePair) -> None:
    """A receive that is cancelled takes no message with it."""
    a, b = await _open(make_pair)
    for index in range(50):
        waiting = asyncio.create_task(b.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        message = index.to_bytes(4, "big")
        await _soon(a.send(message))
        _expect(await _soon(b.receive()) == message, "a cancelled receive lost a message")
    await _close(a, b)


async def check_names(make_pair: MakePair) -> None:
    """Both ends name the same path and the same binding, and each names the other side."""
    a, b = await _open(make_pair)
    _expect(a.path == b.path and bool(a.path), "the two ends name different paths")
    _expect(a.binding == b.binding, "the two ends have different bindings")
    _expect(bool(a.remote) and bool(b.remote), "an end does not name the other side")
    _expect(isinstance(a, Channel) and isinstance(b, Channel), "an end is not a Channel")
    await _close(a, b)


CHECKS: tuple[Check, ...] = (
    check_names,
    check_order,
    check_sizes,
    check_oversize,
    check_close_wakes_receivers,
    check_close_delivers_what_was_sent,
    check_close_is_idempotent,
    check_backpressure,
    check_close_wakes_senders,
    check_remote_close_wakes_senders,
    check_concurrent_senders,
    check_cancelled_receive_loses_nothing,
)


async def check_peer_death(channel: Channel, kill: Callable[[], None], *, within_s: float) -> None:
    """`kill` ends the other side's process without a goodbye: a receiver sees LinkBroken within `within_s`."""
    waiting = asyncio.create_task(channel.receive())
    await _settle()
    kill()
    await _raises(LinkBroken, waiting, "a receiver waiting when the other side died", within_s)
    await _raises(LinkBroken, channel.send(b"x"), "send after the other side died")
    await _closes(channel)
    await _raises(LinkClosed, channel.receive(), "receive after close")


async def _open(make_pair: MakePair, message_bytes: int = FRAME_BYTES) -> tuple[Channel, Channel]:
    return await _soon(make_pair(message_bytes))


async def _close(*channels: Channel) -> None:
    for channel in channels:
        await _closes(channel)


async def _closes(channel: Channel) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await channel.close()
    except TimeoutError:
        raise AssertionError(f"close took more than {CLOSE_S} s") from None


async def _soon(step: Awaitable[T], within_s: float = PATIENCE_S) -> T:
    try:
        async with asyncio.timeout(within_s):
            return await step
    except TimeoutError:
        raise AssertionError(f"a step took more than {within_s} s") from None


async def _raises(kind: type[LinkError], step: Awaitable[Any], what: str, within_s: float = PATIENCE_S) -> None:
    try:
        await _soon(step, within_s)
    except LinkError as error:
        _expect(type(error) is kind, f"{what} raised {type(error).__name__} instead of {kind.__name__}")
        return
    raise AssertionError(f"{what} did not raise {kind.__name__}")


async def _until_link_error(step: Awaitable[Any]) -> None:
    try:
        await _soon(step)
    except LinkError:
        return


async def _receive_many(channel: Channel, count: int) -> list[bytes]:
    return [await channel.receive() for _ in range(count)]


async def _send_all(channel: Channel, messages: list[bytes]) -> None:
    for message in messages:
        await channel.send(message)


async def _flood(channel: Channel) -> None:
    message = bytes(FRAME_BYTES)
    for _ in range(PATH_BYTES // FRAME_BYTES):
        await channel.send(message)


async def _drain(channel: Channel) -> None:
    while True:
        await channel.receive()


async def _quick(step: Coroutine[Any, Any, None], within_s: float = 0.5) -> bool:
    task = asyncio.create_task(step)
    done, _ = await asyncio.wait([task], timeout=within_s)
    if done:
        task.result()
        return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False


async def _stalled(sender: asyncio.Task[None], within_s: float = 0.5) -> None:
    """Wait until a flood has filled the path and stands still."""
    done, _ = await asyncio.wait([sender], timeout=within_s)
    _expect(not done, "a sender did not wait though nobody read")


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
