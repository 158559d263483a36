"""What a flush is about to write, put on top of what has been merged since it was loaded.

A session works on values that it loaded some time ago; other devices' changes may have come into the row since. For
columns that merge, the new value is the old one's difference, applied to the row as it is now.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

from lichen_crdt import Document
from lichen_crdt import inspect as inspect_change
from sqlalchemy import Column, ColumnElement, Connection, inspect, select
from sqlalchemy.ext.mutable import Mutable
from sqlalchemy.orm import InstanceState, Session
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.sql.elements import ClauseElement

from lichen_adapters.orm.columns import Kind
from lichen_adapters.orm.merging import SyncedColumn, kind_of
from lichen_adapters.orm.synced import Synced
from lichen_adapters.orm.tracking import loaded, note

NOTHING: dict[Kind, Any] = {Kind.TEXT: "", Kind.COUNTER: 0, Kind.SET: frozenset(), Kind.LIST: []}
"""What stands for a value that is null, in columns that merge."""


def rebase(session: Session, conn: Connection) -> None:
    """Rewrite the changed values of a session's dirty objects, where their rows have moved on."""
    for instance in session.dirty:
        state: InstanceState[Any] = inspect(instance)
        if not isinstance(instance, Synced):
            continue
        changed = list(_changed(state))
        unchanged = list(_unchanged(state)) if _is_listened_to(session, state) else []
        columns = [column.column for _, column, _, _ in changed] + [column for _, column in unchanged]
        if not columns:
            continue
        query = select(*columns).select_from(state.mapper.persist_selectable)
        own = state.mapper.base_mapper.local_table.c.id
        row = conn.execute(query.where(own == state.identity[0])).one_or_none()  # type: ignore[index]  # what is dirty has a key
        if row is None:
            continue  # the flush says so
        for (key, column, before, new), now in zip(changed, row, strict=False):
            if now != before:
                _replace(session, instance, key, now, rebased(column, before, new, now))
        stale = [key for (key, _), now in zip(unchanged, row[len(changed) :], strict=True) if now != state.dict[key]]
        if stale:
            session.expire(instance, stale)


def _replace(session: Session, instance: Any, key: str, now: Any, value: Any) -> None:
    """Have an attribute, whose row holds what it does `now`, changed to a value."""
    held = inspect(instance).dict.get(key)
    value = _in_place(held, value)
    session.expire(instance, [key])
    if value != now:
        set_committed_value(instance, key, now)  # or the value that was loaded would pass for no change
        setattr(instance, key, value)
    elif value is held:
        set_committed_value(instance, key, value)


def _in_place(held: Any, value: Any) -> Any:
    """A value, in the collection that the application may go on to change; but for one that several objects have."""
    if not isinstance(held, Mutable) or value is held or len(held._parents) > 1:  # noqa: SLF001  # it is documented
        return value
    if isinstance(held, list) and isinstance(value, list):
        held[:] = value
    elif (isinstance(held, dict) and isinstance(value, dict)) or (isinstance(held, set) and isinstance(value, set)):
        held.clear()
        held.update(value)
    else:
        return value
    return held


def _is_listened_to(session: Session, state: InstanceState[Any]) -> bool:
    """Whether the application may change an object after this, in the middle of its flush.

    What merges is then as the row has it, so that `note.stars += 1` adds to that.
    """
    return len(session.dispatch.before_flush) > 1 or len(state.mapper.dispatch.before_update) > 1  # beside our own


def _unchanged(state: InstanceState[Any]) -> Iterable[tuple[str, Column[Any]]]:
    """The attributes that merge, and were loaded and not changed."""
    for attribute in state.mapper.column_attrs:
        first = attribute.columns[0]
        if attribute.key in state.dict and attribute.key not in state.committed_state and _merges(first):
            yield attribute.key, first


def _merges(column: ColumnElement[Any]) -> TypeGuard[Column[Any]]:
    if not isinstance(column, Column) or column.computed is not None or column.primary_key:
        return False
    return kind_of(column) not in (Kind.SCALAR, Kind.LOCAL)


def _changed(state: InstanceState[Any]) -> Iterable[tuple[str, SyncedColumn, Any, Any]]:
    """The changed attributes that merge: key, column, what was loaded, and what is to be written.

    Without those of which it is not known what was loaded, and those that the database is to compute: these are written
    as they are.
    """
    held = loaded(state)
    for attribute in state.mapper.column_attrs:
        if attribute.key not in state.committed_state:
            continue
        history = state.attrs[attribute.key].history
        if not history.added or _is_sql(history.added[0]) or (attribute.key not in held and not history.deleted):
            continue
        first = attribute.columns[0]
        if not _merges(first):
            continue
        (before,) = [held[attribute.key]] if attribute.key in held else history.deleted or [None]
        yield attribute.key, SyncedColumn.of(first), before, history.added[0]


def _is_sql(value: Any) -> bool:
    """Whether an attribute was given an expression, such as `Note.stars + 1`, that takes the row as it is then."""
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


def flushed(session: Session) -> None:
    """What a flush has written is what its rows hold."""
    for instance in (*session.new, *session.dirty):
        if isinstance(instance, Synced):
            note(inspect(instance))


def rebased(column: SyncedColumn, before: Any, new: Any, now: Any, *, over: bool = True) -> Any:
    """What becomes of a value that is to be `new` where it was `before`, and is something else now.

    Where both wrote one key or item of JSON, the new value stands `over` that of now, or beneath.
    """
    if before is None:
        before = NOTHING.get(column.kind)  # both began what was not there: neither is to overwrite the other
    if before is None or new is None or now is None:
        return new
    if column.kind is Kind.COUNTER:
        return now + (new - before)
    if column.kind is Kind.SET:
        return (now | (new - before)) - (before - new)
    return _merged(column, before, now, new) if over else _merged(column, before, new, now)


def _merged(column: SyncedColumn, before: Any, beneath: Any, over: Any) -> Any:
    """Merge two values as documents do: both as edits of what was loaded, made at the same time."""
    one = Document()
    _write(one, column, before)
    other = one.fork()
    operations = _write(one, column, beneath)
    if column.kind is not Kind.TEXT:
        with other.change():
            other["@later"] = [None] * operations  # of two values of one key, that of the later operation wins
    _write(other, column, over)
    one.merge(other)
    return column.read(one)


def _write(document: Document, column: SyncedColumn, value: Any) -> int:
    """Make a document hold a value; returns by how many operations."""
    with document.change() as made:
        document.update(column.write(document, document.to_py(typed=True), value))
    return sum(inspect_change(change).operations for _, change in made.changes)
