"""How fast rows follow documents: rows/s, beside the limits that are asked for.

- orm-merge: another device, in another process on loopback, made objects of 6 columns, each sealed in a set of its own.
  From the link to it being dialled until all rows are committed here: fetched, checked, opened, stored, and written.
- orm-merge-rows: the last step alone. Documents in memory have taken changes to 2 columns; their rows are written from
  the patches.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import uuid
from functools import partial
from pathlib import Path
from typing import Any

from lichen import Engine
from lichen_adapters.orm import Sessions
from orm_contacts import Base, Contact
from sqlalchemy import Connection, func, select
from two_devices import process

DEVICE = Path(__file__).with_name("merge_device.py")
READY_S = 600.0


async def merges(objects: int, rounds: int) -> dict[str, list[float]]:
    """Rows/s of each workload."""
    found: dict[str, list[float]] = {"orm-merge": [], "orm-merge-rows": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="lichen-bench-") as folder:
            merged, written = await _merge(Path(folder), objects)
        found["orm-merge"].append(objects / merged)
        found["orm-merge-rows"].append(objects / written)
    return found


async def _merge(folder: Path, objects: int) -> tuple[float, float]:
    """Seconds of both workloads."""
    here = f"sqlite:///{folder / 'here.db'}"
    async with process(str(DEVICE), f"sqlite:///{folder / 'there.db'}", str(objects)) as there:
        space = await there.line()
        async with Engine.open(here, passphrase="benchmark") as engine:
            await engine.join(space["ticket"])
        assert there.process.stdin is not None
        there.process.stdin.write(b"next\n")
        await there.line(READY_S)
        async with Engine.open(here, passphrase="benchmark") as engine:
            sessions = Sessions(engine, Base)
            await asyncio.to_thread(sessions.prepare)
            began = time.perf_counter()
            await engine.connect(space["address"])
            while await asyncio.to_thread(_count, sessions) < objects:
                await asyncio.sleep(0.02)
            merged = time.perf_counter() - began
            written = await asyncio.wrap_future(engine.store.write(partial(_write_rows, sessions)))
            sessions.close()
    return merged, written


def _count(sessions: Sessions) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(Contact)) or 0


def _write_rows(sessions: Sessions, conn: Connection) -> float:
    """Seconds for the rows of all documents, of each of which 2 columns have changed."""
    changes: dict[uuid.UUID, list[bytes]] = {}
    for doc in list(conn.scalars(select(Contact.id))):
        document = sessions.memory.get(conn, doc)
        assert document is not None
        other = document.fork()
        with other.change() as made:
            other["age"], other["name"] = 7, "another"
        changes[doc] = [change for _, change in made.changes]
    sessions.memory.let_go()
    sessions.memory.load(conn, changes)
    taken = list(sessions.memory.take(conn, changes))
    began = time.perf_counter()
    for one in taken:
        sessions.projector.write(conn, one)
    sessions.projector.before_commit(conn)
    return time.perf_counter() - began


def rate_row(workload: str, found: list[float], limit: str) -> dict[str, Any]:
    """One row for `run.py`."""
    return {
        "workload": workload,
        "library": "lichen",
        "n": len(found),
        "median": round(statistics.median(found)),
        "p99": round(min(found)),
        "unit": "rows/s",
        "limit": limit,
    }
