"""Triggers on PostgreSQL: they belong to the schema, and a migration makes them, for the tables of an application.

On a synced table, a trigger fires once for each statement, with all rows that came and went. It notes them in a
temporary table of the connection when that is a session's of ours in a transaction that writes, lets the engine's own
connections pass, and refuses everybody else: what another program wrote would be in no document. Who writes is told by
the setting `lichen.writer`. On every table, another fires for each row while `lichen.seen` is on, for those who want to
know what has changed.

Source: https://www.postgresql.org/docs/current/plpgsql-trigger.html.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, Uuid, event, text
from sqlalchemy.orm import DeclarativeBase

from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.journal import JOURNAL, has_documents
from lichen_adapters.orm.plan import Plan, SyncedTable
from lichen_adapters.orm.sql_names import literal, quoted, short

SEEN = "lichen_seen"
"""The table in which is noted what has changed, which each connection has for itself."""
MOST_COLUMNS = 62
"""Columns that a number can name by its bits. Of a wider table, every column counts as changed."""
_DECLARED = "lichen.triggers"
"""What marks a table whose triggers are made with it, in `Table.info`."""
_JOURNALED = {
    "insert": "AFTER INSERT ON {} REFERENCING NEW TABLE AS came",
    "update": "AFTER UPDATE ON {} REFERENCING NEW TABLE AS came OLD TABLE AS went",
    "delete": "AFTER DELETE ON {} REFERENCING OLD TABLE AS went",
    "truncate": "BEFORE TRUNCATE ON {}",
}
_THERE = (
    "SELECT wanted.place - 1, t.tgname, md5(p.prosrc)"
    " FROM unnest(%s::text[]) WITH ORDINALITY wanted (name, place) JOIN pg_class c ON c.oid = to_regclass(wanted.name)"
    " LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgenabled = 'A' LEFT JOIN pg_proc p ON p.oid = t.tgfoid"
)
"""The triggers that always fire, of the tables with these names that are there."""


@dataclass(frozen=True, slots=True)
class _Trigger:
    name: str
    function: str
    when: str
    """When it fires, with `{}` for the table."""
    body: str

    def ddl(self, table: Table) -> Iterator[str]:
        function = quoted(self.function)
        returns = "RETURNS trigger LANGUAGE plpgsql"
        yield f"CREATE OR REPLACE FUNCTION {function}() {returns} AS $lichen${self.body}$lichen$"
        fires = self.when.format(quoted(table.name))
        yield f"CREATE OR REPLACE TRIGGER {self.name} {fires} EXECUTE FUNCTION {function}()"
        # Else it would not fire for who sets session_replication_role, as programs do that load many rows.
        yield f"ALTER TABLE {quoted(table.name)} ENABLE ALWAYS TRIGGER {self.name}"

    @property
    def digest(self) -> str:
        return hashlib.md5(self.body.encode(), usedforsecurity=False).hexdigest()


def triggers(base: type[DeclarativeBase]) -> list[str]:
    """The statements that make the triggers of tables in PostgreSQL, or make them anew; for a migration.

    ::

        for statement in triggers(Base):
            op.execute(statement)

    `Sessions.prepare` executes them, unless the application creates its tables. Raises `MappingError`.
    """
    plan = Plan(base.metadata)
    return [statement for table in base.metadata.sorted_tables for statement in _ddl(table, plan)]


def declare(metadata: MetaData) -> None:
    """Have the triggers made with the tables, by `create_all`."""
    for table in metadata.tables.values():
        if _DECLARED not in table.info:
            table.info[_DECLARED] = True
            event.listen(table, "after_create", _created)


def _created(target: Table, connection: Connection, **_: Any) -> None:
    if connection.dialect.name == "postgresql":
        for statement in _ddl(target, Plan(target.metadata)):
            connection.execute(text(statement))


def install(conn: Connection, metadata: MetaData, plan: Plan) -> None:
    """Make the triggers of tables that lack them."""
    for name in missing_triggers(conn.connection.dbapi_connection, metadata, plan):
        for statement in _ddl(metadata.tables[name], plan):
            conn.execute(text(statement))


def require(dbapi: Any, metadata: MetaData, plan: Plan) -> None:
    """Raises `SessionMisuse` where triggers are missing, or a synced table."""
    there = _there(dbapi, metadata)
    if gone := [planned.name for planned in plan if planned.name not in there and has_documents(dbapi)]:
        raise SessionMisuse(
            f"tables are not there: {', '.join(gone)}", hint="let a migration change them, with `migrating(sessions)`"
        )
    if missing := _lacking(there, metadata, plan):
        raise SessionMisuse(
            f"triggers are missing on {', '.join(missing)}: what is written there would go unseen",
            hint="let a migration execute the statements of `triggers(Base)`",
        )


def missing_triggers(dbapi: Any, metadata: MetaData, plan: Plan) -> list[str]:
    """The names of the tables, of those that exist, that lack a trigger, or whose triggers are disabled or old."""
    return _lacking(_there(dbapi, metadata), metadata, plan)


def _there(dbapi: Any, metadata: MetaData) -> dict[str, dict[str, str]]:
    """The triggers of each table that exists, and what they do."""
    names = [table.name for table in metadata.sorted_tables]
    found: dict[str, dict[str, str]] = {}
    for place, trigger, digest in dbapi.execute(_THERE, ([quoted(name) for name in names],)).fetchall():
        found.setdefault(names[place], {})[trigger] = digest
    return found


def _lacking(there: Mapping[str, Mapping[str, str]], metadata: MetaData, plan: Plan) -> list[str]:
    return [
        table.name
        for table in metadata.sorted_tables
        if table.name in there
        and any(there[table.name].get(one.name) != one.digest for one in _triggers_of(table, plan))
    ]


def key_of(table: Table) -> Column[Any] | None:
    """The key by which a changed row is told; None where it is no UUID."""
    keys = list(table.primary_key)
    return keys[0] if len(keys) == 1 and isinstance(keys[0].type, Uuid) else None


def _ddl(table: Table, plan: Plan) -> Iterator[str]:
    for one in _triggers_of(table, plan):
        yield from one.ddl(table)


def _triggers_of(table: Table, plan: Plan) -> Iterator[_Trigger]:
    planned = plan.tables.get(table.name)
    if planned is not None:
        body, function = _journaling(planned), short(f"lichen_note_{table.name}")
        for kind, when in _JOURNALED.items():
            yield _Trigger(f"{JOURNAL}_{kind}", function, f"{when} FOR EACH STATEMENT", body)
    wanted = "FOR EACH ROW WHEN (current_setting('lichen.seen', true) = 'on')"
    when = f"AFTER INSERT OR UPDATE OR DELETE ON {{}} {wanted}"
    yield _Trigger(SEEN, short(f"{SEEN}_{table.name}"), when, _seeing(table))


def _journaling(planned: SyncedTable) -> str:
    key = quoted(planned.key.name)
    owner = key if planned.owner is None else quoted(planned.owner.name)
    note = f"INSERT INTO pg_temp.{JOURNAL} SELECT {literal(planned.name)}, {key}, {owner} FROM"
    return f"""
