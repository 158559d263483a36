"""Recorded editing traces: reading them, and computing what they lead to without any CRDT.

The format is that of josephg/editing-traces: gzipped JSON
`{startContent, endContent, txns: [{time, patches: [[position, deleted, inserted], ...]}]}`, positions in code points.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lichen.errors import TraceError

MOST_BYTES = 512 * 1024 * 1024
"""Largest trace, uncompressed."""

Patch = tuple[int, int, str]
"""Position, how many code points to delete there, what to insert there."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A sequential trace."""

    start: str
    end: str
    transactions: tuple[tuple[Patch, ...], ...]

    @property
    def edits(self) -> int:
        """How many patches all transactions hold together."""
        return sum(map(len, self.transactions))

    def limited(self, transactions: int) -> Trace:
        """The first so many transactions, with the text that they lead to."""
        kept = self.transactions[:transactions]
        return Trace(self.start, play(self.start, kept), kept)


def load_trace(path: Path) -> Trace:
    """Read a trace and check it whole. Raises `TraceError`."""
    value = _read(path)
    if not isinstance(value, dict):
        raise TraceError(f"{path} is not a trace: its JSON is not an object")
    if "numAgents" in value or value.get("kind") == "concurrent":
        raise TraceError(f"{path} is a concurrent trace", hint="this takes a sequential one")
    start, end, transactions = value.get("startContent", ""), value.get("endContent"), value.get("txns")
    if not isinstance(start, str) or not isinstance(end, str) or not isinstance(transactions, list):
        raise TraceError(f"{path} is not a trace: it needs startContent, endContent and txns")
    trace = Trace(start, end, tuple(_transaction(path, index, item) for index, item in enumerate(transactions)))
    if play(trace.start, trace.transactions) != trace.end:
        raise TraceError(f"{path} does not lead to its own endContent")
    return trace


def _read(path: Path) -> Any:
    try:
        with gzip.open(path, "rb") as opened:
            data = opened.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise TraceError(f"{path} is larger than {MOST_BYTES} bytes")
        return json.loads(data)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise TraceError(f"{path} cannot be read as gzipped JSON: {error}") from error


def _transaction(path: Path, index: int, item: Any) -> tuple[Patch, ...]:
    patches = item.get("patches") if isinstance(item, dict) else None
    if not isinstance(patches, list):
        raise TraceError(f"transaction {index} of {path} has no patches")
    return tuple(_patch(path, index, patch) for patch in patches)


def _patch(path: Path, index: int, patch: Any) -> Patch:
    match patch:
        case [int() as position, int() as deleted, str() as inserted] if position >= 0 and deleted >= 0:
            return position, deleted, inserted
        case _:
            raise TraceError(f"transaction {index} of {path} has a patch that is not [position, deleted, inserted]")


def play(start: str, transactions: Iterable[Iterable[Patch]]) -> str:
    """The text that the patches lead to, with a gap buffer: cheap because edits lie near each other.

    Raises `TraceError` for a patch outside the text.
    """
    before, after = list(start), list[str]()  # the text is `before`, then `after` reversed
    for index, patches in enumerate(transactions):
        for position, deleted, inserted in patches:
            if position + deleted > len(before) + len(after):
                raise TraceError(f"transaction {index} reaches beyond the end of the text")
            _move_gap(before, after, position)
            if deleted:
                del after[-deleted:]
            before.extend(inserted)
    return "".join(before) + "".join(reversed(after))


def _move_gap(before: list[str], after: list[str], position: int) -> None:
    if position < len(before):
        moved = before[position:]
        del before[position:]
        after.extend(reversed(moved))
    elif position > len(before):
        count = position - len(before)
        before.extend(reversed(after[-count:]))
        del after[-count:]
