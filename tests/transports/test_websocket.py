"""Channels over websockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import sys

import pytest
from lichen.errors import ConfigError, LinkBroken, LinkClosed, Unreachable
from lichen.testing.channels import CHECKS, Check, check_peer_death
from lichen.testing.waiting import until
from lichen.transport import Channel, Listener, Transport
from lichen_transports.websocket import WebSocketLimits, WebSocketTransport, transport
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from .websocket_pairs import SIZE, open_pair


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("dialler_first", [True, False], ids=["dialler-first", "listener-first"])
async def test_is_a_channel(check: Check, dialler_first: bool, listeners: list[Listener]) -> None:
    async def make_pair(message_bytes: int) -> tuple[Channel, Channel]:
        a, b = await open_pair(WebSocketTransport(), listeners, "ws://127.0.0.1:0", message_bytes)
        return (a, b) if dialler_first else (b, a)

    await check(make_pair)


async def test_satisfies_the_interfaces(listeners: list[Listener]) -> None:
    assert isinstance(transport, Transport)
    await open_pair(transport, listeners, "ws://127.0.0.1:0", SIZE)
    assert isinstance(listeners[0], Listener)


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("ws://127.0.0.1:0", "ws://127.0.0.1:"),
        ("ws://[::1]:0", "ws://[::1]:"),
        ("ws://localhost:0/ignored", "ws://localhost:"),
        ("ws://:0", "ws://0.0.0.0:"),
    ],
)
async def test_port_0_is_chosen_by_the_system(url: str, start: str, listeners: list[Listener]) -> None:
    a, b = await open_pair(transport, listeners, url, SIZE)
    address = listeners[0].address
    assert address.startswith(start)
    assert int(address.rpartition(":")[2]) > 0
    assert a.remote == address
    await a.send(b"over it")
    assert await b.receive() == b"over it"
    await a.close()
    await b.close()


async def test_a_path_and_options_of_the_dialled_address_reach_a_proxy() -> None:
    seen: list[str] = []

    async def note_path(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request.path)

    async with serve(note_path, "127.0.0.1", 0, subprotocols=[Subprotocol("lichen.v1")]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        channel = await transport.dial(f"ws://127.0.0.1:{port}/relay/a", message_bytes=SIZE)
        with pytest.raises(LinkBroken):
            await channel.receive()
        await channel.close()
    assert seen == ["/relay/a"]


@pytest.mark.parametrize(
    "url",
    [
        "http://host:1",
        "ws://host:99999",
        "ws://host:port",
        "ws://name:secret@host:1",
        "ws://host:1/#part",
        "ws://[::1",
        "ws://",
        "ws://127.0.0.1:0",
        f"ws://{'a' * 70}.example:1",
        "ws://host:1/\r\nX: y",
        "ws://a b:1",
        "",
    ],
)
async def test_an_unreadable_address_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        await transport.dial(url, message_bytes=SIZE)
    assert raised.value.hint


async def test_nobody_there_is_unreachable_with_a_hint() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(Unreachable, match="nobody listens") as caught:
        await transport.dial(f"ws://127.0.0.1:{port}", message_bytes=SIZE)
    assert caught.value.hint


async def test_an_unknown_host_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        await transport.dial("ws://no-such-host.invalid:80", message_bytes=SIZE)


async def test_a_silent_port_is_unreachable_in_bounded_time() -> None:
    impatient = WebSocketTransport(WebSocketLimits(open_s=0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unreachable, match="no answer in time"):
        await impatient.dial(f"ws://127.0.0.1:{silent.getsockname()[1]}", message_bytes=SIZE)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
        b"\x16\x03\x01\x00\x00",
        bytes(9000),
    ],
    ids=["http", "ssh", "nothing", "tls", "zeros"],
)
async def test_a_stranger_on_the_port_is_unreachable(answer: bytes) -> None:
    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(stranger, "127.0.0.1", 0)
    async with server:
        with pytest.raises(Unreachable):
            await transport.dial(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", message_bytes=SIZE)


async def test_a_redirect_is_not_followed(listeners: list[Listener]) -> None:
    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        location = listeners[0].address.encode()
        writer.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n")
        await writer.drain()
        writer.close()

    listeners.append(await transport.listen("ws://127.0.0.1:0", message_bytes=SIZE))
    server = await asyncio.start_server(redirect, "127.0.0.1", 0)
    async with server:
        with pytest.raises(Unreachable):
            await transport.dial(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", message_bytes=SIZE)


async def test_a_websocket_of_another_kind_is_unreachable() -> None:
    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(silent, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(Unreachable, match="not one of lichen"):
            await transport.dial(f"ws://127.0.0.1:{port}", message_bytes=SIZE)


async def test_a_port_in_use_is_unreachable_with_a_hint(listeners: list[Listener]) -> None:
    listeners.append(await transport.listen("ws://127.0.0.1:0", message_bytes=SIZE))
    with pytest.raises(
        Unreachable, match=r"cannot listen at ws://127\.0\.0\.1:\d+: Address already in use\n"
    ) as caught:
        await transport.listen(listeners[0].address, message_bytes=SIZE)
    assert "port 0" in caught.value.hint


async def test_closing_a_listener_wakes_accept_and_refuses_newcomers(listeners: list[Listener]) -> None:
    a, b = await open_pair(transport, listeners, "ws://127.0.0.1:0", SIZE)
    waiting = asyncio.create_task(listeners[0].accept())
    await asyncio.sleep(0)
    await listeners[0].close()
    await listeners[0].close()
    with pytest.raises(LinkClosed):
        await waiting
    with pytest.raises(Unreachable):
        await transport.dial(listeners[0].address, message_bytes=SIZE)
    await a.send(b"accepted channels live on")
    assert await b.receive() == b"accepted channels live on"
    await a.close()
    await b.close()


async def test_a_channel_nobody_accepted_is_closed_with_its_listener(listeners: list[Listener]) -> None:
    listener = await transport.listen("ws://127.0.0.1:0", message_bytes=SIZE)
    dialled = await transport.dial(listener.address, message_bytes=SIZE)
    await listener.close()
    with pytest.raises(LinkBroken):
        await dialled.receive()
    await dialled.close()


async def test_a_full_backlog_refuses_a_newcomer() -> None:
    small = WebSocketTransport(WebSocketLimits(backlog=1))
    listener = await small.listen("ws://127.0.0.1:0", message_bytes=SIZE)
    first = await small.dial(listener.address, message_bytes=SIZE)
    second = await small.dial(listener.address, message_bytes=SIZE)
    with pytest.raises(LinkBroken):
        await second.receive()
    accepted = await listener.accept()
    await first.send(b"the first is served")
    assert await accepted.receive() == b"the first is served"
    for closing in (first, second, accepted, listener):
        await closing.close()


async def test_text_breaks_the_channel(listeners: list[Listener]) -> None:
    listener = await transport.listen("ws://127.0.0.1:0", message_bytes=SIZE)
    listeners.append(listener)
    async with connect(listener.address, subprotocols=[Subprotocol("lichen.v1")], proxy=None) as stranger:
        channel = await listener.accept()
        await stranger.send("words")
        with pytest.raises(LinkBroken, match="binary"):
            await channel.receive()
        with pytest.raises(LinkBroken):
            await channel.send(b"x")
        await channel.close()


async def test_compression_is_never_agreed(listeners: list[Listener]) -> None:
    listener = await transport.listen("ws://127.0.0.1:0", message_bytes=SIZE)
    listeners.append(listener)
    async with connect(listener.address, subprotocols=[Subprotocol("lichen.v1")], proxy=None) as stranger:
        assert not stranger.protocol.extensions
        await (await listener.accept()).close()


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
)
OPENING = UPGRADE + b"Sec-WebSocket-Protocol: lichen.v1\r\n\r\n"
GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no subprotocol": UPGRADE + b"\r\n",
    "tls hello": bytes.fromhex("16030100c8010000c40303") + bytes(range(189)),
    "random": bytes(range(256)) * 8,
    "endless line": b"A" * 100_000,
    "endless headers": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000,
    "nothing": b"",
    "bad frame": OPENING + b"\xff\xff\xff",
    "unmasked frame": OPENING + b"\x82\x05hello",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_leaves_no_trace(garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    limited = WebSocketTransport(WebSocketLimits(open_s=0.5))
    listener = await limited.listen("ws://127.0.0.1:0", message_bytes=SIZE)
    before = asyncio.all_tasks()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(listener.address.rpartition(":")[2]))
    writer.write(garbage)
    writer.write_eof()
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    good = await limited.dial(listener.address, message_bytes=SIZE)
    await _accepted_that_answers(listener, good)
    await good.close()
    await listener.close()
    await until(lambda: asyncio.all_tasks() <= before)
    assert [record for record in caplog.records if record.exc_info or record.levelno > logging.INFO] == []


async def _accepted_that_answers(listener: Listener, good: Channel) -> None:
    """Whatever a stranger left in the queue breaks by itself; behind it comes the good one."""
    while True:
        accepted = await listener.accept()
        await good.send(b"hello")
        try:
            assert await accepted.receive() == b"hello"
            await accepted.close()
            return
        except LinkBroken:
            await accepted.close()


async def test_a_stranger_who_says_nothing_is_dropped() -> None:
    limited = WebSocketTransport(WebSocketLimits(open_s=0.2))
    listener = await limited.listen("ws://127.0.0.1:0", message_bytes=SIZE)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(listener.address.rpartition(":")[2]))
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()
    await listener.close()


async def test_a_reset_breaks_the_channel(listeners: list[Listener]) -> None:
    listener = await transport.listen("ws://127.0.0.1:0", message_bytes=SIZE)
    listeners.append(listener)
    raw = socket.create_connection(("127.0.0.1", int(listener.address.rpartition(":")[2])))
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_sendall(raw, OPENING)
    channel = await listener.accept()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()
    with pytest.raises(LinkBroken):
        await channel.receive()
    await channel.close()


PEER = """
import asyncio, sys
from lichen_transports.websocket import transport
async def main():
    channel = await transport.dial(sys.argv[1], message_bytes=61440)
    await channel.send(b"here")
    await channel.receive()
asyncio.run(main())
"""


async def test_a_killed_process_breaks_the_channel(listeners: list[Listener]) -> None:
    listener = await transport.listen("ws://127.0.0.1:0", message_bytes=SIZE)
    listeners.append(listener)
    peer = await asyncio.create_subprocess_exec(sys.executable, "-c", PEER, listener.address)
    channel = await listener.accept()
    assert await channel.receive() == b"here"
    await check_peer_death(channel, peer.kill, within_s=2)
    await peer.wait()


async def test_a_cancelled_close_still_drops_the_connection(listeners: list[Listener]) -> None:
    a, b = await open_pair(transport, listeners, "ws://127.0.0.1:0", SIZE)
    closing = asyncio.create_task(a.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(LinkClosed):
        await a.receive()
    with pytest.raises(LinkBroken):
        await b.receive()
    await b.close()


async def test_a_dial_that_is_cancelled_leaves_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        before = asyncio.all_tasks()
        dialling = asyncio.create_task(transport.dial(f"ws://127.0.0.1:{silent.getsockname()[1]}", message_bytes=SIZE))
        await asyncio.sleep(0)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        assert asyncio.all_tasks() == before
