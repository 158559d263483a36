"""Shapes of lists, dicts and unions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from lichen_crdt.counter import Counter
from lichen_crdt.errors import InvalidModel, InvalidValue
from lichen_crdt.text import Text
from lichen_crdt.typed.leaves import (
    NATIVES,
    Choice,
    CounterShape,
    Native,
    Plain,
    Shape,
    Spelled,
    TextShape,
    check_depth,
    describe,
    misfit,
    wrong,
)
from lichen_crdt.typed.nodes import MAX_DEPTH, Entry, ListNode, MapNode, Misfit, Node, Path, Place, Problem, stored
from lichen_crdt.values import Unknown

_NOTHING = object()
_Tried = dict[tuple[int, int, Path], tuple[Any, Node | InvalidValue]]
_TRIED: ContextVar[_Tried | None] = ContextVar("tried", default=None)
"""What unions made of which value at which path in the present write, so that nested ones do not try it again for each
member. With the value, whose `id` would else be that of another one once it is gone."""


@dataclass(slots=True)
class ListShape:
    """A list, or with `kind=tuple` a tuple of any length. Items that do not fit are left out, and stay."""

    item: Shape
    kind: type[list[Any]] | type[tuple[Any, ...]] = list
    wrap: str | None = None
    """An item that is no map is read as a map with it at this key (`WrapItems`)."""

    def read(self, stored: Any, place: Place) -> tuple[Any, Node]:
        if not isinstance(stored, list):
            raise misfit(stored, "a list")
        place.check_depth()
        values: list[Any] = []
        node = ListNode([], [], len(stored))
        for index, raw in enumerate(stored):
            try:
                value, item = self._item(index, raw, place)
            except Misfit as why:
                place.report(index, raw, str(why))
                continue
            values.append(value)
            node.items.append(item)
            node.indexes.append(index)
        return self.kind(values), node

    def _item(self, index: int, raw: Any, place: Place) -> tuple[Any, Node]:
        inside = place.inside(index)
        if self.wrap is None or isinstance(raw, dict):
            return self.item.read(raw, inside)
        trial = inside.trial()
        found = self.item.read({self.wrap: raw}, trial)
        for problem in trial.problems:  # of a map that is not there
            place.report(index, raw, problem.why)
        return found

    def write(self, value: Any, path: Path) -> Node:
        check_depth(path)
        if not isinstance(value, (list, tuple)):
            raise wrong(value, "a list", path)
        return ListNode([self.item.write(item, (*path, index)) for index, item in enumerate(value)])

    def accepts(self, value: Any) -> bool:
        return isinstance(value, (list, tuple))


@dataclass(slots=True)
class DictShape:
    """A dict whose keys are strings, or are stored as strings. Entries that do not fit are left out, and stay."""

    key: Shape
    item: Shape

    def read(self, stored: Any, place: Place) -> tuple[Any, Node]:
        if not isinstance(stored, dict):
            raise misfit(stored, "a map")
        place.check_depth()
        values: dict[Any, Any] = {}
        node = MapNode({})
        for key, raw in stored.items():
            try:
                name, spelled = self.key.read(key, place)
                if name in values:
                    raise Misfit("another key means the same")
                value, item = self.item.read(raw, place.inside(key))
            except Misfit as why:
                place.report(key, raw, str(why))
                continue
            values[name] = value
            node.entries[str(spelled)] = Entry(item, key)
        return values, node

    def write(self, value: Any, path: Path) -> Node:
        check_depth(path)
        if not isinstance(value, dict):
            raise wrong(value, "a dict", path)
        node = MapNode({})
        for name, item in value.items():
            key = self.key.write(name, path)
            if not isinstance(key, str):
                raise InvalidValue("the keys of a map are strings", path)
            node.entries[key] = Entry(self.item.write(item, (*path, key)))
        return node

    def accepts(self, value: Any) -> bool:
        return isinstance(value, dict)


@runtime_checkable
class Tagged(Protocol):
    """A record that a union can tell by the value of a field."""

    def tags(self) -> dict[str, frozenset[Any]]:
        """The keys of fields that can have but few values, with these."""


class UnionShape:
    """One of several shapes: the record whose tag is there, else the first that fits without a problem.

    A value that would be read as one of another type, since both are stored alike, is an `InvalidValue`. Raises
    `InvalidModel` if strings are among the members and what is stored as a string: hardly any value could be written.
    """

    def __init__(self, members: Sequence[Shape]) -> None:
        spelled = [member.kind.__name__ for member in members if isinstance(member, Spelled)]
        if spelled and any(member is NATIVES[str] or isinstance(member, TextShape) for member in members):
            raise InvalidModel(f"a union of a str and a {spelled[0]}, which is stored as a str: use one of the two")
        # A float is read of an int, too: where both may be there, an int stays one.
        self.members = sorted(members, key=_takes_ints)
        stored = [kind for member in members for kind in _stored_as(member)]
        self._is_doubtful = len({*stored}) < len(stored) or (object in stored and len(members) > 1)
        self._tag: tuple[str, dict[Any, Shape]] | None = None
        self._looked = False

    def read(self, stored: Any, place: Place) -> tuple[Any, Node]:
        key = (id(self), place.path)
        if not isinstance(stored, (dict, list)):
            outcome = self._read(stored, place)
        elif key in place.known:
            outcome = place.known[key]
        else:
            outcome = place.known[key] = self._read(stored, place)
        if isinstance(outcome, Misfit):
            raise Misfit(*outcome.args)
        value, node, problems, _ = outcome
        place.problems.extend(problems)
        return value, node

    def _read(self, stored: Any, place: Place) -> tuple[Any, Node, list[Problem], Shape] | Misfit:
        best: tuple[Any, Node, list[Problem], Shape] | None = None
        reasons: list[str] = []
        try:
            tagged = self._by_tag(stored)
        except Misfit as why:
            return why
        for member in self.members if tagged is None else [tagged]:
            trial = place.trial()
            try:
                value, node = member.read(stored, trial)
            except Misfit as why:
                reasons.append(str(why))
                continue
            if best is None or len(trial.problems) < len(best[2]):
                best = value, node, trial.problems, member
            if not trial.problems:
                break
        return best or Misfit("; or ".join(dict.fromkeys(reasons)))

    def _by_tag(self, stored: Any) -> Shape | None:
        if not isinstance(stored, dict):
            return None
        if not self._looked:  # not earlier: the fields of a record are known after those that refer to it
            self._tag, self._looked = self._find_tag(), True
        if self._tag is None:
            return None
        key, shapes = self._tag
        tag = stored.get(key, _NOTHING)
        shape = None if isinstance(tag, (dict, list)) else shapes.get(tag)
        if shape is None and not any(isinstance(member, (DictShape, Plain)) for member in self.members):
            there = "nothing" if tag is _NOTHING else repr(tag)[:80]
            raise Misfit(f"at {key!r} one of {', '.join(map(repr, shapes))} is needed, and {there} is there")
        return shape

    def _find_tag(self) -> tuple[str, dict[Any, Shape]] | None:
        records = [(member, member.tags()) for member in self.members if isinstance(member, Tagged)]
        if len(records) < 2:
            return None
        for key in records[0][1]:
            shapes: dict[Any, Shape] = {}
            total = 0
            for record, tags in records:
                values = tags.get(key, frozenset())
                total += len(values) or 1
                shapes |= dict.fromkeys(sorted(values, key=repr), record)
            if len(shapes) == total:
                return key, shapes
        return None

    def choose(self, value: Any) -> Shape | None:
        """The member that a Python value is of."""
        return next(iter(self._likely(value)), None)

    def _likely(self, value: Any) -> list[Shape]:
        """The members that a value is of exactly, as a list is one and no tuple; without any, those that accept it."""
        found = [member for member in self.members if member.accepts(value)]
        return found if len(found) < 2 else [member for member in found if _is_of(member, value)] or found

    def write(self, value: Any, path: Path) -> Node:
        tried = _TRIED.get()
        if tried is None:
            token = _TRIED.set({})
            try:
                return self.write(value, path)
            finally:
                _TRIED.reset(token)
        key = (id(self), id(value), path)
        if key not in tried:
            try:
                tried[key] = value, self._write(value, path)
            except InvalidValue as error:
                tried[key] = value, error
        _, outcome = tried[key]
        if isinstance(outcome, InvalidValue):
            raise outcome
        return outcome

    def _write(self, value: Any, path: Path) -> Node:
        refused: InvalidValue | None = None
        for member in self._likely(value):
            try:
                node = member.write(value, path)
            except InvalidValue as error:
                refused = refused or error
                continue
            return self._checked(member, value, node, path) if self._is_doubtful else node
        raise refused or wrong(value, "one of the types of the union", path)

    def _checked(self, member: Shape, value: Any, node: Node, path: Path) -> Node:
        """A node that is looked at before it is written: what stays as it was may be read in any way."""
        check = functools.partial(self._check_reading, member, value, node, path)
        if isinstance(node, (MapNode, ListNode)):
            return replace(node, checks=(*node.checks, check))  # another union may hold the node, too
        check()
        return node

    def _check_reading(self, member: Shape, value: Any, node: Node, path: Path) -> None:
        outcome = self._read(stored(node), Place(path, []))
        if isinstance(outcome, Misfit):
            raise InvalidValue(f"{describe(value)} could not be read again: {outcome}", path)
        again, _, _, reader = outcome
        if reader is not member and not _is_alike(again, value):
            raise InvalidValue(f"{value!r:.80} would be read as {again!r:.80}, since both are stored alike", path)

    def accepts(self, value: Any) -> bool:
        return self.choose(value) is not None


def _is_of(shape: Shape, value: Any) -> bool:
    """Whether a value that a shape accepts, and all in it, is of the very type that comes back."""
    match shape:
        case ListShape(item=item, kind=kind):
            return isinstance(value, kind) and all(_fits(item, each) for each in value)
        case DictShape(key=key, item=item):
            return all(_fits(key, name) and _fits(item, each) for name, each in value.items())
        case UnionShape(members=members):
            return any(_fits(member, value) for member in members)
        case Native(kind=kind):
            return type(value) is kind
        case TextShape(as_str=as_str):
            return type(value) is str if as_str else isinstance(value, Text)
        case CounterShape(as_int=as_int):
            return type(value) is int if as_int else isinstance(value, Counter)
        case Plain():
            return _is_plain(value)
        case _:
            return True


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Whether plain data comes back as it is, as tuples, texts and enums do not."""
    if type(value) is list:
        return depth <= MAX_DEPTH and all(_is_plain(item, depth + 1) for item in value)
    if type(value) is dict:
        return all(type(key) is str for key in value) and _is_plain([*value.values()], depth)
    return type(value) in NATIVES or isinstance(value, Unknown)


