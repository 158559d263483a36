"""Random histories of changes that no honest program makes: whatever the clauses of "a valid change" let in.

Actors of several lengths write beside each other, values of any type stand in texts, counters are incremented beside
other values, and marks begin and end anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from crdt_forge import (
    DELETE,
    HEAD,
    INCREMENT,
    MAKE_LIST,
    MAKE_MAP,
    MAKE_TEXT,
    MARK,
    SET,
    Change,
    Id,
    Op,
    counter,
    integer,
    sleb,
    string,
    uleb,
)
from lichen_crdt import Document, InvalidChange

MOST_CHANGES, MOST_OPS = 12, 6
KEYS = ("a", "b", "c", "")
STRINGS = tuple(map(string, ("a", "b", "", "xyz", "é🎉")))
SCALARS = (
    *((0, b""), (1, b""), (2, b""), integer(0), integer(-1), integer(5), integer(-(2**63))),
    *((3, uleb(2**63)), (3, uleb(2**64 - 1)), (5, bytes(8)), (7, b"\0\1"), counter(0), counter(8)),
    *((9, sleb(0)), (9, sleb(-1)), (9, sleb(10**12)), (12, b"zz"), *STRINGS),
)
MAKES = {MAKE_MAP: "map", MAKE_LIST: "list", MAKE_TEXT: "text"}


@dataclass(frozen=True)
class Wild:
    """A change of a history, and the hashes of all that it builds on."""

    data: bytes
    hash: bytes
    actor: bytes
    start_op: int
    ops: tuple[Op, ...]
    past: frozenset[bytes]

    @property
    def end_op(self) -> int:
        """The number after its last operation."""
        return self.start_op + len(self.ops)


def wild_history(random: Random) -> list[Wild]:
    """Changes by up to four actors, each after what it builds on."""
    actors = [bytes([random.randrange(1, 255)]) * random.choice([1, 2, 16]) for _ in range(random.randint(1, 4))]
    oddity = random.random() * 0.3  # how often a text gets what is no string
    made: list[Wild] = []
    for _ in range(MOST_CHANGES):
        change = _change(random, made, random.choice(actors), oddity)
        if _is_valid(made, change):
            made.append(change)
    return made


def before(history: Iterable[Wild], hashes: Iterable[bytes]) -> list[bytes]:
    """The changes with these hashes, and all that they build on."""
    history = list(history)
    wanted = {*hashes}
    wanted |= {one for change in history if change.hash in wanted for one in change.past}
    return [change.data for change in history if change.hash in wanted]


def any_order(random: Random, history: list[Wild]) -> Iterator[Wild]:
    """The changes in another order in which each comes after what it builds on."""
    done: set[bytes] = set()
    while len(done) < len(history):
        change = random.choice([one for one in history if one.hash not in done and one.past <= done])
        done.add(change.hash)
        yield change


def _is_valid(made: list[Wild], change: Wild) -> bool:
    doc = Document()
    doc.apply_changes(before(made, change.past))
    try:
        doc.apply_changes([change.data], strict=True)
    except InvalidChange:  # as of a mark that ends before it begins
        return False
    return True


def _change(random: Random, made: list[Wild], actor: bytes, oddity: float) -> Wild:
    seen = random.sample(made, min(len(made), random.choice([0, 1, 1, 2, 3, 99])))
    seen += [one for one in made if one.actor == actor][-1:]
    past = frozenset(one.hash for one in seen).union(*(one.past for one in seen))
    known = [one for one in made if one.hash in past]
    start_op = max([one.end_op for one in known], default=1)
    state = _State(random, actor, start_op, oddity)
    for one in known:
        state.play(one.ops, one.start_op, one.actor)
    while len(state.ops) < random.randint(0, MOST_OPS):
        state.write()
    heads = tuple(one.hash for one in known if not any(one.hash in other.past for other in known))
    seq = 1 + sum(one.actor == actor for one in made)
    ops = tuple(state.ops)
    change = Change(actor, seq, start_op, heads, random.choice([0, 5]), ops)
    return Wild(change.encode(), change.hash, actor, start_op, ops, past)


@dataclass
class _State:
    """What an actor has in sight, and the operations that it adds."""

    random: Random
    actor: bytes
    start_op: int
    oddity: float
    ops: list[Op] = field(default_factory=list)
    kinds: dict[Id | None, str] = field(default_factory=lambda: {None: "map"})
    elements: dict[Id | None, list[Id]] = field(default_factory=dict)
    values: dict[tuple[Id | None, Any], list[Id]] = field(default_factory=dict)
    counters: set[Id] = field(default_factory=set)
    gone: set[Id] = field(default_factory=set)

    def play(self, ops: Iterable[Op], start_op: int, actor: bytes) -> None:
        """Take operations in."""
        for number, op in enumerate(ops, start_op):
            ident = (number, actor)
            if op.action != INCREMENT:
                self.gone.update(op.pred)
            if op.action in MAKES:
                self.kinds[ident] = MAKES[op.action]
            if op.insert:
                self.elements.setdefault(op.obj, []).append(ident)
            if op.action == SET or op.action in MAKES:
                self.values.setdefault((op.obj, ident if op.insert else op.key), []).append(ident)
            if op.action == SET and op.value[0] == counter(0)[0]:
                self.counters.add(ident)

    def write(self) -> None:
        """Add an operation, or two of a mark."""
        obj = self.random.choice([*self.kinds])
        there = self.elements.get(obj, [])
        if self.kinds[obj] == "map":
            self._overwrite(obj, self.random.choice(KEYS))
        elif there and self.random.random() < 0.6:
            self._overwrite(obj, self.random.choice(there))
        elif there and self.kinds[obj] == "text" and self.random.random() < 0.15:
            self._mark(obj)
        else:
            self._add(self._value(obj, self._place(obj), insert=True))

    def _add(self, op: Op) -> None:
        self.play([op], self.start_op + len(self.ops), self.actor)
        self.ops.append(op)

    def _place(self, obj: Id | None) -> str | Id:
        there = self.elements.get(obj, [])
        return HEAD if not there or self.random.random() < 0.3 else self.random.choice(there)

    def _mark(self, obj: Id | None) -> None:
        value = self.random.choice(SCALARS) if self.random.random() < 0.7 else (0, b"")
        name, expands = self.random.choice("bi"), self.random.random() < 0.5
        self._add(Op(MARK, obj, self._place(obj), insert=True, value=value, mark=name, expand=expands))
        self._add(Op(MARK, obj, self.random.choice(self.elements[obj]), insert=True, expand=self.random.random() < 0.5))

    def _overwrite(self, obj: Id | None, key: str | Id) -> None:
        living = [one for one in self.values.get((obj, key), []) if one not in self.gone]
        counters = [one for one in living if one in self.counters]
        if counters and self.random.random() < 0.5:
            pred = living if self.random.random() < 0.3 else self._some(counters)
            value = integer(self.random.choice([1, -2, 0, 5]))
            self._add(Op(INCREMENT, obj, key, value=value, pred=tuple(sorted(pred))))
        elif living and self.random.random() < 0.4:
            self._add(Op(DELETE, obj, key, pred=tuple(sorted(self._some(living)))))
        else:
            self._add(self._value(obj, key, pred=tuple(sorted(self._some(living, least=0)))))

    def _some(self, ids: list[Id], least: int = 1) -> list[Id]:
        whole = not ids or self.random.random() < 0.7
        return ids if whole else self.random.sample(ids, self.random.randint(least, len(ids)))

    def _value(self, obj: Id | None, key: str | Id, *, insert: bool = False, pred: tuple[Id, ...] = ()) -> Op:
        if self.kinds[obj] == "text" and self.random.random() > self.oddity:
            return Op(SET, obj, key, insert=insert, value=self.random.choice(STRINGS), pred=pred)
        action = self.random.choice([SET, SET, *MAKES])
        value = self.random.choice(SCALARS) if action == SET else (0, b"")
        return Op(action, obj, key, insert=insert, value=value, pred=pred)
