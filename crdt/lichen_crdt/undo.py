"""Undo and redo of one author, which survive restarts and never take back the work of others.

The stacks are not kept anywhere: they follow from the document, where each undo is an ordinary change whose message
says which changes it takes back (`undo_record`). How it takes them back is in `undo_inverse`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from lichen_crdt import _native
from lichen_crdt.changes import MAX_OPERATIONS, inspect, seconds
from lichen_crdt.document import Document
from lichen_crdt.errors import ActorReused, DocumentBusy, InvalidChange, TransactionOpen
from lichen_crdt.history import HistoryEntry, read
from lichen_crdt.patches import Patch
from lichen_crdt.undo_inverse import Inverse
from lichen_crdt.undo_marks import TextMark, moved, restored
from lichen_crdt.undo_past import Past
from lichen_crdt.undo_record import Record, group_message, runs
from lichen_crdt.undo_stacks import Stacks, UndoStep, in_order, ranges


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo or a redo did: ordinary changes, to be sent as any others."""

    label: str | None
    """The message of the step that it took back, or brought back."""
    changes: tuple[tuple[bytes, bytes], ...]
    """The changes that it made, as (hash, bytes)."""
    patches: tuple[Patch, ...]
    """What they changed."""


class Undo:
    """The undo and redo of one author in one document.

    `actors` are those that the author wrote under so far (`Authors.actors`); the document's own actor is one of them
    always. A step is one change, or all changes of one `group`, or changes of one actor with times less than `gap`
    seconds apart. The newest `limit` steps can be undone. A new edit of the author clears redo; edits of others do not.

    The first call after the document changed reads the headers of what is new.
    """

    def __init__(self, document: Document, actors: Iterable[bytes] = (), *, gap: int = 0, limit: int = 1000) -> None:
        """Raises `ValueError` if `gap` is negative or `limit` below 1, `TypeError` for actors that are not `bytes`."""
        if gap < 0 or limit < 1:
            raise ValueError("a gap is 0 or more seconds, a limit 1 step or more")
        actors = tuple(actors)
        if not all(isinstance(actor, bytes) for actor in actors):
            raise TypeError("the actors of an undo are several `bytes`: put a single one in a tuple")
        self._document = document
        self._core = document._core  # noqa: SLF001 - one package
        self._actors = frozenset(actors)
        self._gap = gap
        self._limit = limit
        self._entries: list[HistoryEntry] = []
        self._heads: tuple[bytes, ...] = ()
        self._stacks = Stacks(self._actors, gap, limit)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._read().undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to bring back."""
        return bool(self._read().redo)

    @property
    def steps(self) -> tuple[UndoStep, ...]:
        """The steps that can be taken back, the next one last."""
        return tuple(self._read().undo)

    @property
    def undone_steps(self) -> tuple[UndoStep, ...]:
        """The steps that can be brought back, the next one last."""
        return tuple(self._read().redo)

    def group(self, label: str) -> str:
        """A message for `document.change(...)`: changes of one actor in a row that carry it are one step.

        People read `label`; the second line of the message keeps the group together after a restart.
        """
        # The actor and the version that it starts at are those of no other group.
        token = sha256(self._document.actor + b"".join(self._document.heads)).hexdigest()[:16]
        return group_message(label, token)

    def undo(self, time: int | None = None) -> Undone | None:
        """Take back the newest step; None if there is none.

        Only what the step wrote is taken back: what others wrote since, or at the same time, stays. The patches are
        none if nothing of the step shows any more; it is taken back all the same. `time` is in
        seconds since 1970. Raises `TransactionOpen` inside a transaction, `ValueError` for a time that is not
        between -2^62 and 2^62, `DocumentBusy` if another thread changed the document meanwhile.
        """
        return self._go("undo", seconds(time))

    def redo(self, time: int | None = None) -> Undone | None:
        """Bring back the step that was taken back last; None if there is none. As `undo` in all else."""
        return self._go("redo", seconds(time))

    def _go(self, kind: Literal["undo", "redo"], time: int) -> Undone | None:
        if self._document.in_transaction:
            raise TransactionOpen("a transaction is open on this document: it must end before an undo")
        stacks = self._read()
        steps = stacks.undo if kind == "undo" else stacks.redo
        return self._take_back(steps[-1], kind, time) if steps else None

    def _take_back(self, step: UndoStep, kind: Literal["undo", "redo"], time: int) -> Undone:
        actor, ledger = self._document.actor, self._stacks.ledger
        past = Past(self._core, step, ledger, self._actors | {actor})
        start = _native.next_operation(self._core)
        inverse = Inverse(past, start, actor)
        try:
            return self._make(inverse, step, kind, time)
        finally:
            inverse.let_go()

    def _make(self, inverse: Inverse, step: UndoStep, kind: Literal["undo", "redo"], time: int) -> Undone:
        past, start = inverse.past, inverse.start
        record = Record(kind, ranges(step.changes), ())
        made = Undone(step.label, (), ())
        for first in range(0, len(inverse.ops), MAX_OPERATIONS):
            made = self._write(inverse, first, start + first, record, made, time)
        new = {(start + at, self._document.actor): old for at, old in inverse.stands}
        marks = [*inverse.marks, *restored(past, step.changes[-1].hash, {**past.ledger.origin, **new})]
        for (obj, copy), old in inverse.moved.items():
            marks += moved(past, obj, copy, old)
        if marks:
            return self._mark(marks, record, made, time)
        # The record needs a change, if only one without operations.
        return made if made.changes else self._write(inverse, 0, start, record, made, time)

    def _write(self, inverse: Inverse, first: int, start: int, record: Record, made: Undone, time: int) -> Undone:
        """Make one change of the operations from `first` on, as many as fit."""
        end = first + MAX_OPERATIONS
        stands = runs((at - first, old) for at, old in inverse.stands if first <= at < end)
        message = Record(record.kind, record.taken, stands).write(made.label)
        heads = self._heads if first == 0 else (made.changes[-1][0],)
        data = _native.build(self._core, start, time, message, inverse.ops[first:end])
        try:
            patches = self._document.apply_changes([data], strict=True)
        except (ActorReused, InvalidChange) as error:
            if self._document.heads == heads:
                raise
            raise DocumentBusy("another thread wrote to the document while an undo was made: try it again") from error
        change = (inspect(data).hash, data)
        return Undone(made.label, (*made.changes, change), (*made.patches, *patches))

    def _mark(self, marks: list[TextMark], record: Record, made: Undone, time: int) -> Undone:
        views = [_native.object_of(self._core, text) for text, *_ in marks]
        with self._document.change(record.write(made.label), time, patches=True) as tx:
            for view, (_, start, end, name, value) in zip(views, marks, strict=True):
                self._core.mark(view, start, end, name, value, (False, value is not None))
        return Undone(made.label, (*made.changes, *tx.changes), (*made.patches, *tx.patches))

    def _read(self) -> Stacks:
        heads = self._document.heads
        actors = self._actors | {self._document.actor}
        if heads == self._heads and actors == self._actors:
            return self._stacks
        new = in_order(read(self._core, self._heads))
        fresh = bool(self._entries and new) and in_order((self._entries[-1], new[0]))[0] is not self._entries[-1]
        if fresh or actors != self._actors:
            self._entries = in_order((*self._entries, *new))
            self._stacks = Stacks(actors, self._gap, self._limit)
            new = self._entries
        else:
            self._entries += new
        for entry in new:
            self._stacks.add(entry)
        self._heads, self._actors = heads, actors
        return self._stacks
