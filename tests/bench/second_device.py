"""The second device of a benchmark: `second_device.py STORE TICKET DOCUMENT live|fresh`.

It joins, then prints one object a line: first that it is ready, then (live) each event with the time at which it
came, or (fresh) what fetching the document took.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time

from lichen import Document, Engine
from lichen.cli.follower import peak_rss, when_here
from lichen.ids import DocId


def say(**value: object) -> None:
    """Print an object."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def live(note: Document) -> None:
    """Tell when each event came, in nanoseconds of the machine's monotonic clock, and how long the text is then."""
    async with contextlib.aclosing(note.events()) as events:
        say(ready=True, length=len(note.doc["body"]))
        async for applied in events:
            if not applied.local:
                say(at=time.monotonic_ns(), length=len(note.doc["body"]))


async def fresh(engine: Engine, note: Document, began: float) -> None:
    """Wait for the whole document; its length is the next line of standard input."""
    wanted = json.loads(await asyncio.to_thread(sys.stdin.readline))
    async with contextlib.aclosing(note.events()) as events:
        while [head.hex() for head in note.heads] != wanted["heads"]:
            await anext(events)
    received = sum(received for _, received in engine.traffic.values())
    say(seconds=time.perf_counter() - began, bytes=received, memory=peak_rss(), length=len(note.doc["body"]))


async def main() -> None:
    """Join and serve the mode asked for."""
    store, ticket, document, mode = sys.argv[1:]
    began = time.perf_counter()
    async with Engine.open(store, passphrase="benchmark") as engine:
        await engine.join(ticket, name="B")
        note = await when_here(engine, DocId(bytes.fromhex(document)))
        await (live(note) if mode == "live" else fresh(engine, note, began))


with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
    asyncio.run(main())
