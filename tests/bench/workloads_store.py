"""What the store costs, beside plain sqlite3 and bare SQLCipher in the same run and on the same disk.

Rows: {workload, library, n, median, p99, unit, limit}. `limit` is the durability: "process" (WAL, synchronous=NORMAL)
or "power" (FULL).

- store-burst: one-row jobs that many callers have outstanding at once, acknowledged jobs a second over several rounds;
  p99 is what 99 of 100 rounds reach. The others commit each row by itself: that is what one such caller can do.
- store-lone: microseconds from handing in one one-row job until its future has resolved, nothing else outstanding; for
  the others, of an insert with its commit on the calling thread.
- store-busy: as store-lone, while another thread computes in Python. CPython passes the interpreter on every 5 ms, so
  this is what an acknowledgement costs a program that never pauses.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlcipher3.dbapi2 as sqlcipher
from lichen.store import Store
from lichen.store.backend import Durability
from sqlalchemy import Connection

BODY = bytes(range(100))
"""A one-character change is about this long."""
INSERT = "INSERT INTO lichen_changes (doc, session, continues, body) VALUES (?, ?, 0, ?)"
VALUES = (b"d" * 16, b"n" * 16, BODY)
SYNCHRONOUS = {"process": "NORMAL", "power": "FULL"}
DURABILITIES: tuple[Durability, ...] = ("process", "power")


def rows(quick: bool) -> list[dict[str, Any]]:
    """Measure everything; some 90 s, quick some 10 s."""
    return [row for durability in DURABILITIES for row in _rows(durability, quick)]


def _rows(durability: Durability, quick: bool) -> Iterator[dict[str, Any]]:
    rounds, jobs, lone = (5, 4_000, 300) if quick else (20, 10_000, 2_000)
    singles = jobs // (40 if durability == "power" else 2)
    for library, opened in _LIBRARIES.items():
        with tempfile.TemporaryDirectory() as folder, opened(Path(folder) / "bench.db", durability) as (burst, once):
            count = jobs if library == "lichen" else singles
            rates = [count / _seconds(lambda: burst(count)) for _ in range(rounds)]  # noqa: B023  # it is called at once
            yield _row("store-burst", library, rates, "jobs/s", durability, low_is_bad=True)
            yield _row("store-lone", library, _latencies(once, lone), "us", durability)
            if library == "lichen":
                with _busy():
                    yield _row("store-busy", library, _latencies(once, lone // 10), "us", durability)


def _row(
    workload: str, library: str, found: list[float], unit: str, limit: str, *, low_is_bad: bool = False
) -> dict[str, Any]:
    ordered = sorted(found, reverse=low_is_bad)
    return {
        "workload": workload,
        "library": library,
        "n": len(found),
        "median": round(statistics.median(found), 1),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
        "unit": unit,
        "limit": limit,
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _latencies(once: Callable[[], object], count: int) -> list[float]:
    return [_seconds(once) * 1e6 for _ in range(count)]


Work = tuple[Callable[[int], object], Callable[[], object]]
"""Write so many rows with many outstanding; write one row."""


@contextmanager
def _lichen(path: Path, durability: Durability) -> Iterator[Work]:
    store = Store.open(path, os.urandom(32), durability=durability)

    def job(conn: Connection) -> None:
        conn.exec_driver_sql(INSERT, VALUES)

    def burst(count: int) -> None:
        last = threading.Event()

        def done(_result: object, error: BaseException | None) -> None:
            assert error is None

        for _ in range(count - 1):
            store.write_soon(job, done)
        store.write_soon(job, lambda _result, _error: last.set())
        last.wait()

    try:
        yield burst, lambda: store.write(job).result()
    finally:
        store.close()


def _bare(library: ModuleType, key: bytes | None) -> Callable[[Path, Durability], Any]:
    @contextmanager
    def opened(path: Path, durability: Durability) -> Iterator[Work]:
        connection = library.connect(str(path), isolation_level=None)
        if key is not None:
            connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
        connection.execute(
            "CREATE TABLE lichen_changes"
            " (num INTEGER PRIMARY KEY, doc BLOB, session BLOB, continues BOOLEAN, body BLOB)"
        )
        connection.execute("CREATE INDEX by_doc ON lichen_changes (doc, num)")

        def once() -> None:
            connection.execute(INSERT, VALUES)

        def burst(count: int) -> None:
            for _ in range(count):
                once()

        try:
            yield burst, once
        finally:
            connection.close()

    return opened


_LIBRARIES: dict[str, Callable[[Path, Durability], Any]] = {
    "lichen": _lichen,
    "sqlcipher3": _bare(sqlcipher, bytes(32)),
    "sqlite3": _bare(sqlite3, None),
}


@contextmanager
def _busy() -> Iterator[None]:
    ended = threading.Event()

    def compute() -> None:
        while not ended.is_set():
            sum(range(1_000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
