"""What synced rows cost, beside plain SQLAlchemy on the same database in the same run: SQLCipher, and PostgreSQL.

The server is one for tests, which waits for no disk, and its database lies in the same folder for temporary files.

Rows: {workload, library, n, median, p99, unit, limit}; the unit is microseconds for each object, until commit returns.

- orm-insert: new objects of 6 columns, one transaction. `limit` says how much later all of them are sealed.
- orm-update: 2 columns of each of these objects, their documents in memory.
- orm-update-cold: the same, the documents not in memory.
- orm-select: all of them as objects.
- orm-merge, orm-merge-rows: how fast rows follow documents, see `workloads_orm_merge`.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from lichen import Engine, Space
from lichen.runtime.rows import documents_to_seal
from lichen.testing.postgres import PostgresServer
from lichen_adapters.orm import Sessions
from orm_contacts import Base, Contact, Plain, contacts
from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from workloads_orm_merge import merges, rate_row

Open = Callable[[], Session]
OBJECTS, ROUNDS = 10_000, 3
QUICK_OBJECTS, QUICK_ROUNDS = 1_000, 2


def rows(quick: bool) -> Iterator[dict[str, Any]]:
    """Measure everything; some minutes, quick some 45 s."""
    objects, rounds = (QUICK_OBJECTS, QUICK_ROUNDS) if quick else (OBJECTS, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        yield from asyncio.run(_rows_of(f"sqlite:///{Path(folder) / 'bench.db'}", "", objects, rounds))
    limits = {"orm-merge": "at least 4,000 asked for", "orm-merge-rows": "at least 20,000 asked for"}
    for name, rates in asyncio.run(merges(objects, rounds)).items():
        yield rate_row(name, rates, limits[name])
    with tempfile.TemporaryDirectory(prefix="lichen-") as folder:
        server = PostgresServer(Path(folder))
        try:
            yield from asyncio.run(_rows_of(server.database(), " (postgresql)", objects, rounds))
        finally:
            server.stop()


async def _rows_of(url: str, where: str, objects: int, rounds: int) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], list[float]] = {}
    sealed: list[float] = []
    async with Engine.open(url, passphrase="bench", clear_rows=True) as engine:
        space = await engine.create_space("Bench")
        sessions = Sessions(engine, Base)
        await asyncio.to_thread(sessions.prepare)
        for _ in range(rounds):
            async for name, library, seconds in _round(engine, sessions, space, objects):
                if name == "sealed":
                    sealed.append(seconds)
                else:
                    found.setdefault((name, library), []).append(seconds / objects * 1e6)
        sessions.close()
    later = f"sealed {statistics.median(sealed):.1f} s later"
    return [
        _row(name, library + where, found[name, library], later if (name, library) == ("orm-insert", "lichen") else "")
        for name in ("orm-insert", "orm-update", "orm-update-cold", "orm-select")
        for library in ("lichen", "sqlalchemy")
    ]


async def _round(
    engine: Engine, sessions: Sessions, space: Space, objects: int
) -> AsyncIterator[tuple[str, str, float]]:
    """Workload, library and seconds, of both in turns on as many objects each, which are gone at the end."""

    def opened() -> Session:
        return sessions(space)

    steps = [("orm-insert", _insert), ("", _update), ("orm-update", _update), ("orm-update", _update)]
    steps += [("orm-select", _select)] * 5 + [("orm-update-cold", _update), ("", _delete)]
    for name, work in steps:
        for library, model in (("sqlalchemy", Plain), ("lichen", Contact)):
            if name == "orm-update-cold":
                sessions.memory.let_go()
            gc.collect()  # else what came before decides in whose time a pass falls: it takes as long as a whole step
            seconds = await asyncio.to_thread(_timed, work, opened, model, objects)
            began = time.perf_counter()
            await _all_sealed(engine)
            if name:
                yield name, library, seconds
            if name == "orm-insert" and model is Contact:
                yield "sealed", library, time.perf_counter() - began


async def _all_sealed(engine: Engine) -> None:
    while await asyncio.wrap_future(engine.store.write(documents_to_seal)):
        await asyncio.sleep(0.02)  # looking more often would slow what is measured


def _timed(work: Callable[[Open, type[Any], int], None], opened: Open, model: type[Any], objects: int) -> float:
    began = time.perf_counter()
    work(opened, model, objects)
    return time.perf_counter() - began


def _insert(opened: Open, model: type[Any], objects: int) -> None:
    with opened() as session:
        session.add_all(contacts(model, objects))
        session.commit()


def _update(opened: Open, model: type[Any], _: int) -> None:
    with opened() as session:
        for one in session.scalars(select(model)):
            one.age += 1
            one.name = one.name[::-1]
        session.commit()


def _select(opened: Open, model: type[Any], objects: int) -> None:
    with opened() as session:
        assert len(session.scalars(select(model)).all()) == objects


def _delete(opened: Open, model: type[Any], _: int) -> None:
    with opened() as session:
        session.execute(delete(model))
        session.commit()


def _row(workload: str, library: str, found: list[float], limit: str) -> dict[str, Any]:
    ordered = sorted(found)
    return {
        "workload": workload,
        "library": library,
        "n": len(found),
        "median": round(statistics.median(found), 1),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
        "unit": "us",
        "limit": limit,
    }
