"""The rules of undo and redo, for random replicas."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

from crdt_replicas import SEEN, Edit, World, seeds, who
from crdt_strategies import containers, deletions, edits_at_one_place, exact, transactions
from hypothesis import strategies as st
from hypothesis.stateful import rule
from lichen_crdt import Document, Text, Undo, Undone, _native, undo_record
from lichen_crdt.undo_inverse import Inverse

Id = tuple[int, bytes]


class Undoing(World):
    """What an author takes back, and brings back, at any time."""

    def undo_of(self, on: int, *with_: int) -> Undo:
        """The undo of the author of some replicas, as after a restart: made of the document alone."""
        return Undo(self.replicas[on].doc, set().union(*(self.replicas[i].actors for i in (on, *with_))))

    def restart(self, on: int, way: str, new: bool) -> None:
        """Go on with what was saved."""
        raise NotImplementedError

    def took(self, on: int, undone: Undone | None) -> None:
        assert undone is not None
        self.wrote(on, undone.changes, undone.patches)

    @rule(on=who, edits=transactions, restarts=st.booleans())
    def undo_at_once(self, on: int, edits: list[Edit], restarts: bool) -> None:
        """An undo of what was just written leaves what was before it, and a redo brings it back, restarts or not."""
        heads, before = self.replicas[on].doc.heads, self.content(on)
        self.put(on, edits)
        after = self.content(on)
        if self.replicas[on].doc.heads == heads:
            return
        self.took(on, self.undo_of(on).undo())
        assert self.content(on) == before, f"undo left not {before}, but {self.content(on)}"
        if restarts:
            self.restart(on, "whole", new=True)
        self.took(on, self.undo_of(on).redo())
        assert self.content(on) == after, f"redo made not {after}, but {self.content(on)}"
        SEEN["undone at once"] += 1

    @rule(on=who, other=who, redo=st.booleans())
    def undo(self, on: int, other: int, redo: bool) -> None:
        """Whatever an author of one or two devices takes back, what others wrote stays."""
        doc, undo = self.replicas[on].doc, self.undo_of(on, other)
        heads, before, elsewhere = doc.heads, others_work(doc, undo), doc.fork(actor=doc.actor)
        undone = undo.redo() if redo else undo.undo()
        if undone is None:
            assert doc.heads == heads
            assert not (undo.can_redo if redo else undo.can_undo)
            return
        assert doc.heads != heads
        with patch.object(Inverse, "_simple", return_value=False):
            slow = Undo(elsewhere, undo._actors)
            (slow.redo if redo else slow.undo)()
        assert self.content(on) == exact(elsewhere.to_py(rich=True)), "what is simple was taken back otherwise"
        self.took(on, undone)
        gone = {op for op in before - others_work(doc, undo) if not lives(doc, op)}
        assert not gone, f"what others wrote is gone: {gone}"
        SEEN["redone" if redo else "undone"] += 1

    @rule(on=who, times=st.integers(1, 3))
    def undo_and_redo(self, on: int, times: int) -> None:
        """As many redos as undos, when nobody else writes between them, change nothing."""
        before = self.content(on)
        steps = min(times, len(self.undo_of(on).steps))
        for _ in range(steps):
            self.took(on, self.undo_of(on).undo())
        for _ in range(steps):
            self.took(on, self.undo_of(on).redo())
        assert self.content(on) == before, f"undo and redo made not {before}, but {self.content(on)}"
        SEEN["undone and redone"] += steps > 0

    @rule(one=who, other=who, where=seeds, edits=deletions, other_edits=st.none() | edits_at_one_place)
    def undo_on_two_devices(
        self, one: int, other: int, where: int, edits: list[Edit], other_edits: list[Edit] | None
    ) -> None:
        """Two devices of an author take a deletion back; one makes it again, or another edit, before they meet."""
        if one == other:
            return
        self.exchange(one, other)
        texts = [i for i, view in enumerate(containers(self.replicas[one].doc)) if isinstance(view, Text)]
        place = texts[where % len(texts)] if texts and where % 4 else where
        self.put(one, [replace(edit, where=place) for edit in edits])
        self.exchange(one, other)
        for on in (one, other):
            if undone := self.undo_of(on, one, other).undo():
                self.took(on, undone)
        self.put(one, [replace(edit, where=place) for edit in other_edits or edits])
        self.exchange(one, other)
        SEEN["undone twice"] += 1


def others_work(doc: Document, undo: Undo) -> set[Id]:
    """What shows of what others wrote, but for what stands for something of the author."""
    mine = undo._actors | {doc.actor}
    origin: dict[Id, Id] = {}
    for entry in doc.history():
        if record := undo_record.read(entry.message):
            origin.update(record.pairs(entry.start_op, entry.operations, entry.actor))
    return {op for op in _visible(doc, None) if op[1] not in mine and _first(op, origin)[1] not in mine}


def lives(doc: Document, op: Id) -> bool:
    """Whether a value is there, shown or in a conflict: nothing took its place, and its object can be reached."""
    starts = {entry.hash: (entry.start_op, entry.actor) for entry in doc.history()}
    holder: Id | None = None
    for digest, operations in _native.operations(doc._core, []):
        start, actor = starts[digest]
        for at, (obj, _, _, _, action, _, preds) in enumerate(operations):
            if (start + at, actor) == op:
                holder = obj
            elif op in preds and action != "increment":
                return False
    return holder is None or _native.is_reachable(doc._core, holder)


def _first(op: Id, origin: dict[Id, Id]) -> Id:
    while op in origin:
        op = origin[op]
    return op


def _visible(doc: Document, obj: Id | None) -> list[Id]:
    found: list[Id] = []
    for _, op, kind, _ in _native.contents(doc._core, obj, None):
        assert op is not None
        found += [op, *(_visible(doc, op) if kind else [])]
    return found
