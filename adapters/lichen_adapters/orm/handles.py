"""From rows to the documents in which they lie."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import Engine as Database
from sqlalchemy import Table, inspect, select

from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.objects import state_of
from lichen_adapters.orm.plan import Plan, SyncedTable


def lies_in(plan: Plan, instance: Any) -> tuple[SyncedTable, uuid.UUID]:
    """Where an object's row lies: the table and the id of its owner, or its own when it is a document.

    Raises `SessionMisuse` for what is not synced or lies nowhere.
    """
    state = state_of(instance)
    table = None if state is None else state.mapper.local_table
    planned = plan.tables.get(table.name) if isinstance(table, Table) else None
    if planned is None:
        raise SessionMisuse(
            f"{instance!r} is no object of a synced class",
            hint="it takes what has the mixin Synced, and the base of these sessions",
        )
    column = planned.table.c.id if planned.owner is None else planned.owner
    key = getattr(instance, inspect(type(instance)).get_property_by_column(column).key)
    return planned.above or planned, _there(key, type(instance).__name__)


def document_of(database: Database, planned: SyncedTable, key: uuid.UUID) -> uuid.UUID:
    """The id of the document in which a row lies, at the end of its owners. Blocking; raises `SessionMisuse`."""
    while planned.owner is not None and planned.above is not None:
        with database.connect() as conn:
            key = _there(conn.scalar(select(planned.owner).where(planned.table.c.id == key)), planned.name)
        planned = planned.above
    return key


def _there(key: Any, what: str) -> uuid.UUID:
    if not isinstance(key, uuid.UUID):
        raise SessionMisuse(f"this {what} lies in no document yet", hint="flush it, and commit its owner, first")
    return key
