"""The device of `lichen replay` that types, and the processes that it starts for the others."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from lichen_crdt import Text
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lichen.api.document import Document
from lichen.api.engine import Engine
from lichen.cli.follower import START_S, peak_rss
from lichen.cli.output import Report, stderr
from lichen.cli.processes import Process
from lichen.errors import Unreachable
from lichen.testing.traces import Trace

TURN_TRANSACTIONS = 8
"""Most transactions between two looks at the event loop."""
LARGE_CHARACTERS = 4_096
"""After a transaction that inserts or deletes more than this the event loop has its turn at once."""
BACKLOG_BYTES = 1024 * 1024
"""Changes that may wait to be saved and sealed before typing pauses."""
FINISH_S = 600.0
"""How long the follower may take to reach the end after typing has ended."""


def _bar(report: Report) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=stderr, disable=report.as_json, transient=True)


async def type_trace(trace: Trace, folder: Path, path: str, report: Report) -> dict[str, Any]:
    """Type the trace into a note, with a follower on `path` if that is not empty; what was measured."""
    async with contextlib.AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine.open(f"sqlite:///{folder / 'a.db'}", passphrase="replay"))
        space = await engine.create_space("replay", member_name="A")
        note = await space.create({"body": Text(trace.start)})
        follower = await _start_follower(stack, engine, note, folder, path) if path else None
        before = _wire_bytes(engine, path)
        began = time.perf_counter()
        with _bar(report) as bar:
            await _type(note, trace, bar)
        await note.settled()
        theirs = await _finish(follower, note) if follower else None
        seconds = time.perf_counter() - began
        wire_bytes = _wire_bytes(engine, path) - before
        if theirs is not None and theirs["path"] != path:
            report.note(f"[yellow]the {path} path was lost on the way[/yellow]; at the end it was: {theirs['path']}")
        return await _result(trace, note, engine, theirs, seconds, wire_bytes)


def _wire_bytes(engine: Engine, path: str) -> int:
    return sum(engine.traffic.get(path, (0, 0)))


async def _result(
    trace: Trace,
    note: Document,
    engine: Engine,
    theirs: dict[str, Any] | None,
    seconds: float,
    wire_bytes: int,
) -> dict[str, Any]:
    digest = hashlib.sha256(str(note.doc["body"]).encode()).hexdigest()
    wanted = hashlib.sha256(trace.end.encode()).hexdigest()
    equal = digest == wanted and (theirs is None or theirs["end_sha256"] == wanted)
    return {
        "edits": trace.edits,
        "seconds": round(seconds, 3),
        "edits_per_s": round(trace.edits / seconds, 1),
        "batches": await engine.count_sets(note.id),
        "wire_bytes": wire_bytes,
        "store_bytes": engine.store.backend.size_bytes(),
        "peak_rss": {"a": peak_rss(), "b": theirs["peak_rss"] if theirs else None},
        "equal": equal,
        "end_sha256": digest,
    }


async def _type(note: Document, trace: Trace, bar: Progress) -> None:
    task = bar.add_task("typing", total=len(trace.transactions))
    for index, patches in enumerate(trace.transactions):
        with note.change() as doc:
            body = doc["body"]
            for position, deleted, inserted in patches:
                body.splice(position, deleted, inserted)
        if (
            index % TURN_TRANSACTIONS == 0
            or sum(deleted + len(inserted) for _, deleted, inserted in patches) > LARGE_CHARACTERS
        ):
            bar.update(task, completed=index)
            await asyncio.sleep(0)
            await note.room(BACKLOG_BYTES)
    await note.saved()
    bar.update(task, completed=len(trace.transactions))


# The other two processes


async def _finish(follower: Process, note: Document) -> dict[str, Any]:
    """Tell it the heads to reach, and wait until it has."""
    await follower.tell({"heads": [head.hex() for head in note.heads]})
    return await follower.line(FINISH_S)


async def _start_follower(
    stack: contextlib.AsyncExitStack, engine: Engine, note: Document, folder: Path, path: str
) -> Process:
    if path == "webrtc":
        engine.use_direct()
    store = f"sqlite:///{folder / 'relay.db'}"
    relay = await _started(stack, "the relay", "relay", "--listen", "ws://127.0.0.1:0", "--store", store, "--json")
    url = (await relay.line(START_S))["listening"]
    connection = await engine.connect(url)
    try:
        async with asyncio.timeout(START_S):
            await connection.connected.wait()
    except TimeoutError:
        raise Unreachable(f"the relay at {url} could not be reached: {connection.error}") from None
    ticket = await engine.space(note.space).invite(mode="auto", expires=timedelta(hours=1), hints=[url])
    store = f"sqlite:///{folder / 'b.db'}"
    follower = await _started(stack, "the following device", "replay-follower", store, ticket, note.id.hex(), path)
    await follower.line(START_S * 2)
    return follower


async def _started(stack: contextlib.AsyncExitStack, name: str, *arguments: str) -> Process:
    process = Process(name, "lichen.cli", *arguments)
    await process.start()
    stack.push_async_callback(process.stop)
    return process
