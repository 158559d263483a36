"""Two devices and a relay as processes, for benchmarks: this process is the first device."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from lichen import Document, Engine, Text
from lichen.testing.traces import Trace, load_trace

LINE_BYTES = 4 * 1024 * 1024
PEER = Path(__file__).with_name("second_device.py")


def trace(name: str) -> Trace:
    """A recorded trace by name."""
    folder = os.environ.get("LICHEN_TRACES", "")
    path = Path(folder) / f"{name}.json.gz"
    if not folder or not path.exists():
        sys.exit(f"set LICHEN_TRACES to a folder with {path.name}, from github.com/josephg/editing-traces")
    return load_trace(path)


@dataclass
class Peer:
    """A process that prints objects, one a line."""

    process: asyncio.subprocess.Process

    async def line(self, seconds: float = 120.0) -> dict[str, Any]:
        """The next object."""
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError("the other process ended early")
        value: dict[str, Any] = json.loads(line)
        if "error" in value:
            raise RuntimeError(str(value["error"]))
        return value


@contextlib.asynccontextmanager
async def process(*command: str) -> AsyncIterator[Peer]:
    """A process, ended with the block."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_BYTES
    )
    try:
        yield Peer(started)
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.terminate()
        await started.communicate()


@contextlib.asynccontextmanager
async def relay(folder: Path) -> AsyncIterator[str]:
    """A relay; its address."""
    store = f"sqlite:///{folder / 'relay.db'}"
    command = ("-m", "lichen.cli", "relay", "--listen", "ws://127.0.0.1:0", "--store", store, "--json")
    async with process(*command) as peer:
        yield (await peer.line())["listening"]


@contextlib.asynccontextmanager
async def first_device(folder: Path, url: str | None = None) -> AsyncIterator[Engine]:
    """The device of this process, connected to the relay."""
    async with Engine.open(f"sqlite:///{folder / 'a.db'}", passphrase="benchmark") as engine:
        if url is not None:
            connection = await engine.connect(url)
            await connection.connected.wait()
        yield engine


@contextlib.asynccontextmanager
async def second_device(folder: Path, engine: Engine, note: Document, url: str, mode: str) -> AsyncIterator[Peer]:
    """The device of another process, in the same space; `mode` is `live` or `fresh`."""
    ticket = await engine.space(note.space).invite(mode="auto", expires=timedelta(hours=1), hints=[url])
    async with process(str(PEER), f"sqlite:///{folder / 'b.db'}", ticket, note.id.hex(), mode) as peer:
        yield peer


async def written(engine: Engine, text: str) -> Document:
    """A note with this text, typed character by character in transactions of its own."""
    space = await engine.create_space("benchmark", member_name="A")
    note = await space.create({"body": Text("")})
    for index, character in enumerate(text):
        with note.change() as doc:
            doc["body"].append(character)
        if index % 64 == 0:
            await note.room(1024 * 1024)
    await note.settled()
    return note


async def typed(engine: Engine, recorded: Trace) -> Document:
    """A note with a recorded trace typed into it, one transaction for each recorded one."""
    space = await engine.create_space("benchmark", member_name="A")
    note = await space.create({"body": Text(recorded.start)})
    for index, patches in enumerate(recorded.transactions):
        with note.change() as doc:
            for position, deleted, inserted in patches:
                doc["body"].splice(position, deleted, inserted)
        if index % 64 == 0:
            await asyncio.sleep(0)
            await note.room(1024 * 1024)
    await note.settled()
    return note
