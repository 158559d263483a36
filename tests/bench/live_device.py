"""The device that shows live queries in a benchmark: `live_device.py STORE TICKET ROWS`.

It makes ROWS rows in a space of its own, joins the other device's space, and then serves each mode that is a line of
its input, printing one object a line: that it is ready, and then when each callback came, in nanoseconds of the
machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

from lichen import Engine
from lichen.runtime.rows import documents_to_seal
from lichen_adapters.orm import Rows, Sessions, call_live
from live_models import MODES, SHOWN, Base, Score, best, row
from sqlalchemy import func, select

GAMES = 100
BATCH = 1_000


def say(**value: object) -> None:
    """Print an object."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def fill(sessions: Sessions, space: Any, rows: int) -> None:
    """Rows with fewer points than those of the other device, spread over all games."""
    for start in range(0, rows, BATCH):
        with sessions.begin(space) as session:
            session.add_all(
                row(number, number % GAMES, number % 1_000) for number in range(start, min(rows, start + BATCH))
            )


async def here(engine: Engine, sessions: Sessions, rows: int) -> None:
    """Wait for the rows of the other device."""

    def count() -> int:
        with sessions() as session:
            return session.scalar(select(func.count()).select_from(Score)) or 0

    async with contextlib.aclosing(engine.events()) as events:
        while await asyncio.to_thread(count) < rows + SHOWN:
            await anext(events)


async def serve(sessions: Sessions, mode: str) -> None:
    """Run the live queries of a mode until the next line of input."""
    first = asyncio.Event()
    loop = asyncio.get_running_loop()

    def called(_rows: Rows[Any]) -> None:
        at = time.monotonic_ns()
        if first.is_set():
            say(at=at)
        else:
            loop.call_soon_threadsafe(first.set)

    others = range(1, GAMES) if mode == "hundred" else ()
    ends = [call_live(sessions, best(game, indexed=True), lambda _: None) for game in others]
    ends.append(call_live(sessions, best(0, indexed=mode != "unindexed"), called))
    await first.wait()
    say(ready=True)
    await asyncio.to_thread(sys.stdin.readline)
    for end in ends:
        end()


async def main() -> None:
    """Prepare, join, and serve every mode."""
    store, ticket, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
    async with Engine.open(store, passphrase="benchmark") as engine:
        sessions = Sessions(engine, Base)
        await asyncio.to_thread(sessions.prepare)
        own = await engine.create_space("Own", member_name="B")
        await asyncio.to_thread(fill, sessions, own, rows)
        while await asyncio.wrap_future(engine.store.write(documents_to_seal)):
            await asyncio.sleep(0.1)
        await engine.join(ticket, name="B")
        await here(engine, sessions, rows)
        for mode in MODES:
            await serve(sessions, mode)
        sessions.close()


with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
    asyncio.run(main())
