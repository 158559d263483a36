"""The undo and redo stacks of an author, folded from the headers of the document's changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lichen_crdt import undo_record
from lichen_crdt.history import HistoryEntry
from lichen_crdt.undo_record import Id, Record


@dataclass(frozen=True, slots=True)
class UndoStep:
    """What one undo takes back, or one redo brings back."""

    label: str | None
    """What the writer said about it: the message of its first change."""
    time: int
    """The time of its last change, in seconds since 1970; 0 if it does not say."""
    changes: tuple[HistoryEntry, ...]
    """The changes that it consists of, of one actor, oldest first."""


@dataclass(slots=True)
class Ledger:
    """What the records of everyone in the document say, in an order that all copies agree on."""

    undone: set[bytes] = field(default_factory=set)
    """Hashes of changes that are taken back now."""
    origin: dict[Id, Id] = field(default_factory=dict)
    """The operation that an operation stands for."""
    stands: dict[Id, list[Id]] = field(default_factory=dict)
    """The operations that stand for an operation."""


def in_order(entries: Iterable[HistoryEntry]) -> list[HistoryEntry]:
    """Causes before effects, the same on every copy; given each after what it builds on.

    By operation number, then by actor. A change without operations takes no number: it comes before the one that does.
    """
    entries, depth = [*entries], dict[bytes, int]()
    for entry in entries:
        if not entry.operations:
            depth[entry.hash] = 1 + max((depth.get(dep, 0) for dep in entry.deps), default=0)
    return sorted(entries, key=lambda e: (e.start_op, e.operations > 0, depth.get(e.hash, 0), e.actor, e.seq))


class Stacks:
    """Folds entries, oldest first, into a ledger and the two stacks of one author."""

    def __init__(self, actors: frozenset[bytes], gap: int, limit: int) -> None:
        self._actors = actors
        self._gap = gap
        self._limit = limit
        self._hashes: dict[tuple[bytes, int], bytes] = {}
        self._last: dict[bytes, int] = {}  # the last seq of each actor
        self._group: str | None = None
        self._open = False  # whether the newest step may take one more change
        self.undo: list[UndoStep] = []
        self.redo: list[UndoStep] = []
        self.ledger = Ledger()

    def add(self, entry: HistoryEntry) -> None:
        """Take note of the next change."""
        self._hashes[entry.actor, entry.seq] = entry.hash
        self._last[entry.actor] = max(entry.seq, self._last.get(entry.actor, 0))
        record = undo_record.read(entry.message)
        if record is not None:
            self._note(record, entry)
        if entry.actor not in self._actors:
            return
        if record is not None:
            self._take(record, entry)
        elif entry.operations:
            self._edit(entry)

    def _note(self, record: Record, entry: HistoryEntry) -> None:
        hashes = {
            self._hashes[actor, seq]
            for actor, first, last in record.taken
            for seq in range(first, min(last, self._last.get(actor, 0)) + 1)
            if (actor, seq) in self._hashes
        }
        self.ledger.undone |= hashes
        for new, old in record.pairs(entry.start_op, entry.operations, entry.actor):
            self.ledger.origin[new] = old
            self.ledger.stands.setdefault(old, []).append(new)

    def _take(self, record: Record, entry: HistoryEntry) -> None:
        """Move the step that a record takes back to the other stack, the record's change in its place."""
        taken, other = (self.undo, self.redo) if record.kind == "undo" else (self.redo, self.undo)
        self._open = False
        if other and _goes_on(record, other[-1]):
            other[-1] = UndoStep(other[-1].label, entry.time, (*other[-1].changes, entry))
            return
        named = {*record.taken}
        for at in range(len(taken) - 1, -1, -1):
            if {*ranges(taken[at].changes)} == named:
                step = taken.pop(at)
                other.append(UndoStep(step.label, entry.time, (entry,)))
                return

    def _edit(self, entry: HistoryEntry) -> None:
        self.redo.clear()
        group = undo_record.group(entry.message)
        last = self.undo[-1] if self.undo else None
        if last and self._open and self._continues(last, entry, group):
            self.undo[-1] = UndoStep(last.label, entry.time, (*last.changes, entry))
        else:
            self.undo.append(UndoStep(undo_record.label(entry.message), entry.time, (entry,)))
            del self.undo[: -self._limit]
        self._group, self._open = group, True

    def _continues(self, last: UndoStep, entry: HistoryEntry, group: str | None) -> bool:
        before = last.changes[-1]
        if before.actor != entry.actor or before.seq + 1 != entry.seq or group != self._group:
            return False
        if group is not None:
            return True
        return bool(before.time and entry.time) and 0 <= entry.time - before.time < self._gap


def _goes_on(record: Record, step: UndoStep) -> bool:
    """Whether a record takes back the same as the newest of a stack: in several changes, or on two devices at once."""
    before = undo_record.read(step.changes[-1].message)
    return before is not None and (before.kind, before.taken) == (record.kind, record.taken)


def ranges(changes: Iterable[HistoryEntry]) -> tuple[tuple[bytes, int, int], ...]:
    """The changes of a step as actor, first and last seq."""
    made: list[tuple[bytes, int, int]] = []
    for entry in changes:
        if made and made[-1][0] == entry.actor and made[-1][2] + 1 == entry.seq:
            made[-1] = (entry.actor, made[-1][1], entry.seq)
        else:
            made.append((entry.actor, entry.seq, entry.seq))
    return tuple(made)
