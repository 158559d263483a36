"""Whoever has no business here: noise on the port, a member of nothing, someone in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from lichen import Engine, Relay, Text
from lichen.config import DEFAULT_LIMITS
from lichen.core.events import SpaceLoaded
from lichen.crypto.identity import Identity
from lichen.errors import StoreLocked, TicketError, Unreachable
from lichen.ids import DeviceKey
from lichen.runtime.link import Link, shake_hands
from lichen.runtime.transports import transport_for
from lichen.testing.waiting import until
from lichen.wire import frames
from lichen.wire.ticket import Ticket
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from .conftest import Devices
from .test_together import shared_note, write


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"\x00"],
        [os.urandom(32)],
        [os.urandom(1024)],
        [os.urandom(60 * 1024)] * 3,
        [bytes(2 * 1024 * 1024)],
        ["text"],
    ],
    ids=["empty", "zero", "key-sized", "kilobyte", "frames", "oversized", "text"],
)
async def test_noise_on_the_port_disturbs_nobody(
    frames: list[bytes | str], relay: Relay, devices: Devices, caplog: pytest.LogCaptureFixture
) -> None:
    ann, bob = await devices("ann", "bob")
    address = await relay.listen("ws://127.0.0.1:0")
    note, copy = await shared_note(ann, bob, address)
    links = relay.status["links"]
    with contextlib.suppress(WebSocketException, ConnectionError):
        async with asyncio.timeout(20), connect(address, max_size=None) as stranger:
            for frame in frames:
                await stranger.send(frame)
            while True:
                await stranger.recv()
    await write(note, " and milk")
    await until(lambda: copy.heads == note.heads)
    assert relay.status["links"] == links
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_strangers_who_open_links_and_say_nothing_keep_nobody_out(
    relay: Relay, devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take the handshake's whole time each, and come again and again."""
    monkeypatch.setattr("lichen.runtime.connections.GREETERS", 8)
    address = await relay.listen("ws://127.0.0.1:0")

    async def say_nothing() -> None:
        while True:
            with contextlib.suppress(WebSocketException, OSError):
                async with connect(address, subprotocols=[Subprotocol("lichen.v1")], proxy=None) as stranger:
                    await stranger.wait_closed()

    strangers = [asyncio.create_task(say_nothing()) for _ in range(12)]
    await until(lambda: len(relay._connections._greeting) == 8)
    (ann,) = await devices("ann")
    await ann.create_space("Family")
    began = asyncio.get_running_loop().time()
    await ann.connect(address)
    await until(lambda: ann.up_to_date)
    assert asyncio.get_running_loop().time() - began < ann.limits.handshake_s
    for stranger in strangers:
        stranger.cancel()
    await asyncio.gather(*strangers, return_exceptions=True)


async def test_a_stranger_s_mail_waits_for_the_relay_s_disk_only_so_far(tmp_path: Path) -> None:
    limits = replace(DEFAULT_LIMITS, mail_unstored=5)
    async with Relay.open(f"sqlite:///{tmp_path}/r.db", limits=limits) as relay:
        address = await relay.listen("memory://mail")
        eve = Identity(b"e" * 96)
        channel = await transport_for(address).dial(address, message_bytes=limits.frame_bytes)
        hands = await shake_hands(channel, eve, initiator=True, ephemeral=b"1" * 32, limits=limits)
        link = Link(1, channel, hands, limits, arrived=lambda *_: None, congested=print, drained=print)
        run = asyncio.create_task(link.run())
        disk = threading.Event()
        blocked = relay.store.write(lambda _conn: disk.wait(20))
        link.send(frames.Hello(frames.VERSION, False, bytes(16), b"", ()))
        for number in range(50):
            link.send(frames.Mail(DeviceKey(number.to_bytes(32, "big")), eve.device, bytes(1_000)))
        await until(lambda: relay._driver.links and relay._driver.links[1].bytes_received >= 50_000)
        disk.set()
        await asyncio.wrap_future(blocked)
        await until(lambda: not relay._driver._unstored_mail)
        kept = await asyncio.wrap_future(
            relay.store.read(lambda conn: conn.exec_driver_sql("SELECT count(*) FROM lichen_mail").scalar_one())
        )
        assert kept == 5
        link.close("done")
        await run


