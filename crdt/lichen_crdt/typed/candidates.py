"""The typed values that concurrent writers left at one place."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from lichen_crdt.authors import Authors
from lichen_crdt.errors import InvalidValue
from lichen_crdt.places import Conflict
from lichen_crdt.typed.containers import DictShape, ListShape, UnionShape
from lichen_crdt.typed.leaves import Shape
from lichen_crdt.typed.nodes import ListNode, MapNode, Misfit, Node, Path, Place, Problem
from lichen_crdt.typed.records import RecordShape, converted
from lichen_crdt.typed.steps import Source
from lichen_crdt.views import List, Map, plain


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the values that concurrent writers left at one place."""

    value: Any  # of the type of the field, which is known where it is asked for
    """As the model has it; plain data if it does not fit at all."""
    actor: bytes
    """Who wrote it."""
    problems: tuple[Problem, ...] = ()
    """What in it does not fit."""
    author: str | None = None
    """Whose the actor is, by the `Authors` that were asked with."""


@dataclass(slots=True)
class _Step:
    """Where a path has led to so far: the object of the document, and the value, tree and shape of it."""

    container: Any
    value: Any
    node: Node
    shape: Shape


def candidates(
    source: Map, shape: Shape, value: Any, node: Node, path: tuple[Hashable, ...], authors: Authors | None
) -> tuple[Candidate, ...]:
    """What lies at the end of a path, the value that is read last. Raises `LookupError`."""
    if not path:
        raise LookupError("a path names a field")
    at = _Step(source, value, node, shape)
    for step in path[:-1]:
        at = _go(at, step)
    return _at_end(at, path[-1], tuple(step if isinstance(step, int) else str(step) for step in path), authors)


def _resolved(at: _Step) -> Shape:
    shape: Shape | None = at.shape
    while isinstance(shape, UnionShape):
        shape = shape.choose(at.value)
    if shape is None:
        raise LookupError("nothing of the model is there")
    return shape


def _go(at: _Step, step: Hashable) -> _Step:
    match _resolved(at), at.node:
        case RecordShape() as shape, MapNode(entries=entries):
            field = shape.field(str(step))
            entry = entries.get(field.key)
            value = getattr(at.value, field.name, None)
            inner = field.shape
        case DictShape() as shape, MapNode(entries=entries):
            entry = entries.get(_stored_key(shape, at.value, step))
            value = at.value.get(step)
            inner = shape.item
        case ListShape() as shape, ListNode() as node if isinstance(step, int):
            return _Step(at.container[node.indexes[step]], at.value[step], node.items[step], shape.item)
        case _:
            raise LookupError(f"there is nothing below {step!r}")
    if entry is None or entry.stored is None or not isinstance(at.container, Map):
        raise LookupError(f"nothing is stored at {step!r}")
    return _Step(at.container[entry.stored], value, entry.node, inner)


def _at_end(at: _Step, step: Hashable, path: Path, authors: Authors | None) -> tuple[Candidate, ...]:
    match _resolved(at), at.container:
        case RecordShape() as shape, Map() as container:
            field = shape.field(str(step))
            pairs = [
                (source, conflict)
                for source in reversed(field.sources)
                for conflict in container.conflicts(source.key, authors=authors)
            ]
            pairs.sort(key=lambda one: not one[0].is_default(plain(one[1].value)))
            return tuple(_candidate(conflict, field.shape, path, source) for source, conflict in pairs)
        case DictShape() as shape, Map() as container if isinstance(at.node, MapNode):
            key = _stored_key(shape, at.value, step)
            entry = at.node.entries.get(key)
            key = key if entry is None or entry.stored is None else entry.stored
            found = container.conflicts(key, authors=authors)
            return tuple(_candidate(conflict, shape.item, path) for conflict in found)
        case ListShape() as shape, List() as container if isinstance(step, int) and isinstance(at.node, ListNode):
            found = container.conflicts(at.node.indexes[step], authors=authors)
            return tuple(_candidate(conflict, shape.item, path) for conflict in found)
    raise LookupError(f"there is nothing at {step!r}")


def _stored_key(shape: DictShape, value: dict[Any, Any], step: Hashable) -> str:
    """The key of an entry, in the words in which the dict has it where several mean the same."""
    try:
        return str(shape.key.write(next((name for name in value if name == step), step), ()))
    except InvalidValue as error:
        raise LookupError(str(error)) from None


def _candidate(conflict: Conflict, shape: Shape, path: Path, source: Source | None = None) -> Candidate:
    raw = plain(conflict.value)
    problems: list[Problem] = []
    try:
        value, _ = shape.read(raw if source is None else converted(source, raw), Place(path, problems))
    except Misfit as why:
        return Candidate(raw, conflict.actor, (Problem(path, raw, str(why)),), conflict.author)
    return Candidate(value, conflict.actor, tuple(problems), conflict.author)
