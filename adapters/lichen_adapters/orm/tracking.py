"""What objects held when they were loaded, in columns whose values are changed in place: sets, lists and JSON.

SQLAlchemy keeps the value that an assignment replaces. Of one that is changed in place it keeps nothing, and nothing of
what was replaced after that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Column, event
from sqlalchemy.orm import ColumnProperty, InstanceState, Mapper, registry

from lichen_adapters.orm.columns import Kind
from lichen_adapters.orm.merging import kind_of
from lichen_adapters.orm.synced import Synced

_LOADED = "lichen.loaded"
"""Where an object has what it held, by attribute, in `InstanceState.info`."""

_known: WeakKeyDictionary[Mapper[Any], Mapping[str, Kind]] = WeakKeyDictionary()


def remember(classes: registry) -> None:
    """Have the objects of synced classes remember what was loaded. Only classes with such columns pay for it.

    Those of classes that inherit from them do so too, also where these are declared later.
    """
    for mapper in classes.mappers:
        if issubclass(mapper.class_, Synced) and _changeable(mapper) and not _is_told_by_its_base(mapper):
            for name in ("load", "refresh"):
                if not event.contains(mapper.class_, name, _noted):
                    event.listen(mapper.class_, name, _noted, raw=True, propagate=True)


def _is_told_by_its_base(mapper: Mapper[Any]) -> bool:
    return mapper.inherits is not None and bool(_changeable(mapper.inherits))


def note(state: InstanceState[Any]) -> None:
    """The row of an object holds what the object does."""
    if _changeable(state.mapper):
        _noted(state)


def loaded(state: InstanceState[Any]) -> Mapping[str, Any]:
    """What an object held in such columns when it was loaded, or last flushed; without those that it had not loaded."""
    kinds = _changeable(state.mapper)
    held: Mapping[str, str] = state.info.get(_LOADED, {}) if kinds else {}
    return {key: set(value) if kinds[key] is Kind.SET else value for key, value in _read(held)}


def _read(held: Mapping[str, str]) -> Iterable[tuple[str, Any]]:
    return ((key, json.loads(text)) for key, text in held.items())


def _noted(state: InstanceState[Any], _context: object = None, attributes: Iterable[str] | None = None) -> None:
    """Some attributes of an object have been loaded, or all."""
    held: dict[str, str] = state.info.setdefault(_LOADED, {})
    for key in _changeable(state.mapper):
        if attributes is None or key in attributes:
            if key in state.dict:
                value = state.dict[key]
                held[key] = json.dumps([*value] if isinstance(value, set) else value)
            else:
                held.pop(key, None)


def _changeable(mapper: Mapper[Any]) -> Mapping[str, Kind]:
    """The attributes of a class whose values are changed in place."""
    found = _known.get(mapper)
    if found is None:
        kinds = {one.key: _kind(one) for one in mapper.column_attrs}
        wanted = (Kind.SET, Kind.LIST, Kind.JSON)
        found = _known[mapper] = {key: kind for key, kind in kinds.items() if kind in wanted}
    return found


def _kind(attribute: ColumnProperty[Any]) -> Kind | None:
    first = attribute.columns[0]
    return kind_of(first) if isinstance(first, Column) else None
