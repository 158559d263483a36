"""Migrations of synced tables with Alembic: what it is told of them, and the connection on which it runs.

::

    # env.py
    with migrating(sessions) as connection:
        context.configure(connection, target_metadata=Base.metadata, render_as_batch=True, **alembic_options())
        context.run_migrations()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from lichen.errors import ConfigError
from lichen.store import following
from sqlalchemy import Connection, ForeignKeyConstraint
from sqlalchemy.schema import SchemaItem

from lichen_adapters.orm.columns import SetOf
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.sessions import Sessions
from lichen_adapters.orm.synced import OTHER, OWNER, SYNCED
from lichen_adapters.orm.tables import PREFIX


@contextmanager
def migrating(sessions: Sessions) -> Iterator[Connection]:
    """A connection for migrations, in one transaction that is committed at the end; blocking, and before `prepare`.

    It differs from those of sessions in two ways. What it writes into rows is not written into documents: a table that
    is made anew, as batches of Alembic make it, would look like deletions. And on SQLite foreign keys are not enforced,
    which would delete what points at a table that is made anew; they are checked at the end. Then `prepare` makes rows
    what documents say. Raises `SessionMisuse` after `prepare`, and `ConfigError` for rows that point at nothing.
    """
    if sessions.prepared:
        raise SessionMisuse("sessions are in use already", hint="migrate before prepare()")
    store = sessions.store
    engine, loan = store.backend.session_engine(), store.borrow("a migration", blocking=True)
    try:
        loan.granted.result()
        with engine.connect() as conn:
            yield from _migrating(conn, store.backend.begin_write)
    finally:
        engine.dispose()
        loan.give_back()


def _migrating(conn: Connection, begin: str) -> Iterator[Connection]:
    sqlite = conn.dialect.name == "sqlite"
    dbapi: Any = conn.connection.dbapi_connection
    if sqlite:
        dbapi.execute("PRAGMA foreign_keys = OFF")  # it holds for transactions that begin after it
    dbapi.execute(begin)
    if not sqlite:
        dbapi.execute("SET LOCAL lichen.writer = 'engine'")  # or triggers would refuse what it writes
    yield conn
    lost = conn.exec_driver_sql("PRAGMA foreign_key_check").first() if sqlite else None
    if lost is not None:
        raise ConfigError(
            f"after the migration a row of {lost[0]} points at nothing in {lost[2]}",
            hint="let the migration keep what is pointed at, or take those rows out too",
        )
    following.forget(conn)  # it may have written rows
    conn.commit()


def alembic_options() -> dict[str, Any]:  # Any: as Alembic has its hooks
    """What Alembic is to be configured with, so that autogenerate understands synced tables.

    It passes over tables that are the engine's, and over foreign keys that the database does not have, since what they
    point at may not be here. Columns and indexes for unique keys are migrated as the application's own.
    """
    return {
        "include_name": include_name,
        "include_object": include_object,
        "render_item": render_item,
        "process_revision_directives": process_revision_directives,
    }


def include_name(name: str | None, type_: str, _parents: object) -> bool:
    """Whether what the database has by this name is the application's."""
    return type_ not in ("table", "index") or name is None or not name.startswith(PREFIX)


def include_object(item: SchemaItem, _name: str | None, _type: str, reflected: bool, _beside: object) -> bool:
    """Whether something is to be compared."""
    return reflected or not _is_only_declared(item)


def render_item(type_: str, item: Any, _context: object) -> str | Literal[False]:
    """How something is written in a migration; False for as usual."""
    return "sa.JSON()" if type_ == "type" and isinstance(item, SetOf) else False


def process_revision_directives(_context: object, _revision: object, directives: Sequence[Any]) -> None:
    """Leave out of new tables what the database does not have of them, and what is said of them in memory."""
    for script in directives:
        for operation in _operations(script.upgrade_ops):
            if hasattr(operation, "columns") and hasattr(operation, "info"):  # it makes a table
                operation.columns = [one for one in operation.columns if not _is_only_declared(one)]
                operation.info = {key: value for key, value in operation.info.items() if not key.startswith("lichen.")}


def _operations(container: Any) -> Iterator[Any]:
    for one in container.ops:
        if hasattr(one, "ops"):
            yield from _operations(one)
        yield one


def _is_only_declared(item: SchemaItem) -> bool:
    """Whether it is a foreign key of a synced table to another document, which has no constraint."""
    if not isinstance(item, ForeignKeyConstraint) or SYNCED not in item.table.info:
        return False
    info, columns = item.table.info, [column.name for column in item.columns]
    if OTHER in info:
        return columns == [info[OTHER]]
    return columns != [info.get(OWNER)] and any(SYNCED in one.column.table.info for one in item.elements)