def _fits(shape: Shape, value: Any) -> bool:
    return shape.accepts(value) and _is_of(shape, value)


def _is_alike(one: Any, other: Any) -> bool:
    """Whether plain data is equal, and of equal types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return _is_alike([*one], [*other]) and _is_alike([*one.values()], [*other.values()])
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_is_alike, one, other))
    return bool(one == other)


def _takes_ints(shape: Shape) -> bool:
    """Whether a shape reads integers as floats."""
    match shape:
        case ListShape(item=item) | DictShape(item=item):
            return _takes_ints(item)
        case UnionShape(members=members):
            return NATIVES[int] not in members and any(map(_takes_ints, members))
        case _:
            return shape is NATIVES[float]


def _stored_as(shape: Shape) -> frozenset[type]:
    """The types of what is stored for a shape; `object` for any."""
    match shape:
        case Native(kind=kind):
            return frozenset((kind,))
        case Spelled() | TextShape():
            return frozenset((str,))
        case Choice(members=members):
            return frozenset(kind for kind, _ in members)
        case CounterShape():
            return frozenset((int,))
        case ListShape():
            return frozenset((list,))
        case DictShape() | Tagged():
            return frozenset((dict,))
        case Plain(kind=kind):
            return frozenset((kind,))
        case UnionShape(members=members):
            return frozenset().union(*map(_stored_as, members))
        case _:
            return frozenset((object,))
