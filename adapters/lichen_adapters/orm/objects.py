"""Mapped objects: their attributes and columns, and whether two of them hold the same."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from lichen.errors import ConfigError
from sqlalchemy import ColumnElement
from sqlalchemy.engine import Row
from sqlalchemy.orm import InstanceState, Mapper
from sqlalchemy.orm.exc import UnmappedColumnError

_STATE = "_sa_instance_state"
_PLAIN: frozenset[type] = frozenset({str, int, float, bool, bytes, UUID, Decimal, date, datetime})


def state_of(value: Any) -> InstanceState[Any] | None:
    """The state of a mapped object; None for any other value."""
    found = getattr(value, _STATE, None)
    return found if isinstance(found, InstanceState) else None


def attribute_of(mapper: Mapper[Any], column: ColumnElement[Any]) -> str:
    """The attribute for a column of a class, or of one that inherits from it in the same table."""
    for one in mapper.self_and_descendants:
        with suppress(UnmappedColumnError):
            return one.get_property_by_column(column).key
    raise UnmappedColumnError(f"column {column} is mapped by no class")


def column_of(mapper: Mapper[Any], attribute: str) -> ColumnElement[Any]:
    """The column of an attribute or its synonym, of a class or of one that inherits from it. Raises `ConfigError`."""
    known: dict[str, None] = {}
    for one in mapper.self_and_descendants:
        name = one.synonyms[attribute].name if attribute in one.synonyms else attribute
        if name in one.column_attrs:
            return one.column_attrs[name].columns[0]
        known.update(dict.fromkeys(one.column_attrs.keys()))
    raise ConfigError(f"{mapper.class_.__name__} has no column {attribute!r}", hint=f"it has {', '.join(known)}")


def was_used(row: Any) -> bool:
    """Whether an object that was detached may not be as it was loaded: a session has had it, or it was written to."""
    state = state_of(row)
    return state is not None and (state.expired or state.modified)


def same(one: Any, other: Any) -> bool:
    """Whether two rows hold the same: what is loaded of their objects, and of the objects that are loaded with them."""
    return _same(one, other, set())


def _same(one: Any, other: Any, compared: set[tuple[int, int]]) -> bool:
    if isinstance(one, Row) and isinstance(other, Row):
        return _each(tuple(one), tuple(other), compared)
    state, beside = state_of(one), state_of(other)
    if state is None or beside is None:
        return type(one) is type(other) and bool(one == other)
    if (id(one), id(other)) in compared:  # they lead back to themselves
        return True
    compared.add((id(one), id(other)))
    ours, theirs = state.dict, beside.dict
    if state.key != beside.key or ours.keys() != theirs.keys():
        return False
    others = [
        name
        for name, value in ours.items()
        if value is not (beside_it := theirs[name])
        and not (type(value) in _PLAIN and type(value) is type(beside_it) and value == beside_it)
        and name != _STATE
    ]
    if not others:
        return True
    related = [name for name in others if name in state.mapper.relationships]
    return all(
        type(ours[name]) is type(theirs[name]) and ours[name] == theirs[name] for name in others if name not in related
    ) and all(_related(ours[name], theirs[name], compared) for name in related)


def _related(one: Any, other: Any, compared: set[tuple[int, int]]) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and _each([*one.values()], [other[key] for key in one], compared)
    if isinstance(one, set | frozenset) and isinstance(other, set | frozenset):
        return _each(sorted(one, key=_order), sorted(other, key=_order), compared)
    if isinstance(one, list) and isinstance(other, list):
        return _each(one, other, compared)
    return _same(one, other, compared)


def _each(one: Any, other: Any, compared: set[tuple[int, int]]) -> bool:
    return len(one) == len(other) and all(_same(*pair, compared) for pair in zip(one, other, strict=True))


def _order(value: Any) -> str:
    state = state_of(value)
    return str(state.key) if state is not None else repr(value)
