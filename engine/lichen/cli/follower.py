"""The device of `lichen replay --follow` that follows, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from lichen.api.document import Document
from lichen.api.engine import Engine
from lichen.cli.output import Report
from lichen.errors import LinkBroken, Unreachable
from lichen.ids import DocId

START_S = 30.0
"""How long relay and follower may take to be ready."""


async def follow(store: str, ticket: str, document: str, path: str) -> dict[str, Any]:
    """Join, follow a document over `path` until it has the heads that standard input names; what is there then."""
    async with Engine.open(store, passphrase="replay") as engine:
        if path == "webrtc":
            engine.use_direct()
        space = await engine.join(ticket, name="B")
        note = await when_here(engine, DocId(bytes.fromhex(document)))
        await _on_path(engine, space.id, path)
        Report(as_json=True).result({"ready": True})  # what fails after this is still an answer of its own
        heads = await _wanted_heads()
        await _reach(note, heads)
        return {
            "end_sha256": hashlib.sha256(str(note.doc["body"]).encode()).hexdigest(),
            "path": _path(engine, space.id),
            "peak_rss": peak_rss(),
        }


def peak_rss() -> int | None:
    """The most memory this process has held, in bytes; None on Windows, where Python does not tell."""
    with contextlib.suppress(OSError):  # where there is /proc, its figure is not inherited from the parent process
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    found: int | None = None
    if sys.platform != "win32":
        import resource

        found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return found


async def when_here(engine: Engine, doc: DocId) -> Document:
    """The document, as soon as its first change set is here."""
    async with contextlib.aclosing(engine.events()) as events:
        while True:
            for space in engine.spaces:
                if any(info.id == doc for info in await space.documents()):
                    return await engine.document(doc)
            await anext(events)


def _path(engine: Engine, space: Any) -> str:
    return next((peer.path for peer in engine.paths(space) if peer.via != "none"), "none")


async def _on_path(engine: Engine, space: Any, wanted: str) -> None:
    try:
        async with asyncio.timeout(START_S):
            async with contextlib.aclosing(engine.events()) as events:
                while _path(engine, space) != wanted:
                    await anext(events)
    except TimeoutError:
        raise Unreachable(f"no {wanted} path opened within {START_S:g} s; it is {_path(engine, space)}") from None


async def _wanted_heads() -> tuple[bytes, ...]:
    line = await asyncio.to_thread(sys.stdin.readline)
    if not line:
        raise LinkBroken("the typing device ended early")
    return tuple(bytes.fromhex(head) for head in json.loads(line)["heads"])


async def _reach(note: Document, heads: tuple[bytes, ...]) -> None:
    async with contextlib.aclosing(note.events()) as events:
        while note.heads != heads:
            await anext(events)
