"""Recorded editing traces as files: reading them, checking them, and what they lead to without any CRDT.

The formats are those of github.com/josephg/editing-traces, JSON or gzipped JSON. One recording of one writer:
`{startContent, endContent, txns: [{patches: [[position, deleted, inserted], ...]}]}`. One of several who write at once:
`{kind: "concurrent", endContent, numAgents, txns: [{parents: [index, ...], agent, patches}]}`; what a transaction was
typed into is the merge of its parents, without any the text at the start. Positions are code points, and the patches of
a transaction follow one another. Keys beside these are passed over.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lichen_crdt.errors import InvalidTrace

MOST_BYTES = 256 * 1024 * 1024
"""Largest trace, uncompressed."""
MOST_AGENTS = 4096
"""Most writers of a concurrent trace."""
_GZIP = b"\x1f\x8b"

Patch = tuple[int, int, str]
"""Position, how many code points to delete there, what to insert there."""
Patches = tuple[Patch, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """The recording of one writer."""

    start: str
    end: str
    transactions: tuple[Patches, ...]

    @property
    def edits(self) -> int:
        """How many patches all transactions hold together."""
        return sum(map(len, self.transactions))

    def limited(self, transactions: int) -> Trace:
        """The first so many transactions, with the text that they lead to."""
        kept = self.transactions[:transactions]
        return Trace(self.start, play(self.start, kept), kept)


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction of a concurrent trace."""

    agent: int
    """Who typed it, from 0."""
    parents: tuple[int, ...]
    """The transactions, all of them before this one, whose merge it was typed into."""
    patches: Patches


@dataclass(frozen=True, slots=True)
class ConcurrentTrace:
    """The recording of several who wrote at once."""

    start: str
    end: str
    agents: int
    steps: tuple[Step, ...]

    @property
    def edits(self) -> int:
        """How many patches all transactions hold together."""
        return sum(len(step.patches) for step in self.steps)


def read_trace(path: Path) -> Trace | ConcurrentTrace:
    """Read a trace of either kind and check its form; whether it leads to its end is not looked at.

    Raises `InvalidTrace`.
    """
    value = _read(path)
    if not isinstance(value, dict):
        raise InvalidTrace(f"{path} is not a trace: its JSON is not an object")
    start, end, items = value.get("startContent", ""), value.get("endContent"), value.get("txns")
    if not isinstance(end, str) or not isinstance(items, list) or not _is_text(start):
        raise InvalidTrace(f"{path} is not a trace: it needs endContent and txns, and startContent only as a text")
    match value.get("kind", "concurrent" if "numAgents" in value else "sequential"):
        case "sequential":
            return Trace(start, end, tuple(_patches(path, index, item) for index, item in enumerate(items)))
        case "concurrent":
            agents: Any = value.get("numAgents")
            if not _is_count(agents, MOST_AGENTS) or agents == 0:
                raise InvalidTrace(f"{path} has no numAgents, a number from 1 to {MOST_AGENTS}")
            steps = (_step(path, index, item, agents) for index, item in enumerate(items))
            return ConcurrentTrace(start, end, agents, tuple(steps))
        case kind:
            raise InvalidTrace(f"{path} is a trace of the unknown kind {kind!r:.40}")


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:  # once: it may be a pipe
            data = file.read(MOST_BYTES + 1)
        if data.startswith(_GZIP):
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise InvalidTrace(f"{path} is larger than {MOST_BYTES} bytes")
        return json.loads(data)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise InvalidTrace(f"{path} cannot be read as JSON or gzipped JSON: {error}") from error


def _is_count(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _is_text(value: Any) -> bool:
    """Whether it is a text that Unicode can encode: JSON may hold half a surrogate pair."""
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def _patches(path: Path, index: int, item: Any) -> Patches:
    patches = item.get("patches") if isinstance(item, dict) else None
    if not isinstance(patches, list):
        raise InvalidTrace(f"transaction {index} of {path} has no patches")
    return tuple(_patch(path, index, patch) for patch in patches)


def _patch(path: Path, index: int, patch: Any) -> Patch:
    match patch:
        case [position, deleted, inserted] if (
            _is_count(position, MOST_BYTES) and _is_count(deleted, MOST_BYTES) and _is_text(inserted)
        ):
            return position, deleted, inserted
        case _:
            raise InvalidTrace(f"transaction {index} of {path} has a patch that is not [position, deleted, inserted]")


def _step(path: Path, index: int, item: Any, agents: int) -> Step:
    patches = _patches(path, index, item)
    agent, parents = item.get("agent"), item.get("parents")
    if not _is_count(agent, agents - 1):
        raise InvalidTrace(f"transaction {index} of {path} has no agent, a number below numAgents ({agents})")
    if not isinstance(parents, list) or not all(_is_count(parent, index - 1) for parent in parents):
        raise InvalidTrace(f"transaction {index} of {path} has no parents, numbers of transactions before it")
    return Step(agent, tuple(parents), patches)


def play(start: str, transactions: Iterable[Iterable[Patch]]) -> str:
    """The text that the patches lead to, with a gap buffer: cheap because edits lie near each other.

    Raises `InvalidTrace` for a patch outside the text.
    """
    before, after = list(start), list[str]()  # the text is `before`, then `after` reversed
    for index, patches in enumerate(transactions):
        for position, deleted, inserted in patches:
            if position + deleted > len(before) + len(after):
                raise InvalidTrace(f"transaction {index} reaches beyond the end of the text")
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
