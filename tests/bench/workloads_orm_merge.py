"""How fast rows follow documents: rows/s, beside the limits that are asked for.

- orm-merge: another device made objects of 6 columns, each sealed in a set of its own. From the link to that device
  being dialled until all rows are committed here: fetched, checked, opened, stored, and written as rows.
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
from lichen.runtime.rows import documents_to_seal
from lichen_adapters.orm import Sessions
from orm_contacts import Base, Contact, contacts
from sqlalchemy import Connection, func, select


async def merges(objects: int, rounds: int) -> dict[str, list[float]]:
    """Rows/s of each workload."""
    found: dict[str, list[float]] = {"orm-merge": [], "orm-merge-rows": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            there, here = (f"sqlite:///{Path(folder) / name}{number}.db" for name in ("there", "here"))
            async with Engine.open(there) as ann:
                address = await ann.listen(f"memory://merge{number}")
                space = await ann.create_space("Bench")
                async with Engine.open(here) as bob:
                    await bob.join(await space.invite(mode="auto", hints=[address]))
                sessions = Sessions(ann, Base)
                await asyncio.to_thread(sessions.prepare)
                with sessions.begin(space) as session:
                    session.add_all(contacts(Contact, objects))
                while await asyncio.wrap_future(ann.store.write(documents_to_seal)):
                    await asyncio.sleep(0.05)
                sessions.close()
                async with Engine.open(here) as bob:
                    sessions = Sessions(bob, Base)
                    await asyncio.to_thread(sessions.prepare)
                    began = time.perf_counter()
                    await bob.connect(address)
                    while await asyncio.to_thread(_count, sessions) < objects:
                        await asyncio.sleep(0.02)
                    found["orm-merge"].append(objects / (time.perf_counter() - began))
                    seconds = await asyncio.wrap_future(bob.store.write(partial(_write_rows, sessions)))
                    found["orm-merge-rows"].append(objects / seconds)
                    sessions.close()
    return found


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
