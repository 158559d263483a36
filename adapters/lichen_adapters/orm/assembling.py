"""Objects made of one version of a document: with what its rows held, and related to each other as they were."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from lichen_crdt import Map
from sqlalchemy import ColumnElement, FromClause, UnaryExpression, inspect
from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.sql import operators

from lichen_adapters.orm.conditions import Join, join_of
from lichen_adapters.orm.errors import Misfit
from lichen_adapters.orm.frozen import freeze
from lichen_adapters.orm.plan import SyncedTable
from lichen_adapters.orm.projection import Place, begun, fitting, fixed, root_of, sources
from lichen_adapters.orm.sessions import Sessions
from lichen_adapters.orm.unique_keys import CLASH

Values = dict[ColumnElement[Any], Any]
Key = tuple[FromClause, uuid.UUID]
"""A table, and the id of a row."""


class Objects:
    """The objects of one version of a document, detached and frozen. What they do not hold is not loaded."""

    def __init__(self, sessions: Sessions, doc: uuid.UUID, then: Map) -> None:
        self._sessions = sessions
        root = root_of(sessions.plan, then)
        there = {} if root is None else sources(root, doc, then)
        self._rows: dict[Key, Values] = {
            (planned.table, key): _values(planned, key, doc, content) for (planned, key), content in there.items()
        }
        for (planned, key), lost in _lost(there, doc).items():
            self._rows[planned.table, key][planned.table.c[CLASH]] = lost
        self._begun = {(planned.table, key): begun(content) for (planned, key), content in there.items()}
        self._values = dict(self._gathered())
        self._objects = {place: _made(mapper, values) for place, (mapper, values) in self._values.items()}
        self._by: dict[ColumnElement[Any], dict[Any, list[Key]]] = {}
        for place, one in self._objects.items():
            for relationship in self._values[place][0].relationships:
                self._relate(one, relationship, self._values[place][1])
        for one in self._objects.values():
            freeze(one)

    def get(self, table: FromClause, key: uuid.UUID) -> Any:  # Any: an object of an application's class
        """The object to which a row belongs; None when it was not there."""
        return self._objects.get((self._base(table), key))

    def _base(self, table: FromClause) -> FromClause:
        found: FromClause = inspect(self._sessions.classes[table]).base_mapper.local_table
        return found

    def _gathered(self) -> Iterator[tuple[Key, tuple[Mapper[Any], Values]]]:
        """The class of each object, and what was in the columns of all its tables."""
        for (table, key), row in self._rows.items():
            if self._base(table) is table:
                base: Mapper[Any] = inspect(self._sessions.classes[table])
                kind = None if base.polymorphic_on is None else row.get(base.polymorphic_on)
                mapper = base.polymorphic_map.get(kind, base)
                values: Values = {}
                for one in mapper.tables:
                    values.update(self._rows.get((one, key), {}))
                yield (table, key), (mapper, values)

    def _relate(self, one: Any, relationship: RelationshipProperty[Any], values: Values) -> None:
        join = join_of(relationship)
        if join is None:
            return
        value, target = values.get(join.local), relationship.mapper.base_mapper.local_table
        if relationship.direction is RelationshipDirection.MANYTOONE:
            key: Any = (target, value)  # what is no id is not found
            if value is None:
                set_committed_value(one, relationship.key, None)
            elif key in self._objects:
                related = self._are_related(relationship, join, values, key)
                set_committed_value(one, relationship.key, self._objects[key] if related else None)
            return
        planned = self._sessions.plan.tables.get(join.remote.table.name)
        if planned is not None and planned.owner is join.remote:
            there = self._with(join.remote).get(value, [])
            found = [place for place in there if self._are_related(relationship, join, values, place)]
            places = _ordered(relationship, found, self._values)
            if (join.remote.name,) in planned.unique:  # of several, the one that stands
                places.sort(key=lambda place: (self._begun[planned.table, place[1]], place[1]))
            many = [self._objects[place] for place in places]
            set_committed_value(one, relationship.key, many if relationship.uselist else next(iter(many), None))

    def _are_related(self, relationship: RelationshipProperty[Any], join: Join, own: Values, place: Key) -> bool:
        mapper, other = self._values[place]
        return mapper.isa(relationship.mapper) and join.holds(own, other)

    def _with(self, column: ColumnElement[Any]) -> dict[Any, list[Key]]:
        """The objects by their value of a column."""
        if column not in self._by:
            found = self._by[column] = {}
            for place, (_, values) in self._values.items():
                if column in values:
                    found.setdefault(values[column], []).append(place)
        return self._by[column]


def _values(planned: SyncedTable, key: uuid.UUID, doc: uuid.UUID, content: Map) -> Values:
    """What was in the columns of a row, without those that do not fit."""
    found = dict(fixed(planned, doc, key))
    for name, column in planned.columns.items():
        with suppress(Misfit):
            found[name] = column.read(content)
    return {planned.table.c[name]: value for name, value in found.items()}


def _lost(there: Mapping[Place, Map], doc: uuid.UUID) -> dict[Place, bool]:
    """Of the rows with unique keys, whether each stands back for another one of its document."""
    found: dict[Place, bool] = {}
    first: dict[Any, uuid.UUID] = {}
    for planned, key in sorted(there, key=lambda place: (begun(there[place]), place[1])):
        if planned.unique:
            row = fitting(planned, there[planned, key]) | fixed(planned, doc, key)
            keys = [(planned.name, names, *(row.get(name) for name in names)) for names in planned.unique]
            mine = [first.setdefault(one, key) == key for one in keys if None not in one]
            found[planned, key] = not all(mine)
    return found


def _made(mapper: Mapper[Any], values: Values) -> Any:
    made = mapper.class_manager.new_instance()
    for attribute in mapper.column_attrs:
        column = next((one for one in attribute.columns if one in values), None)
        if column is not None:
            set_committed_value(made, attribute.key, values[column])
    make_transient_to_detached(made)
    return made


def _ordered(
    relationship: RelationshipProperty[Any],
    places: list[Key],
    values: Mapping[Key, tuple[Mapper[Any], Values]],
) -> list[Key]:
    """In the order of a relationship, as far as that is one of columns."""
    found = list(places)
    for element in reversed(relationship.order_by or ()):
        falling = isinstance(element, UnaryExpression) and element.modifier is operators.desc_op
        column: Any = element.element if isinstance(element, UnaryExpression) else element

        def rank(place: Key, column: Any = column) -> tuple[bool, Any]:
            value = values[place][1].get(column)
            return value is not None, value

        found.sort(key=rank, reverse=falling)
    return found
