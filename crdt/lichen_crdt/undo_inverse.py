"""The operations that take a step back.

Each names exactly the values of the step that it takes back, so whatever others wrote at the same place stays. A
deleted element is brought back by a value at that very element: cursors, marks and the text of others around it keep
their places, and two devices that undo the same deletion bring it back once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lichen_crdt import _native
from lichen_crdt.counter import wrapped
from lichen_crdt.undo_past import OBJECTS, WRITES, Operation, Past, Place
from lichen_crdt.undo_record import Id

Given = tuple[Id | None, str | None, Id | None, bool, str, Any, list[Id]]
"""An operation as the native core takes it: object, key, element, insert, action, value, predecessors."""


class Inverse:
    """Collects the operations of an undo, numbered from `start` under `actor`."""

    def __init__(self, past: Past, start: int, actor: bytes) -> None:
        self.past = past
        self.start = start
        self._actor = actor
        self.ops: list[Given] = []
        self.stands: list[tuple[int, Id]] = []
        """The offset of each operation that stands for an earlier one."""
        self.marks: list[tuple[Id, int, int, str, Any]] = []
        """Marks of texts that were brought back: text, start, end, name, value."""
        self.moved: dict[tuple[Id, Id], dict[Id, Id]] = {}
        """What came back into the copy of an object: by the object and its copy, the new and the old values."""
        self._gone: set[Id] = set()  # objects of the step that are taken back with all they hold
        self._beside: list[tuple[int, Id | None, Id, Id]] = []  # place in the old list, list, copy, value
        self._orders: dict[Id | None, dict[Id, int]] = {}
        self._take_back()

    def let_go(self) -> None:
        """Forget all of it one by one: to free very many objects at once keeps every thread waiting meanwhile."""
        self.past.let_go()
        for held in (self.ops, self.stands):
            while held:
                held.pop()

    def _take_back(self) -> None:
        slots: dict[Place, list[Operation]] = {}
        for op in self.past.of_step():
            if op.action not in ("mark", "end") and not self._simple(op.place, op):
                slots.setdefault(op.place, []).append(op)
        for place, ops in slots.items():
            if place[0] in self._gone:
                self._gone.update(op.id for op in ops if op.action in OBJECTS)
            else:
                self._slot(place, ops)
        self._restore_beside()

    def _simple(self, place: Place, op: Operation) -> bool:
        """Take back a value that came where none was, or an element that was deleted, if nothing else happened there.

        Nearly all of a large step is of this kind: what `_slot` does comes to the same for it, in ten times as long.
        """
        past, (obj, key) = self.past, place
        if len(past.at_place[place]) > 1 or not past.is_before(obj) or not past.is_reachable(obj):
            return False
        if op.action == "put" and not op.preds and op.id not in past.ledger.stands:
            self._emit(place, "delete", None, [op.id])
            return True
        if op.action != "delete" or len(op.preds) > 1 or isinstance(key, str):
            return False
        (old,) = op.preds
        _, kind, value = past.contents(obj, "before").get(old, (None, "", None))
        if kind is not None or old in past.ledger.stands:
            return False
        self._emit(place, "put", value, [], stands=old)
        return True

    def _slot(self, place: Place, ops: list[Operation]) -> None:
        ids = {op.id for op in ops}
        written = [op for op in ops if op.action in WRITES and not any(n.id in ids for n in self.past.after(op.id))]
        had = [*dict.fromkeys(pred for op in ops for pred in op.preds if pred not in ids)]
        self._uncount(ops, ids)
        if written:
            self._gone |= ids  # unless it stays, below
            self._unwrite(place, written, had)
        elif any(op.action == "delete" for op in ops):
            self._undelete(place, had)

    def _uncount(self, ops: list[Operation], ids: set[Id]) -> None:
        """Add the opposite of the step's increments to counters that it did not make."""
        total: dict[tuple[Place, Id], int] = {}
        for op in ops:
            if op.action == "increment":
                for pred in op.preds:
                    total[op.place, pred] = total.get((op.place, pred), 0) + op.value
        for (place, pred), by in total.items():
            if pred in ids or not by:
                continue
            for counter in self.past.living(pred, place[0]):
                known = self.past.ops.get(counter)
                if not self.past.is_counter(counter, place[0]):
                    continue  # an increment names every value that was there beside the counter
                self._emit(known.place if known else place, "increment", wrapped(-by), [counter])

    def _unwrite(self, place: Place, written: list[Operation], had: list[Id]) -> None:
        """Take values back: what was there before comes again, unless others wrote there."""
        found: dict[Place, list[Id]] = {}
        for op in written:
            for living in self.past.living(op.id, op.obj):
                if self.past.has_others_work(living):
                    self._gone.discard(op.id)
                else:
                    found.setdefault(self.past.ops[living].place, []).append(living)
        for there, living_ids in found.items():
            before = [] if self.past.others_at(place, there, living_ids) else self._shown(place, had)
            before = [old for old in before if not self._is_settled(old, place[0])]
            restored = [self._restore(old, place[0], there, living_ids) for old in before]
            if not any(restored):
                self._emit(there, "delete", None, living_ids)

    def _undelete(self, place: Place, had: list[Id]) -> None:
        there = self._place_now(place, had)
        if there is not None and self.past.others_at(place, there, []):
            return
        for old in self._shown(place, had):
            if self._is_settled(old, place[0]):
                continue
            if there is not None:
                self._restore(old, place[0], there, [])
                continue
            copy, index = self.past.object_now(place[0]), self._order(place[0]).get(old)
            if copy is not None and index is not None:
                self._beside.append((index, place[0], copy, old))

    def _shown(self, place: Place, values: list[Id]) -> list[Id]:
        return [value for value in values if self.past.showed(place, value)]

    def _is_settled(self, old: Id, obj: Id | None) -> bool:
        """Whether others took a value away, or it is there."""
        return self.past.is_taken_by_others(old) or bool(self.past.living(old, obj))

    def _restore(self, old: Id, obj: Id | None, place: Place, preds: list[Id], insert: bool = False) -> Id | None:
        """Write a value of the document without the step again; None if it has it not."""
        if not self.past.is_before(obj):
            return None
        found = self.past.contents(obj, "without").get(old) or self.past.contents(obj, "before").get(old)
        if found is None:
            return None
        _, kind, value = found
        made = self._emit(place, kind or "put", value, preds, insert=insert, stands=old)
        if kind:
            self._copy(old, kind, made)
        copy, element = place
        if copy != obj and not isinstance(element, str):
            self.past.elements(copy)[old] = made if insert or element is None else element
            if obj and copy:
                self.moved.setdefault((obj, copy), {})[made] = old
        return made

    def _copy(self, old: Id, kind: str, made: Id) -> None:
        """Write all that an object holds into a new one."""
        last: Id | None = None
        for op_id, (key, inner, value) in self.past.contents(old, "without").items():
            place: Place = (made, key if kind == "map" else last)
            last = self._emit(place, inner or "put", value, [], insert=kind != "map", stands=op_id)
            if inner:
                self._copy(op_id, inner, last)
        if kind == "text":
            core = self.past.core
            for start, end, name, value in core.marks(_native.object_of(core, old), self.past.without):
                self.marks.append((made, start, end, name, value))

    def _emit(
        self,
        place: Place,
        action: str,
        value: Any,
        preds: Iterable[Id],
        *,
        insert: bool = False,
        stands: Id | None = None,
    ) -> Id:
        obj, key = place
        name, element = (key, None) if isinstance(key, str) else (None, key)
        if stands is not None:
            self.stands.append((len(self.ops), stands))
        self.ops.append((obj, name, element, insert, action, value, sorted(preds)))
        return self.start + len(self.ops) - 1, self._actor

    # Objects that were brought back as copies

    def _place_now(self, place: Place, values: list[Id]) -> Place | None:
        """Where a place with these values is now, if its object came back as a copy; None if the copy has it not."""
        obj, key = place
        copy = self.past.object_now(obj)
        if obj is None or copy == obj or isinstance(key, str):
            return copy, key
        elements = self.past.elements(copy)
        found = next((elements[known] for known in (key, *values) if known in elements), None)
        return None if found is None else (copy, found)

    def _order(self, obj: Id | None) -> dict[Id, int]:
        """The values of a list or text, those that others deleted since included, and where each is in it."""
        if obj not in self._orders:
            there = self.past.contents(obj, "without") or self.past.contents(obj, "before")
            self._orders[obj] = {value: index for index, value in enumerate(there)}
        return self._orders[obj]

    def _restore_beside(self) -> None:
        """Insert elements that a copy has not, each after the nearest one before it that the copy has."""
        values = {obj: [*self._order(obj)] for _, obj, _, _ in self._beside}
        for index, obj, copy, old in sorted(self._beside, key=lambda item: (item[2], item[0])):
            elements = self.past.elements(copy)
            before = (values[obj][at] for at in range(index - 1, -1, -1))
            after = next((elements[value] for value in before if value in elements), None)
            self._restore(old, obj, (copy, after), [], insert=True)
