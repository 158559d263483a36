"""One remote edit of a row until the callback of a live query that shows it: two processes over loopback.

Rows: {workload, library, n, median, p99, unit, limit}; the unit is milliseconds, from before the writing session is
made until the callback is called. The query shows the best 50 of one game, of 100,000 rows of 100 games.

- orm-live: filter and order by an index.
- orm-live-unindexed: the same without an index.
- orm-live-hundred: with 99 more live queries on the same table and columns, one for each other game.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from lichen_adapters.orm import Sessions
from live_models import MODES, SHOWN, Base, Score, row
from sqlalchemy import select
from two_devices import Peer, first_device, process
from workloads_engine import row as measured

DEVICE = Path(__file__).with_name("live_device.py")
ROWS, EDITS = 100_000, 300
QUICK_ROWS, QUICK_EDITS = 2_000, 30
READY_S = 1_200.0


def rows(quick: bool) -> Iterator[dict[str, Any]]:
    """Every row; some minutes, most of which make the rows; quick some 20 s."""
    count, edits = (QUICK_ROWS, QUICK_EDITS) if quick else (ROWS, EDITS)
    with tempfile.TemporaryDirectory(prefix="lichen-bench-") as folder:
        found = asyncio.run(_measure(Path(folder), count, edits))
    for mode, times in found.items():
        name = "orm-live" if mode == MODES[0] else f"orm-live-{mode}"
        yield measured(name, times, "ms", f"{SHOWN} of {count + SHOWN} rows")


async def _measure(folder: Path, count: int, edits: int) -> dict[str, list[float]]:
    async with first_device(folder) as engine:
        listener = await engine.listen("ws://127.0.0.1:0")
        space = await engine.create_space("Bench", member_name="A")
        sessions = Sessions(engine, Base)
        await asyncio.to_thread(sessions.prepare)
        with sessions.begin(space) as session:
            session.add_all(row(number, 0, 10_000 + number) for number in range(SHOWN))
        ticket = await space.invite(mode="auto", expires=timedelta(hours=1), hints=[str(listener)])
        async with process(str(DEVICE), f"sqlite:///{folder / 'b.db'}", ticket, str(count)) as peer:
            found = {mode: await _edits(sessions, peer, edits, 20_000 + edits * at) for at, mode in enumerate(MODES)}
        sessions.close()
    return found


async def _edits(sessions: Sessions, peer: Peer, edits: int, points: int) -> list[float]:
    """Milliseconds of edits one after another, each of which puts a row in another place."""
    assert peer.process.stdin is not None
    assert (await peer.line(READY_S))["ready"]
    rng = random.Random(points)
    times = []
    for number in range(edits):
        began = time.monotonic_ns()
        await asyncio.to_thread(_edit, sessions, rng.randrange(SHOWN), points + number)
        times.append(((await peer.line())["at"] - began) / 1e6)
    peer.process.stdin.write(b"next\n")
    await peer.process.stdin.drain()
    return times


def _edit(sessions: Sessions, which: int, points: int) -> None:
    with sessions.begin() as session:
        found = session.scalars(select(Score).where(Score.name == f"player {which}")).one()
        found.points = found.other_points = points
