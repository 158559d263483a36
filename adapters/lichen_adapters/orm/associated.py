"""What a flush is about to write into the tables of associations, made to fit what was merged since it was loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, insert, inspect, select
from sqlalchemy.orm import RelationshipProperty, Session

from lichen_adapters.orm.synced import OTHER


def fit(session: Session, conn: Connection) -> None:
    """Let a flush find what it expects: no row of those that it adds, and a row of each that it takes out.

    It would fail otherwise, where another device did meanwhile what it is about to do.
    """
    for instance in (*session.dirty, *session.deleted):
        for relationship in inspect(type(instance)).relationships:
            table = relationship.secondary
            if relationship.viewonly or relationship.key not in inspect(instance).dict:
                continue
            if isinstance(table, Table) and OTHER in table.info:
                _fit(conn, table, relationship, instance, gone=instance in session.deleted)


def _fit(conn: Connection, table: Table, relationship: RelationshipProperty[Any], instance: Any, *, gone: bool) -> None:
    history = inspect(instance).attrs[relationship.key].history
    for other in history.added or ():
        pair = _pair(relationship, instance, other)
        if pair is not None and not gone and _there(conn, table, pair):
            conn.execute(delete(table).where(_is(table, pair)))
    for other in (*(history.deleted or ()), *((history.unchanged or ()) if gone else ())):
        pair = _pair(relationship, instance, other)
        if pair is not None and not _there(conn, table, pair):
            conn.execute(insert(table).values(pair))


def _pair(relationship: RelationshipProperty[Any], instance: Any, other: Any) -> dict[str, Any] | None:
    """The row that associates two objects; None when one of them is new, or gone."""
    pair = {}
    ends: Iterable[tuple[Any, Any]] = (
        (instance, relationship.synchronize_pairs),
        (other, relationship.secondary_synchronize_pairs),
    )
    for one, columns in ends:
        identity = None if one is None else inspect(one).identity
        if identity is None:
            return None
        for _, column in columns:
            pair[column.name] = identity[0]
    return pair


def _is(table: Table, pair: dict[str, Any]) -> Any:
    return and_(*(table.c[name] == value for name, value in pair.items()))


def _there(conn: Connection, table: Table, pair: dict[str, Any]) -> bool:
    return conn.execute(select(*table.primary_key).where(_is(table, pair))).first() is not None
