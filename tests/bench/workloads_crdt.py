"""Benchmarks of `lichen_crdt` alone: one remote change into a large text.

The recorded editing traces are those of github.com/josephg/editing-traces (CC BY 4.0); the environment
variable LICHEN_TRACES names the folder that holds them.
"""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from lichen_crdt import Document, Text

ROOT = Path(__file__).parents[2]
Row = dict[str, Any]


def apply_one(quick: bool) -> list[Row]:
    """One remote keystroke into the finished automerge-paper document: by replay and by the bare crate.

    The document is everything but the last keystrokes of the trace, which then come one by one.
    """
    count = 300 if quick else 2_000
    saved, changes = typed("automerge-paper", count)
    bare = bare_apply(saved, changes, 20 if quick else 200)
    rows = [
        row("apply-one", "lichen", replayed(saved, changes)),
        row("apply-one-concurrent", "lichen", concurrent(saved, changes[: len(bare) or 20])),
    ]
    return rows + ([row("apply-one", "automerge crate", bare)] if bare else [])


def row(workload: str, library: str, micros: list[float]) -> Row:
    """One row of the benchmark's output, without what the runner adds."""
    ordered = sorted(micros)
    at = {"median": len(ordered) // 2, "p99": min(len(ordered) - 1, len(ordered) * 99 // 100)}
    numbers = {name: round(ordered[index], 1) for name, index in at.items()}
    return {"workload": workload, "library": library, "n": len(ordered), **numbers, "unit": "us"}


def trace(name: str) -> list[dict[str, Any]]:
    """The transactions of a recorded trace."""
    folder = os.environ.get("LICHEN_TRACES")
    if folder is None:
        raise SystemExit(
            "LICHEN_TRACES is not set: it names the folder of the editing traces, sequential_traces in"
            " https://github.com/josephg/editing-traces"
        )
    with gzip.open(Path(folder) / f"{name}.json.gz") as file:
        transactions: list[dict[str, Any]] = json.load(file)["txns"]
    return transactions


def typed(name: str, rest: int) -> tuple[bytes, list[bytes]]:
    """A trace typed one change a keystroke: the save before the last `rest`, and those changes."""
    transactions = trace(name)
    doc = Document(actor=b"\x01" * 16)
    with doc.change():
        doc["body"] = Text()
    body, saved, changes = doc.text("body"), b"", []
    for number, transaction in enumerate(transactions):
        if number == len(transactions) - rest:
            saved = doc.save()
        with doc.change() as tx:
            for position, deleted, inserted in transaction["patches"]:
                body.splice(position, deleted, inserted)
        if saved:
            changes += [data for _, data in tx.changes]
    return saved, changes


def replayed(saved: bytes, changes: list[bytes]) -> list[float]:
    """Microseconds of each apply, patches included; every change must have gone by replay."""
    doc = Document.load(saved, actor=b"\x02" * 16)
    micros = timed(doc, changes)
    if doc.replayed != len(changes):
        raise RuntimeError(f"{len(changes) - doc.replayed} changes were not replayed")
    return micros


def concurrent(saved: bytes, changes: list[bytes]) -> list[float]:
    """The same after a change of our own, which the remote ones have not seen: replay cannot take them."""
    doc = Document.load(saved, actor=b"\x02" * 16)
    with doc.change():
        doc.text("body").append("!")
    return timed(doc, changes)


def timed(doc: Document, changes: list[bytes]) -> list[float]:
    micros = []
    for change in changes:
        begin = time.perf_counter()
        doc.apply_changes([change], strict=True)
        micros.append((time.perf_counter() - begin) * 1e6)
    return micros


def bare_apply(saved: bytes, changes: list[bytes], count: int) -> list[float]:
    """The same by crate `automerge` in Rust; nothing where cargo is not there."""
    build = ["cargo", "build", "--release", "--quiet", "-p", "lichen_crdt_native", "--example", "bare_apply"]
    try:
        subprocess.run(build, cwd=ROOT, check=True)
    except FileNotFoundError:
        return []
    with tempfile.TemporaryDirectory() as folder:
        document, rest = Path(folder, "document"), Path(folder, "changes")
        document.write_bytes(saved)
        rest.write_bytes(b"".join(struct.pack("<I", len(change)) + change for change in changes))
        program = ROOT / "target" / "release" / "examples" / "bare_apply"
        command = [str(program), str(document), str(rest), str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()]
