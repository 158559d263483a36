"""One side of a direct path in a process of its own; signals pass over its standard input and output, one a line.

`echo` answers and sends every message back. `ask` offers, sends messages of many sizes, checks what comes back, and
prints `result` and a JSON object: seconds to open, median round trip of a small message, bytes a second.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time

from lichen.errors import LinkBroken
from lichen.testing.signals import LineSignals
from lichen.transport import Channel
from lichen_transports.webrtc import WebRtcTransport

SIZE = 60 * 1024


async def echo(channel: Channel) -> None:
    try:
        while True:
            await channel.send(await channel.receive())
    except LinkBroken:
        await channel.close()


async def ask(channel: Channel, opened_s: float) -> None:
    for size in (0, 1, 1_200, 16_000, SIZE):
        message = bytes(index % 251 for index in range(size))
        await channel.send(message)
        assert await channel.receive() == message
    trips = []
    for _ in range(100):
        started = time.perf_counter()
        await channel.send(b"x" * 250)
        await channel.receive()
        trips.append(time.perf_counter() - started)
    started = time.perf_counter()
    count = 100
    sending = asyncio.create_task(_send_many(channel, count))
    for _ in range(count):
        await channel.receive()
    await sending
    rate = 2 * count * SIZE / (time.perf_counter() - started)
    result = {
        "opened_s": opened_s,
        "trip_s": statistics.median(trips),
        "bytes_per_s": rate,
        "binding": channel.binding.hex(),
        "remote": channel.remote,
    }
    sys.stdout.write(f"result {json.dumps(result)}\n")
    sys.stdout.flush()
    await channel.close()


async def _send_many(channel: Channel, count: int) -> None:
    for _ in range(count):
        await channel.send(bytes(SIZE))


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


async def main(role: str, loopback: bool) -> None:
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    transport = WebRtcTransport(loopback=loopback)
    started = time.perf_counter()
    channel = await transport.connect(LineSignals(lines, _write), offers=role == "ask", message_bytes=SIZE)
    if role == "ask":
        await ask(channel, time.perf_counter() - started)
    else:
        await echo(channel)
    pipe.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], "loopback" in sys.argv[2:]))
