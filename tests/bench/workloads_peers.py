"""Benchmarks of `lichen_crdt` beside its peers: the group `crdt`.

Every measurement is a process of its own, in turns of all libraries, so that they share the machine's moods; rows are
medians over the turns. A library whose turn takes longer than a minute has no other. Node's automerge is left out of
`memory` and `to-py`: its heap is not its own, and its documents are plain data already. Only Automerge programs have
rows of `fork-at`, `diff` and `apply`; the PyPI package cannot apply changes.
"""

from __future__ import annotations

import queue
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lichen_crdt import Document, Text
from workloads_crdt import trace

Row = dict[str, Any]
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EDITS = ("edit-one", "edit-each", "save", "load", "to-py", "memory")
FINISHED = ("save", "load", "to-py", "memory")
"""These begin with the finished document in the library's own format."""
VERSIONS = ("fork-at", "diff")
"""A fork at a version some keystrokes ago, and the differences since such versions."""
VERSION_COUNT = 10
APPLIES = ("apply-all", "apply-one", "apply-one-concurrent")
UNITS = {"memory": "MB", "apply-one": "us", "apply-one-concurrent": "us"}
TOGETHER = "typing-together"
PYTHON = {"automerge": "automerge 1.0.0rc1", "pycrdt": "pycrdt", "loro": "loro"}
BYTES = {"pycrdt-bytes": "pycrdt, asked for the bytes of each edit"}
LIMIT = "automerge crate"
NODE = "npm @automerge/automerge"
LAST = 200
"""How many changes the `apply-one` workloads apply, each by itself."""
LONG_S = 60
"""After a turn of so many seconds a library has no other one."""


def rows(quick: bool, only: str | None = None) -> Iterator[Row]:
    """Every row of the group, or those of one workload."""
    most = 2_000 if quick else 10_000_000
    wanted = [name for name in (*EDITS, *VERSIONS, *APPLIES) if only in (None, name)]
    if wanted:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, most)
            for workload in wanted:
                yield from measured(workload, folder, most, 1 if quick else 3)
    if only in (None, TOGETHER):
        yield from together(quick, most)


def measured(workload: str, folder: Path, most: int, turns: int) -> Iterator[Row]:
    """The rows of one workload, one for each library that can do it."""
    commands = dict(commands_of(workload, folder, most))
    found: dict[str, list[float]] = {library: [] for library in commands}
    for _ in range(turns):
        for library, command in list(commands.items()):
            begin = time.perf_counter()
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[library] += [float(line) for line in done.stdout.split()]
            if time.perf_counter() - begin > LONG_S:
                del commands[library]
    limit = f"the first {most} keystrokes" if most < 259_778 else None
    for library, numbers in found.items():
        yield row(workload, library, numbers, UNITS.get(workload, "s"), limit)


def row(workload: str, library: str, numbers: Sequence[float], unit: str, limit: str | None) -> Row:
    """One row, without the commit."""
    ordered = sorted(numbers)
    median, worse = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    values = {"n": len(ordered), "median": round(median, 4), "p99": round(worse, 4)}
    return {"workload": workload, "library": library, **values, "unit": unit, "limit": limit}


def commands_of(workload: str, folder: Path, most: int) -> Iterable[tuple[str, list[str]]]:
    """What measures a workload, by library."""
    count = str(20 if most < LAST * 100 and workload in UNITS else most)
    rest = [workload, str(folder), count]
    python = [sys.executable, str(HERE / "peer.py")]
    able = [*PYTHON] if workload in EDITS else ["automerge"] if workload in VERSIONS else []
    able += BYTES if workload == "edit-each" else ()
    names = ["lichen", *(name for name in able if find_spec(name.removesuffix("-bytes")))]
    for name in names:
        if workload in FINISHED:
            subprocess.run([*python, name, "keep", str(folder), str(most)], check=True)
        yield {**PYTHON, **BYTES}.get(name, name), [*python, name, *rest]
    bare = bare_program()
    if bare is not None:
        yield LIMIT, [str(bare), *rest]
    if workload not in ("memory", "to-py") and shutil.which("node") and (ROOT / "tests/interop/node_modules").exists():
        yield NODE, ["node", str(HERE / "peer.mjs"), *rest]


