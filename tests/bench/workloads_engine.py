"""Benchmarks of the whole engine: one device, or two with a relay between them, as processes on loopback."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

from lichen import Document
from two_devices import Peer, first_device, relay, second_device, trace, typed, written

Row = dict[str, Any]

QUICK_TRANSACTIONS = 15_000
DURABILITY = "durability process: WAL, synchronous=NORMAL"


def row(workload: str, values: list[float], unit: str, limit: str | None, *, rate: bool = False) -> Row:
    """A row; for a rate, `p99` is the 1st percentile, which is the worse end."""
    ordered = sorted(values, reverse=rate)
    worst = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return {
        "workload": workload,
        "library": "lichen",
        "n": len(values),
        "median": round(statistics.median(values), 3),
        "p99": round(worst, 3),
        "unit": unit,
        "limit": limit,
    }


def in_folder(work: Callable[[Path], Coroutine[Any, Any, list[Row]]]) -> list[Row]:
    """Run a workload with a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="lichen-bench-") as folder:
        return asyncio.run(work(Path(folder)))


# replay


def replay(quick: bool) -> Iterator[Row]:
    """The automerge-paper trace typed on one device and followed live on another: edits a second, end to end."""
    trace("automerge-paper")
    for path in ("websocket", "webrtc"):
        results = [replay_once(path, QUICK_TRANSACTIONS if quick else None) for _ in range(1 if quick else 3)]
        limit = f"first {QUICK_TRANSACTIONS} transactions" if quick else None
        yield row(f"replay-{path}", [result["edits_per_s"] for result in results], "edits/s", limit, rate=True)


def replay_once(path: str, limit: int | None) -> Row:
    """One run of `lichen replay`. Fails unless both texts are equal."""
    import os

    file = Path(os.environ["LICHEN_TRACES"]) / "automerge-paper.json.gz"
    command = [sys.executable, "-m", "lichen.cli", "replay", str(file), "--follow", "--path", path, "--json"]
    if limit is not None:
        command += ["--limit", str(limit)]
    result: Row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert result["equal"], result
    return result


# edit


def edit(quick: bool) -> list[Row]:
    """One-character transactions on one device without peers: saved, sealed and signed."""
    return in_folder(lambda folder: _edit(folder, 2_000 if quick else 20_000, 500 if quick else 5_000))


async def _edit(folder: Path, burst: int, lone: int) -> list[Row]:
    async with first_device(folder) as engine:
        note = await written(engine, "x" * 1_000)
        rates = [await _burst(note, burst) for _ in range(5)]
        times = [await _lone(note) for _ in range(lone)]
        await note.settled()
    return [
        row("edit-burst", rates, "edits/s", f"{burst} at a time; {DURABILITY}", rate=True),
        row("edit-lone", times, "us", DURABILITY),
    ]


async def _burst(note: Document, count: int) -> float:
    began = time.perf_counter()
    for index in range(count):
        with note.change() as doc:
            doc["body"].append("y")
        if index % 64 == 0:
            await note.room(1024 * 1024)
    await note.settled()
    return count / (time.perf_counter() - began)


async def _lone(note: Document) -> float:
    began = time.perf_counter()
    async with note.change() as doc:
        doc["body"].append("z")
    return (time.perf_counter() - began) * 1e6


# fresh


def fresh(quick: bool) -> list[Row]:
    """A device without a store joins and fetches the finished automerge-paper document: process start excluded."""
    return in_folder(lambda folder: _fresh(folder, quick))


async def _fresh(folder: Path, quick: bool) -> list[Row]:
    recorded = trace("automerge-paper")
    limit = None
    if quick:
        recorded = recorded.limited(QUICK_TRANSACTIONS)
        limit = f"first {QUICK_TRANSACTIONS} transactions"
    results = []
    async with relay(folder) as url, first_device(folder, url) as engine:
        note = await typed(engine, recorded)
        for number in range(1 if quick else 3):
            own = folder / str(number)
            own.mkdir()
            async with second_device(own, engine, note, url, "fresh") as peer:
                results.append(await _fetched(peer, note))
    assert all(result["length"] == len(recorded.end) for result in results), results
    return [
        row("fresh", [result["seconds"] for result in results], "s", limit),
        row("fresh-bytes", [result["bytes"] for result in results], "B", limit),
        row("fresh-memory", [result["memory"] for result in results], "B", limit),
    ]


async def _fetched(peer: Peer, note: Document) -> Row:
    assert peer.process.stdin is not None
    peer.process.stdin.write(json.dumps({"heads": [head.hex() for head in note.heads]}).encode() + b"\n")
    await peer.process.stdin.drain()
    return await peer.line()


# live


def live(quick: bool) -> Iterable[Row]:
    """A one-character edit on one device until the other one's event, through a relay, as three processes."""
    edits = 100 if quick else 1_000
    burst = 2_000 if quick else 10_000
    recorded = trace("automerge-paper")
    limit = None
    if quick:
        recorded = recorded.limited(QUICK_TRANSACTIONS)
        limit = f"after the first {QUICK_TRANSACTIONS} transactions"
    yield from in_folder(lambda folder: _live_small(folder, edits, burst))
    yield from in_folder(lambda folder: _live_paper(folder, recorded, edits, limit))


async def _live_small(folder: Path, edits: int, burst: int) -> list[Row]:
    async with relay(folder) as url, first_device(folder, url) as engine:
        note = await written(engine, "x" * 1_000)
        async with second_device(folder, engine, note, url, "live") as peer:
            times = await _keystrokes(peer, note, edits)
            rates = [await _live_burst(peer, note, burst) for _ in range(3)]
    return [row("live-small", times, "ms", None), row("live-burst", rates, "edits/s", f"{burst} at a time", rate=True)]


async def _live_paper(folder: Path, recorded: Any, edits: int, limit: str | None) -> list[Row]:
    async with relay(folder) as url, first_device(folder, url) as engine:
        note = await typed(engine, recorded)
        async with second_device(folder, engine, note, url, "live") as peer:
            times = await _keystrokes(peer, note, edits)
    return [row("live-paper", times, "ms", limit)]


async def _ready(peer: Peer, note: Document) -> None:
    wanted = len(note.doc["body"])
    while (await peer.line())["length"] != wanted:
        pass


async def _keystrokes(peer: Peer, note: Document, count: int) -> list[float]:
    """Milliseconds from before the transaction to the other device's event, one keystroke at a time."""
    await _ready(peer, note)
    times = []
    for _ in range(count):
        began = time.monotonic_ns()
        with note.change() as doc:
            doc["body"].insert(len(doc["body"]) // 2, "k")
        told = await peer.line()
        assert told["length"] == len(note.doc["body"])
        times.append((told["at"] - began) / 1e6)
    return times


async def _live_burst(peer: Peer, note: Document, count: int) -> float:
    wanted = len(note.doc["body"]) + count
    began = time.monotonic_ns()
    for index in range(count):
        with note.change() as doc:
            doc["body"].append("b")
        if index % 8 == 0:
            await asyncio.sleep(0)
    while (told := await peer.line())["length"] != wanted:
        pass
    return count / ((told["at"] - began) / 1e9)
