"""What became of the operations of a step: a reading of everything that is not in its past."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lichen_crdt import _native
from lichen_crdt.counter import Counter
from lichen_crdt.errors import CrdtError, DocumentBusy
from lichen_crdt.history import HistoryEntry
from lichen_crdt.undo_record import Id
from lichen_crdt.undo_stacks import Ledger, UndoStep

if TYPE_CHECKING:
    from lichen_crdt._native import Core

WRITES = frozenset(("put", "map", "list", "text"))
When = Literal["now", "without", "before"]
"""Now, all that does not build on the step, or what the step began at."""
OBJECTS = frozenset(("map", "list", "text"))
Place = tuple[Id | None, str | Id | None]
"""An object, None for the root, and a key of it or an element, None for the head."""


class Operation(NamedTuple):
    """One operation of a change: of a large paste there are very many, and a tuple is made fastest."""

    id: Id
    obj: Id | None
    key: str | None
    element: Id | None
    insert: bool
    action: str
    value: Any  # a scalar of a document, or the name and value of a mark
    preds: tuple[Id, ...]
    change: bytes

    @property
    def place(self) -> Place:
        """Where it writes: an insertion is an element itself."""
        if self.key is not None:
            return self.obj, self.key
        return self.obj, self.id if self.insert else self.element


class Past:
    """The operations of a step and of everything after it or beside it, and the document without the step."""

    def __init__(self, core: Core, step: UndoStep, ledger: Ledger, actors: frozenset[bytes]) -> None:
        self.core = core
        self.ledger = ledger
        self.actors = actors
        self.step = {entry.hash for entry in step.changes}
        base = step.changes[0].deps
        entries = [HistoryEntry(*fields) for fields in _native.headers(core, [*base])]
        self.without = _heads_without(base, entries, self.step)
        """The heads of all that does not build on the step."""
        self.before = [*base]
        """The heads that the step began at."""
        self.ops: dict[Id, Operation] = {}
        self.next: dict[Id, list[Operation]] = {}
        self.at_place: dict[Place, list[Operation]] = {}
        self._contents: dict[tuple[Id | None, When], dict[Id, tuple[str | None, str | None, Any]]] = {}
        self._keys: dict[tuple[Id | None, When], dict[str | None, list[Id]]] = {}
        self._forks: dict[tuple[bytes, ...], Core] = {}
        self._elements: dict[Id | None, dict[Id | None, Id]] = {}
        self._kinds: dict[Id, str | None] = {}
        self._reachable: dict[Id, bool] = {}
        self._read({entry.hash: entry for entry in entries}, [*base])

    def _read(self, entries: dict[bytes, HistoryEntry], base: list[bytes]) -> None:
        for digest, operations in _native.operations(self.core, base):
            entry = entries.get(digest)
            if entry is None:
                raise DocumentBusy("another thread wrote to the document while an undo was made: try it again")
            operations.reverse()
            for i in range(len(operations)):
                obj, key, element, insert, action, value, preds = operations.pop()
                op_id = (entry.start_op + i, entry.actor)
                op = Operation(op_id, obj, key, element, insert, action, value, tuple(preds), digest)
                self.ops[op_id] = op
                self.at_place.setdefault(op.place, []).append(op)
                for pred in op.preds:
                    self.next.setdefault(pred, []).append(op)

    def let_go(self) -> None:
        """Forget what was read: see `Inverse.let_go`."""
        for held in (self.next, self.at_place, self.ops):
            while held:
                held.popitem()

    def of_step(self) -> Iterator[Operation]:
        """The operations of the step, in order."""
        return iter(sorted((op for op in self.ops.values() if op.change in self.step), key=lambda op: op.id))

    def is_mine(self, actor: bytes) -> bool:
        """Whether an actor is one of the author's."""
        return actor in self.actors

    def is_before(self, obj: Id | None) -> bool:
        """Whether an object is there without the step too."""
        known = self.ops.get(obj) if obj else None
        return known is None or known.change not in self.step

    def after(self, op_id: Id) -> list[Operation]:
        """What took the place of a value: deletions and other values, no increments."""
        return [op for op in self.next.get(op_id, ()) if op.action != "increment"]

    def increments(self, op_id: Id) -> list[Operation]:
        """The increments of a counter."""
        return [op for op in self.next.get(op_id, ()) if op.action == "increment"]

    def is_counter(self, op_id: Id, obj: Id | None) -> bool:
        """Whether a value of an object is a counter."""
        if known := self.ops.get(op_id):
            return isinstance(known.value, Counter)
        found = self.contents(obj, "before").get(op_id)
        return found is not None and isinstance(found[2], Counter)

    def living(self, op_id: Id, obj: Id | None) -> list[Id]:
        """What is there now of a value of an object: itself, or what stands for it since undos brought it back."""
        found: list[Id] = []
        ahead = [(op_id, obj)]
        while ahead:
            at, holder = ahead.pop()
            if not self.after(at) and self.is_reachable(holder):
                found.append(at)
            newer = [op for op in self._stand_ins(at) if op in self.ops]
            ahead += [(op, self.ops[op].obj) for op in reversed(newer)]
        return found

    def is_reachable(self, obj: Id | None) -> bool:
        """Whether an object is there now."""
        if obj is None:
            return True
        if obj not in self._reachable:
            self._reachable[obj] = _native.is_reachable(self.core, obj)
        return self._reachable[obj]

    def object_now(self, obj: Id | None) -> Id | None:
        """The object itself, or if it is not there any more, the newest copy of it that is; else itself."""
        if obj is None:
            return None
        found: list[Id] = []
        ahead = [obj]
        while ahead:
            copy = ahead.pop()
            if self.is_reachable(copy):
                found.append(copy)
            else:
                ahead += self._stand_ins(copy)
        return max(found, default=obj)

    def elements(self, copy: Id | None) -> dict[Id | None, Id]:
        """The element of a copy of a list or text, for each element and value that it stands for."""
        if copy not in self._elements:
            found = self._elements[copy] = {}
            for op in self.ops.values():
                element = op.id if op.insert else op.element
                if op.obj != copy or element is None or op.action not in WRITES:
                    continue
                for origin in self.origins(op.id):
                    found[origin] = element
                    known = self.ops.get(origin)
                    if known and known.element and not known.insert:
                        found[known.element] = element
        return self._elements[copy]

    def origins(self, op_id: Id) -> Iterator[Id]:
        """The operation and what it stands for, the newest first."""
        at: Id | None = op_id
        while at is not None:
            yield at
            older = self.ledger.origin.get(at)
            at = older if older is not None and self._can_stand_for(at, older) else None

    def _stand_ins(self, op_id: Id) -> list[Id]:
        return [newer for newer in self.ledger.stands.get(op_id, ()) if self._can_stand_for(newer, op_id)]

    def _can_stand_for(self, newer: Id, older: Id) -> bool:
        """Whether both are values, and of one kind: a stranger's record may say anything."""
        op = self.ops.get(newer)
        return (op is None or op.action in WRITES) and self._kind(newer) == self._kind(older)

    def _kind(self, op_id: Id) -> str | None:
        """The kind of the object that an operation made, None if it made none."""
        if op_id not in self._kinds:
            try:
                self._kinds[op_id] = _native.object_of(self.core, op_id).kind
            except CrdtError:
                self._kinds[op_id] = None
        return self._kinds[op_id]

    def writer(self, op_id: Id) -> bytes:
        """Who wrote a value first."""
        *_, first = self.origins(op_id)
        return first[1]

    def contents(self, obj: Id | None, when: When) -> dict[Id, tuple[str | None, str | None, Any]]:
        """The key, the kind of object and the scalar of each value in an object: now, or in another version."""
        if (obj, when) not in self._contents:
            at = {"now": None, "without": self.without, "before": self.before}[when]
            found = self.items(obj, at)
            self._contents[obj, when] = {op_id: (key, kind, value) for key, op_id, kind, value in found}
        return self._contents[obj, when]

    def others_at(self, place: Place, there: Place, mine: list[Id]) -> bool:
        """Whether other values than these came to a place since the step, or beside it; `there` is where it is now."""
        obj, key = there
        if isinstance(key, str):
            now = [op_id for op_id in self._at_key(obj, key, "now") if op_id in self.ops]
        else:
            writes = (op for op in self.at_place.get(there, ()) if op.action in WRITES)
            now = [op.id for op in writes if not self.after(op.id)]
        return any(op_id not in mine and not self._came_back(place, op_id) for op_id in now)

    def _came_back(self, place: Place, op_id: Id) -> bool:
        """Whether a value stands for one that was at a place before the step."""
        obj, key = place
        if not isinstance(key, str) and any(old in self.contents(obj, "before") for old in self.origins(op_id)):
            return True  # what showed needs no look at what was beneath
        return any(old in self._were_at(place, old) for old in self.origins(op_id))

    def showed(self, place: Place, value: Id) -> bool:
        """Whether this is what a reader saw at a place before the step, or nothing of then is there now.

        A step that takes back one of several values leaves the others, so that it may have changed nothing to see.
        """
        if not isinstance(place[1], str) and value in self.contents(place[0], "before"):
            return True
        there = self._were_at(place, value)
        return there[-1:] in ([], [value]) or not any(self.living(old, place[0]) for old in there if old != value)

    def _were_at(self, place: Place, value: Id) -> list[Id]:
        """The values at a place before the step, the one that showed last; a value of an element tells which one."""
        obj, key = place
        if isinstance(key, str):
            return self._at_key(obj, key, "before")
        if value in self.ops:
            return []
        return _native.values_beside(self._at(self.before), obj, value)

    def items(self, obj: Id | None, at: list[bytes] | None) -> list[tuple[str | None, Id, str | None, Any]]:
        """The key, the id, the kind of object and the scalar of each value in an object, at some heads or now."""
        core = self.core
        if at is not None and obj and self._kind(obj) == "text" and core.marks(_native.object_of(core, obj), at):
            core, at = self._at(at), None
        return _native.contents(core, obj, at)

    def _at(self, heads: list[bytes]) -> Core:
        """A document at some heads: one element, or a text with marks, is slow to read in an older version of it."""
        key = tuple(heads)
        if key not in self._forks:
            self._forks[key] = self.core.fork(None, heads)
        return self._forks[key]

    def _at_key(self, obj: Id | None, key: str, when: When) -> list[Id]:
        if (obj, when) not in self._keys:
            keys = self._keys[obj, when] = {}
            for op_id, (found, _, _) in self.contents(obj, when).items():
                keys.setdefault(found, []).append(op_id)
        return self._keys[obj, when].get(key, [])

    def has_others_work(self, op_id: Id) -> bool:
        """Whether others have written into a value of the author: things in an object, increments of a counter."""
        if self._counts_others(op_id):
            return True
        op = self.ops.get(op_id)
        if op is None or op.action not in OBJECTS:
            return False
        return self._holds_others(op_id)

    def _holds_others(self, obj: Id) -> bool:
        for op_id, (_, kind, _) in self.contents(obj, "now").items():
            if self._is_others(op_id) or (kind and self._holds_others(op_id)):
                return True
            if self._counts_others(op_id):
                return True
        return False

    def _is_others(self, op_id: Id) -> bool:
        """Whether others wrote a value; what the step itself put back of theirs goes as it came."""
        known = self.ops.get(op_id)
        return not (known and known.change in self.step) and not self.is_mine(self.writer(op_id))

    def _counts_others(self, op_id: Id) -> bool:
        return bool(sum(op.value for op in self.increments(op_id) if not self.is_mine(op.id[1])))

    def is_taken_by_others(self, op_id: Id) -> bool:
        """Whether someone else deleted or replaced a value too, and that stands."""
        return any(
            op.change not in self.step and op.change not in self.ledger.undone and not self.is_mine(op.id[1])
            for op in self.after(op_id)
        )


def _heads_without(base: tuple[bytes, ...], entries: list[HistoryEntry], step: set[bytes]) -> list[bytes]:
    """The heads of what is left of `base` and `entries` when a step and all that builds on it are not there."""
    gone: set[bytes] = set()
    heads = dict.fromkeys(base)
    for entry in entries:  # each after what it builds on
        if entry.hash in step or any(dep in gone for dep in entry.deps):
            gone.add(entry.hash)
            continue
        for dep in entry.deps:
            heads.pop(dep, None)
        heads[entry.hash] = None
    return sorted(heads)