BEGIN
    IF current_setting('lichen.writer', true) = 'engine' THEN
        RETURN NULL;
    ELSIF current_setting('lichen.writer', true) IS DISTINCT FROM 'session' OR TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION USING
            MESSAGE = 'rows of ' || TG_TABLE_NAME || ' are written, and deleted, by sessions of the engine only';
    END IF;
    IF TG_OP <> 'INSERT' THEN
        {note} went;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        {note} came;
    END IF;
    RETURN NULL;
END
"""


def _seeing(table: Table) -> str:
    changed = "NULL::bigint"
    if len(table.columns) <= MOST_COLUMNS:
        changed = " | ".join(f"(({_differs(one)})::int::bigint << {bit})" for bit, one in enumerate(table.columns))
    key = key_of(table)

    def note(row: str, changed: str) -> str:
        key_value = "NULL" if key is None else f"{row}.{quoted(key.name)}"
        return f"INSERT INTO pg_temp.{SEEN} VALUES ({literal(table.name)}, {key_value}, {changed});"

    moved = "false" if key is None else _differs(key)
    return f"""
DECLARE
    differs bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        {note("NEW", "NULL")}
    ELSIF TG_OP = 'DELETE' THEN
        {note("OLD", "NULL")}
    ELSIF {moved} THEN
        {note("OLD", "NULL")}
        {note("NEW", "NULL")}
    ELSE
        differs := {changed};
        IF differs IS DISTINCT FROM 0 THEN
            {note("NEW", "differs")}
        END IF;
    END IF;
    RETURN NULL;
END
"""


def _differs(column: Column[Any]) -> str:
    """Whether a column has another value, as text: not all types can be compared otherwise."""
    name = quoted(column.name)
    return f"OLD.{name}::text IS DISTINCT FROM NEW.{name}::text"
