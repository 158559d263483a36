"""What JSON columns take that SQLAlchemy's mutable types watch: of another value, no object could be loaded."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column
from sqlalchemy.orm import Mapper, registry
from sqlalchemy.orm.attributes import instance_state

from lichen_adapters.orm.columns import SHAPES, Kind
from lichen_adapters.orm.merging import kind_of
from lichen_adapters.orm.synced import Synced

_PROBES: tuple[tuple[Any, tuple[type, ...]], ...] = (
    ({}, (dict,)),
    ([], (list,)),
    ("", (str,)),
    (0, (int, float)),
)
"""A value of each shape, and its types."""


def note_shapes(classes: registry) -> None:
    """Note at each JSON column of synced classes which shapes of values its type takes, unless it takes all."""
    for mapper in classes.mappers:
        for attribute in mapper.column_attrs if issubclass(mapper.class_, Synced) else ():
            column = attribute.columns[0]
            if isinstance(column, Column) and kind_of(column) is Kind.JSON:
                taken = [types for probe, types in _PROBES if _takes(mapper, attribute.key, probe)]
                if len(taken) < len(_PROBES):
                    column.info[SHAPES] = tuple(one for types in taken for one in types)


def _takes(mapper: Mapper[Any], key: str, value: Any) -> bool:
    """Whether an object could be loaded with this: as it is, SQLAlchemy's own listeners coerce it."""
    instance = mapper.class_manager.new_instance()
    state = instance_state(instance)
    state.dict[key] = value
    try:
        for listener in mapper.class_manager.dispatch.load:
            if getattr(listener, "__module__", None) == "sqlalchemy.ext.mutable":
                listener(state)
    except ValueError:
        return False
    return True
