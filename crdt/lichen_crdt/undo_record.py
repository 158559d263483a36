"""What an undo writes into the message of its change, so that the stacks follow from the document alone.

The first line of the message is for people, the last is the record, of five fields between spaces::

    lichen-undo/1 undo ACTORS RANGES STANDS
    lichen-undo/1 group TOKEN

`undo` or `redo` names the changes that it takes back: ACTORS in hexadecimal, RANGES as `actor:first-last` (a place
in ACTORS and seqs), those of one actor in order. STANDS says which operations of this change stand for which earlier
ones, as runs `offset+count=number@actor` in order; `-` for none. A message that is not exactly this is an ordinary
message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Id = tuple[int, bytes]
"""An operation: its number and its actor."""

_MARK = "lichen-undo/1"
MAX_RUNS = 65_536
"""Most ranges, and most runs, in one record: no change has more operations."""
_RANGE = re.compile(r"(\d{1,5}):(\d{1,10})-(\d{1,10})")
_RUN = re.compile(r"(\d{1,5})\+(\d{1,5})=(\d{1,10})@(\d{1,5})")
_TOKEN = re.compile(r"[0-9a-f]{1,64}")
_ACTORS = re.compile(r"(?:[0-9a-f]{2}){1,128}(?:,(?:[0-9a-f]{2}){1,128})*")


@dataclass(frozen=True, slots=True)
class Record:
    """One undo or redo: what it took back, and what its operations stand for."""

    kind: Literal["undo", "redo"]
    taken: tuple[tuple[bytes, int, int], ...]
    """Changes that it takes back: an actor, the first and the last seq."""
    stands: tuple[tuple[int, int, Id], ...]
    """Runs of its operations, by offset and count, and the first operation that they stand for."""

    def write(self, label: str | None) -> str:
        """The message of the change."""
        actors = sorted({actor for actor, _, _ in self.taken} | {actor for _, _, (_, actor) in self.stands})
        number = {actor: i for i, actor in enumerate(actors)}
        ranges = ",".join(f"{number[actor]}:{first}-{last}" for actor, first, last in self.taken)
        runs = ",".join(f"{at}+{count}={old}@{number[actor]}" for at, count, (old, actor) in self.stands)
        title = f"{self.kind.capitalize()}: {label}" if label else self.kind.capitalize()
        return f"{title}\n{_MARK} {self.kind} {','.join(a.hex() for a in actors)} {ranges} {runs or '-'}"

    def pairs(self, start: int, operations: int, actor: bytes) -> Iterator[tuple[Id, Id]]:
        """Each operation of the change that stands for an earlier one, with that one."""
        for at, count, (old, owner) in self.stands:
            if at + count <= operations and old + count <= start:
                yield from (((start + at + i, actor), (old + i, owner)) for i in range(count))


def group_message(label: str, token: str) -> str:
    """The message of every change of one explicit group."""
    return f"{label}\n{_MARK} group {token}"


def label(message: str | None) -> str | None:
    """What a message says to people."""
    head, record = split(message)
    if record and record[0] in ("undo", "redo"):
        return head.partition(": ")[2] or None
    return head or None


def split(message: str | None) -> tuple[str, list[str] | None]:
    """The label and the fields of the record, None if there is no record."""
    head, line, tail = (message or "").rpartition("\n")
    if line and tail.startswith(f"{_MARK} "):
        return head, tail.split(" ")[1:]
    return message or "", None


def group(message: str | None) -> str | None:
    """The token of the explicit group that a change belongs to."""
    match split(message)[1]:
        case ["group", token] if _TOKEN.fullmatch(token):
            return token
    return None


def read(message: str | None) -> Record | None:
    """The record in a message; None if there is none that is well formed."""
    match split(message)[1]:
        case [("undo" | "redo") as kind, actors, ranges, runs] if _ACTORS.fullmatch(actors):
            names = [bytes.fromhex(actor) for actor in actors.split(",")]
            taken = _all(_RANGE, ranges, len(names), 0)
            stands = _all(_RUN, runs, len(names), 3) if runs != "-" else []
            if taken is None or stands is None or not _are_in_order(taken, stands):
                return None
            return Record(
                "undo" if kind == "undo" else "redo",
                tuple((names[a], first, last) for a, first, last in taken),
                tuple((at, count, (old, names[a])) for at, count, old, a in stands),
            )
    return None


def _all(pattern: re.Pattern[str], text: str, actors: int, place: int) -> list[list[int]] | None:
    parts = text.split(",", MAX_RUNS)
    found = [pattern.fullmatch(part) for part in parts]
    numbers = [[int(n) for n in match.groups()] for match in found if match]
    if len(numbers) < len(parts) or any(row[place] >= actors for row in numbers):
        return None
    return numbers


def _are_in_order(taken: list[list[int]], stands: list[list[int]]) -> bool:
    """Whether nothing is named twice, so that what a record takes to read is bounded by what the document has."""
    ends: dict[int, int] = {}
    for actor, first, last in taken:
        if not ends.get(actor, 0) < first <= last:
            return False
        ends[actor] = last
    end = 0
    for at, count, _, _ in stands:
        if at < end or not count:
            return False
        end = at + count
    return True


def runs(stands: Iterable[tuple[int, Id]]) -> tuple[tuple[int, int, Id], ...]:
    """Runs of (offset, earlier operation), in the order of the offsets."""
    made: list[tuple[int, int, Id]] = []
    for at, (old, actor) in stands:
        if made:
            first, count, (begin, owner) = made[-1]
            if first + count == at and owner == actor and begin + count == old:
                made[-1] = (first, count + 1, (begin, owner))
                continue
        made.append((at, 1, (old, actor)))
    return tuple(made)
