"""What a flush is about to write, put on top of what has been merged since it was loaded.

A session works on values that it loaded some time ago; other devices' changes may have come into the row since. For
columns that merge, the new value is the old one's difference, applied to the row as it is now.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lichen_crdt import Document
from sqlalchemy import Column, Connection, inspect, select
from sqlalchemy.orm import InstanceState, Session
from sqlalchemy.orm.attributes import set_committed_value

from lichen_adapters.orm.columns import Kind
from lichen_adapters.orm.merging import SyncedColumn, kind_of
from lichen_adapters.orm.synced import Synced
from lichen_adapters.orm.tracking import TrackedList, TrackedSet, loaded

NOTHING: dict[Kind, Any] = {Kind.TEXT: "", Kind.COUNTER: 0, Kind.SET: frozenset(), Kind.LIST: []}
"""What stands for a value that is null, in columns that merge."""


def rebase(session: Session, conn: Connection) -> None:
    """Rewrite the changed values of a session's dirty objects, where their rows have moved on."""
    for instance in session.dirty:
        state: InstanceState[Any] = inspect(instance)
        if not isinstance(instance, Synced):
            continue
        changed = list(_changed(state))
        if not changed:
            continue
        query = select(*(column.column for _, column, _, _ in changed)).select_from(state.mapper.persist_selectable)
        own = state.mapper.base_mapper.local_table.c.id
        row = conn.execute(query.where(own == state.identity[0])).one_or_none()  # type: ignore[index]  # what is dirty has a key
        if row is None:
            continue  # the flush says so
        for (key, column, before, new), now in zip(changed, row, strict=True):
            if now == before:
                continue
            value = rebased(column, before, new, now)
            session.expire(instance, [key])
            if value != now:
                set_committed_value(instance, key, now)  # or the value that was loaded would pass for no change
                setattr(instance, key, value)


def _changed(state: InstanceState[Any]) -> Iterable[tuple[str, SyncedColumn, Any, Any]]:
    """The changed attributes that merge: key, column, what was loaded, and what is to be written."""
    for attribute in state.mapper.column_attrs:
        if attribute.key not in state.committed_state:
            continue
        history = state.attrs[attribute.key].history
        if not history.added:
            continue
        first = attribute.columns[0]
        if not isinstance(first, Column) or first.computed is not None or first.primary_key:
            continue
        if kind_of(first) in (Kind.SCALAR, Kind.LOCAL):
            continue
        column = SyncedColumn.of(first)
        before = loaded(history.deleted[0] if history.deleted else history.added[0])  # changed in place, it is the same
        yield attribute.key, column, before, history.added[0]


def flushed(session: Session) -> None:
    """What a flush has written is what its rows hold."""
    for instance in (*session.new, *session.dirty):
        for value in inspect(instance).dict.values():
            if isinstance(value, TrackedSet | TrackedList):
                value.flushed()


def rebased(column: SyncedColumn, before: Any, new: Any, now: Any) -> Any:
    """What becomes of a value that is to be `new` where it was `before`, and is something else now."""
    if before is None:
        before = NOTHING.get(column.kind)  # both began what was not there: neither is to overwrite the other
    if before is None or new is None or now is None:
        return new
    if column.kind is Kind.COUNTER:
        return now + (new - before)
    if column.kind is Kind.SET:
        return (now | (new - before)) - (before - new)
    return _merged(column, before, new, now)


def _merged(column: SyncedColumn, before: Any, new: Any, now: Any) -> Any:
    """Merge two values as documents do: both as edits of what was loaded, made at the same time."""
    ours = Document()
    _write(ours, column, before)
    theirs = ours.fork()
    _write(ours, column, new)
    _write(theirs, column, now)
    ours.merge(theirs)
    return column.read(ours)


def _write(document: Document, column: SyncedColumn, value: Any) -> None:
    with document.change():
        document.update(column.write(document, document.to_py(typed=True), value))