def bare_program() -> Path | None:
    """The small Rust program over the bare crate, built from what is here; None where cargo is not."""
    if shutil.which("cargo") is None:
        return None
    build = ["cargo", "build", "--release", "--quiet", "--offline", "-p", "lichen_crdt_native", "--example", "bare"]
    subprocess.run(build, cwd=ROOT, check=True)
    return ROOT / "target" / "release" / "examples" / "bare"


def prepare(folder: Path, most: int) -> None:
    """Type the trace once, and write what the measured processes read."""
    edits = [patch for transaction in trace("automerge-paper") for patch in transaction["patches"]][:most]
    doc, changes, versions = Document(actor=b"\x01" * 16), [], []
    with doc.change() as tx:
        doc["body"] = Text()
    changes += [data for _, data in tx.changes]
    body = doc.text("body")
    for number, (at, deleted, text) in enumerate(edits):
        if number == len(edits) - LAST:
            (folder / "before").write_bytes(doc.save())
        with doc.change() as tx:
            body.splice(at, deleted, text)
        changes += [data for _, data in tx.changes]
        if number in range(len(edits) - LAST, len(edits), LAST // VERSION_COUNT):
            versions += doc.heads
    (folder / "document").write_bytes(doc.save())
    write(folder / "edits", [struct.pack("<II", at, deleted) + text.encode() for at, deleted, text in edits])
    write(folder / "changes", changes)
    write(folder / "last", changes[-LAST:])
    write(folder / "versions", versions)


def write(path: Path, found: Iterable[bytes]) -> None:
    """Write pieces, each after its length."""
    path.write_bytes(b"".join(struct.pack("<I", len(piece)) + piece for piece in found))


def together(quick: bool, most: int) -> Iterator[Row]:
    """Two replicas in two threads type into the finished document, each at a pace, and apply the other's changes."""
    doc = Document(actor=b"\x01" * 16)
    with doc.change():
        doc["body"] = Text()
    body = doc.text("body")
    for transaction in trace("automerge-paper")[:most]:
        with doc.change():
            for at, deleted, text in transaction["patches"]:
                body.splice(at, deleted, text)
    saved = doc.save()
    for pace in (5, 10, 30):
        table = Table(saved, pace, 2 if quick else 20)
        table.run()
        limit = f"{pace} keystrokes a second each; two replicas in one process"
        local, shown = ([value * 1e3 for value in times] for times in (table.local, table.shown))
        yield row(f"{TOGETHER}-local-{pace}", "lichen", local, "ms", f"{limit}; longest {max(local):.2f} ms")
        yield row(f"{TOGETHER}-shown-{pace}", "lichen", shown, "ms", limit)


class Table:
    """Two people at one text."""

    def __init__(self, saved: bytes, pace: float, seconds: float) -> None:
        self.docs = [Document.load(saved, actor=bytes([number]) * 16) for number in (2, 3)]
        self.inbox: list[queue.SimpleQueue[tuple[float, bytes] | None]] = [queue.SimpleQueue() for _ in self.docs]
        self.pace, self.seconds = pace, seconds
        self.local: list[float] = []
        """Seconds that an edit took its writer."""
        self.shown: list[float] = []
        """Seconds from an edit's begin until the other replica had it."""

    def run(self) -> None:
        """Type and apply until the time is over and all is shown."""
        work = [threading.Thread(target=do, args=(who,)) for who in (0, 1) for do in (self._type, self._follow)]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        if self.docs[0].heads != self.docs[1].heads:
            raise RuntimeError("the two replicas differ")

    def _type(self, who: int) -> None:
        doc, rng = self.docs[who], random.Random(who)
        body = doc.text("body")
        at = len(body) * (1 + 2 * who) // 4
        end = time.perf_counter() + self.seconds
        while time.perf_counter() < end:
            time.sleep(rng.expovariate(self.pace))
            begin = time.perf_counter()
            with doc.change() as tx:
                body.splice(at, 0, "x")
            self.local.append(time.perf_counter() - begin)
            at += 1
            self.inbox[1 - who].put((begin, tx.bytes or b""))
        self.inbox[1 - who].put(None)

    def _follow(self, who: int) -> None:
        inbox, over = self.inbox[who], False
        while not over:
            came = [inbox.get()]
            while not inbox.empty():
                came.append(inbox.get())
            over = None in came
            made = [item for item in came if item is not None]
            self.docs[who].apply_changes([change for _, change in made], strict=True)
            now = time.perf_counter()
            self.shown += [now - begin for begin, _ in made]
