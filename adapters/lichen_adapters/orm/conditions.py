"""Whether two rows are related, as the `primaryjoin` of a relationship says: told of their values, without a database.

What can be told is a comparison of the two columns by which the rows are related, and beside it (`and_`) comparisons of
other columns of theirs, with each other and with values, also under `and_`, `or_` and `not_`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    Column,
    ColumnElement,
    Date,
    DateTime,
    False_,
    Integer,
    Null,
    Numeric,
    Time,
    True_,
    UnaryExpression,
)
from sqlalchemy.orm import RelationshipProperty
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import Grouping

from lichen_adapters.orm.columns import KIND, Kind
from lichen_adapters.orm.unique_keys import CLASH, OURS

Values = Mapping[ColumnElement[Any], Any]
"""What a row holds, by column."""
Told = Callable[[Values, Values], Any]
"""A value, of what the row that has the relationship holds, and the other one; None for NULL, or what is not known."""

_COMPARISONS: Mapping[Any, Callable[[Any, Any], bool]] = {
    operators.eq: operator.eq,
    operators.ne: operator.ne,
    operators.lt: operator.lt,
    operators.le: operator.le,
    operators.gt: operator.gt,
    operators.ge: operator.ge,
}


@dataclass(frozen=True, slots=True)
class Join:
    """How the rows of a relationship find each other."""

    local: ColumnElement[Any]
    remote: ColumnElement[Any]
    """Two columns, which hold the same: a foreign key, and the key at which it points."""
    conditions: tuple[Told, ...]
    """What is true then too."""

    def holds(self, own: Values, other: Values) -> bool:
        """Whether two rows whose columns hold the same are related."""
        return all(told(own, other) is True for told in self.conditions)


def join_of(relationship: RelationshipProperty[Any]) -> Join | None:
    """How to tell which rows are related; None where that takes the database."""
    keyed = [pair for pair in relationship.local_remote_pairs or () if any(one.primary_key for one in pair)]
    if relationship.secondary is not None or len(keyed) != 1:
        return None
    ((local, remote),) = keyed
    parts = [*_parts(relationship.primaryjoin)]
    pairs = [part for part in parts if _is_pair(part, local, remote)]
    try:
        told = tuple(_told(part, relationship) for part in parts if part not in pairs)
    except _Untold:
        return None
    return Join(local, remote, told) if pairs else None


class _Untold(Exception):
    """It takes the database."""


def _parts(condition: Any) -> Iterator[ColumnElement[Any]]:
    """The conditions that are true together."""
    if isinstance(condition, Grouping):
        yield from _parts(condition.element)
    elif isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
        for one in condition.clauses:
            yield from _parts(one)
    else:
        yield condition


def _is_pair(part: ColumnElement[Any], local: ColumnElement[Any], remote: ColumnElement[Any]) -> bool:
    if not isinstance(part, BinaryExpression) or part.operator is not operators.eq:
        return False
    return {part.left, part.right} == {local, remote}


def _told(what: Any, relationship: RelationshipProperty[Any]) -> Told:
    """What an expression is. Raises `_Untold`."""
    match what:
        case Grouping():
            return _told(what.element, relationship)
        case BooleanClauseList() if what.operator in (operators.and_, operators.or_):
            return _all_or_any([_told(one, relationship) for one in what.clauses], any_=what.operator is operators.or_)
        case UnaryExpression() if what.operator in (operators.inv, operators.is_false):
            return _not(_told(what.element, relationship))
        case UnaryExpression() if what.operator is operators.is_true:
            return _truth(_told(what.element, relationship))
        case BinaryExpression():
            return _comparison(what, _told(what.left, relationship), _told(what.right, relationship))
        case Column():
            return _column(what, relationship)
        case Null() | True_() | False_():
            value = {Null: None, True_: True, False_: False}[type(what)]
            return lambda _own, _other: value
        case BindParameter() if not what.required:
            return lambda _own, _other: what.effective_value
        case _:
            raise _Untold


def _column(column: Column[Any], relationship: RelationshipProperty[Any]) -> Told:
    """A column of either row that documents have, or the flag of one that stands back."""
    far = "remote" in column._annotations  # noqa: SLF001 - no public way to ask, where both ends are of one table
    mapper = relationship.mapper if far else relationship.parent
    ours = OURS in column.info and column.name != CLASH
    if column.table not in mapper.tables or ours or column.computed is not None or column.info.get(KIND) is Kind.LOCAL:
        raise _Untold
    return (lambda _own, other: other.get(column)) if far else (lambda own, _other: own.get(column))


def _comparison(what: BinaryExpression[Any], left: Told, right: Told) -> Told:
    types = what.left.type, what.right.type
    compare = _COMPARISONS.get(what.operator)
    if any(isinstance(one, DateTime | Time) or getattr(one, "collation", None) for one in types):
        raise _Untold  # with a zone or without, in small and capital letters: databases differ
    if what.operator in (operators.is_, operators.is_not):
        return _is(left, right, same=what.operator is operators.is_)
    if what.operator in (operators.in_op, operators.not_in_op):
        inside = _in(left, right)
        return inside if what.operator is operators.in_op else _not(inside)
    equality = what.operator in (operators.eq, operators.ne)
    if compare is None or not (equality or all(isinstance(one, Integer | Numeric | Date) for one in types)):
        raise _Untold  # texts have another order in each database

    def told(own: Values, other: Values) -> Any:
        one, two = left(own, other), right(own, other)
        return None if one is None or two is None else compare(one, two)

    return told


def _is(left: Told, right: Told, *, same: bool) -> Told:
    return lambda own, other: (left(own, other) == right(own, other)) is same


def _in(left: Told, right: Told) -> Told:
    def told(own: Values, other: Values) -> Any:
        one, several = left(own, other), right(own, other)
        if not several:
            return False
        if one is None:
            return None
        return True if one in several else None if None in several else False

    return told


def _not(told: Told) -> Told:
    def turned(own: Values, other: Values) -> Any:
        value = told(own, other)
        return None if value is None else not value

    return turned


def _truth(told: Told) -> Told:
    return _not(_not(told))


def _all_or_any(parts: list[Told], *, any_: bool) -> Told:
    def told(own: Values, other: Values) -> Any:
        values = [part(own, other) for part in parts]
        decided = [value for value in values if value is not None and bool(value) is any_]
        return any_ if decided else None if None in values else not any_

    return told