async def test_who_is_no_member_learns_nothing(relay: Relay, devices: Devices) -> None:
    ann, bob, eve = await devices("ann", "bob", "eve")
    address = await relay.listen("ws://127.0.0.1:0")
    note, _copy = await shared_note(ann, bob, address)
    await eve.create_space("Mine")
    await eve.connect(address)
    await until(lambda: eve.up_to_date)
    await write(note, " and milk")
    await until(lambda: ann.up_to_date)
    assert [space.name for space in eve.spaces] == ["Mine"]
    assert eve.paths(eve.spaces[0].id) == []
    # who knows the space's id and asks for it gets nothing either
    eve._driver.feed(_loaded(note.space, ann.device))
    await eve.connect(address + "/")
    await until(lambda: len(eve._driver.links) == 2)
    await write(note, " and bread")
    await until(lambda: ann.up_to_date)
    state = eve._node.state.spaces[note.space]
    assert (state.known, list(state.log.heads), state.keys) == ({}, [], {})


def _loaded(space: bytes, issuer: bytes) -> object:
    return SpaceLoaded(space, (), (), (), issuer)  # type: ignore[arg-type]  # any 32 bytes


Tamper = Callable[[int, bytes], bytes]


@contextlib.asynccontextmanager
async def in_the_middle(address: str, tamper: Tamper) -> AsyncIterator[tuple[str, list[int]]]:
    """A proxy that carries TCP to `address` through `tamper(chunk number, bytes)`; its own address and chunk counts."""
    host, port = address.removeprefix("ws://").split(":")
    chunks = [0]
    writers: list[asyncio.StreamWriter] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, changed: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if changed:
                    data = tamper(chunks[0], data)
                    chunks[0] += 1
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(host, int(port))
        writers.extend((writer, forth))
        await asyncio.gather(carry(reader, forth, changed=True), carry(back, writer, changed=False))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", chunks
        for writer in writers:
            writer.close()


def flip_last(number: int, data: bytes) -> bytes:
    """Leave the HTTP upgrade, and flip a bit at the end of the chunks after it."""
    return data if number == 0 else data[:-1] + bytes([data[-1] ^ 1])


async def test_a_flipped_bit_in_the_handshake_opens_no_link(relay: Relay, devices: Devices) -> None:
    (ann,) = await devices("ann")
    async with in_the_middle(await relay.listen("ws://127.0.0.1:0"), flip_last) as (address, chunks):
        connection = await ann.connect(address)
        await until(lambda: chunks[0] >= 4)
        assert ann._driver.links == {}
        assert relay.status["links"] == 0
        assert connection.state != "connected"
        connection.close()


async def test_a_flipped_bit_later_ends_the_link_and_loses_nothing(relay: Relay, devices: Devices) -> None:
    """Every fortieth chunk is damaged: the link breaks, is dialled again, and all arrives once."""
    ann, bob = await devices("ann", "bob")
    damaged = [0]

    def now_and_then(number: int, data: bytes) -> bytes:
        if number % 40 != 39:
            return data
        damaged[0] += 1
        return data[:-1] + bytes([data[-1] ^ 1])

    address = await relay.listen("ws://127.0.0.1:0")
    note, copy = await shared_note(ann, bob, address)
    for connection in ann.connections:
        connection.close()
    async with in_the_middle(address, now_and_then) as (tampered, _chunks):
        await ann.connect(tampered)
        number = 0
        while damaged[0] < 3:
            await write(note, f" {number}")
            number += 1
            await until(lambda: note.heads == copy.heads, 40)
    words = str(copy.doc["body"]).split()
    assert words == ["eggs", *(str(each) for each in range(number))]


async def test_a_relay_that_poses_as_the_issuer_gets_nobody(tmp_path: Path, devices: Devices) -> None:
    """The ticket's secret is part of the handshake: whoever stands at its address without it cannot answer."""
    ann, eve, bob = await devices("ann", "eve", "bob")
    space = await ann.create_space("Family")
    await space.create({"body": Text("secret")})
    address = await eve.listen("memory://posing")
    ticket = Ticket.parse(await space.invite(mode="auto", hints=[address]))
    with pytest.raises(Unreachable):
        await bob.join(ticket.encode(), timeout_s=1)
    # also when the ticket names the one who poses as its issuer
    posing = replace(ticket, issuer=eve.device)
    with pytest.raises((Unreachable, TicketError)):
        await bob.join(posing.encode(), timeout_s=1)
    assert (bob.spaces, eve.spaces) == ([], [])


async def fail_inside(url: str) -> None:
    async with Engine.open(url):
        with pytest.raises(StoreLocked):
            await fail_inside(url)
        raise ZeroDivisionError


async def test_a_store_is_opened_once_and_what_is_raised_inside_leaves_as_it_is(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await fail_inside(f"sqlite:///{tmp_path}/a.db")
