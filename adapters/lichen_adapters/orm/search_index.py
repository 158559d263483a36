"""The full-text index of a table: kept by triggers of the database, so that whoever writes rows writes it.

On SQLite it is an FTS5 table beside the table, `lichen_TABLE_search`, which holds no copy of the text ("external
content", https://www.sqlite.org/fts5.html section 4.4.3); for PostgreSQL see `lichen_adapters.orm.search_postgres`. How
an index is searched is told by the dialect's name in `lichen_adapters.orm.searching`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Column, Connection, Table, event
from sqlalchemy.exc import DatabaseError

from lichen_adapters.orm import search_postgres
from lichen_adapters.orm.columns import SEARCH
from lichen_adapters.orm.errors import MappingError
from lichen_adapters.orm.sql_names import quoted

TOKENIZERS = {"words": "unicode61 remove_diacritics 2", "trigram": "trigram remove_diacritics 1"}
"""How FTS5 takes texts apart, for each way of searching."""


def declare(table: Table) -> None:
    """Have the index of a table made and dropped with it, if it has texts that are searched. Raises `MappingError`."""
    columns = searched(table)
    ways = {column.info[SEARCH] for column in columns}
    if len(ways) > 1:
        raise MappingError(f"texts of the table {table.name} are searched in different ways", hint="choose one of them")
    if wrong := sorted(column.name for column in columns if column.name.lower() == "rank"):
        raise MappingError(
            f"a column called {wrong[0]} cannot be searched", hint="give it another name in the database"
        )
    if columns and (wrong := sorted(column.name for column in table.columns if column.name.lower() == "rowid")):
        raise MappingError(
            f"the table {table.name}, whose texts are searched, has a column called {wrong[0]}, as SQLite calls its row"
            " numbers",
            hint="give it another name in the database",
        )
    if columns and not table.dialect_options["sqlite"]["with_rowid"]:
        raise MappingError(
            f"the table {table.name}, whose texts are searched, is without the row numbers that SQLite's index needs",
            hint="leave sqlite_with_rowid out",
        )
    if columns and SEARCH not in table.info:
        table.info[SEARCH] = ways.pop()
        event.listen(table, "after_create", _created)
        event.listen(table, "before_drop", _dropped)


def searched(table: Table) -> list[Column[Any]]:
    """The columns whose text is searched."""
    return [column for column in table.columns if SEARCH in column.info]


def name_of(table: Table) -> str:
    """The name of the index of a table, unlike any name that FTS5 gives to what it keeps for another index."""
    return f"lichen_{table.name}_search"


def install(conn: Connection, tables: Iterable[Table], *, others: bool = True) -> None:
    """Make what is missing of the indexes of tables that exist, anew where it is not as declared; drop `others`."""
    wanted = {name_of(table): table for table in tables if SEARCH in table.info}
    if conn.dialect.name != "sqlite":
        search_postgres.install(conn, {name: (table, _indexed(table)) for name, table in wanted.items()}, others=others)
        return
    there = _there(conn)
    indexes = [name for name, ddl in there.items() if ddl.startswith("CREATE VIRTUAL TABLE")] if others else []
    for name in [name for name in indexes if name not in wanted]:
        _drop(conn, name)
    for name, table in wanted.items():
        if table.name in there and any(there.get(one) != ddl for one, ddl in _ddl(table)):
            _drop(conn, name)
            _create(conn, table)
            rebuild(conn, table)


def rebuild(conn: Connection, table: Table) -> None:
    """Make an index what the rows hold."""
    index = quoted(name_of(table))
    conn.exec_driver_sql(f"INSERT INTO {index} ({index}) VALUES ('rebuild')")


def fault(conn: Connection, table: Table) -> str | None:
    """What is wrong with the index of a table that is there, in words; None when nothing is, or nothing is searched."""
    if SEARCH not in table.info:
        return None
    if conn.dialect.name != "sqlite":
        good = search_postgres.is_there(conn, name_of(table), table, _indexed(table))
        return None if good else f"the search index of table {table.name} is missing, or not as declared"
    there = _there(conn)
    if any(there.get(name) != ddl for name, ddl in _ddl(table)):
        return f"the search index of table {table.name} is missing, or not as declared"
    try:
        check(conn, table)
    except DatabaseError:
        return f"the search index of table {table.name} is not what its rows hold"
    return None


def check(conn: Connection, table: Table) -> None:
    """Compare an index with the rows. Raises `DatabaseError` where they differ, which is how FTS5 says it."""
    index = quoted(name_of(table))
    conn.exec_driver_sql(f"INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)")


def _there(conn: Connection) -> dict[str, str]:
    """How tables were made, and what belongs to indexes."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'table' OR name LIKE 'lichen\\_%\\_search%' ESCAPE '\\'"
    return {name: ddl or "" for name, ddl in conn.exec_driver_sql(query)}


def _created(target: Table, connection: Connection, **_: Any) -> None:
    if connection.dialect.name == "sqlite":
        _create(connection, target)
    elif connection.dialect.name == "postgresql":
        search_postgres.create(connection, name_of(target), target, _indexed(target))


def _indexed(table: Table) -> list[str]:
    """The columns that are in an index on PostgreSQL."""
    return [quoted(column.name) for column in searched(table)] if table.info[SEARCH] == "words" else []


def _dropped(target: Table, connection: Connection, **_: Any) -> None:
    if connection.dialect.name == "sqlite":
        _drop(connection, name_of(target))


def _create(conn: Connection, table: Table) -> None:
    for _, ddl in _ddl(table):
        conn.exec_driver_sql(ddl)


def _drop(conn: Connection, name: str) -> None:
    for kind in ("insert", "update", "delete"):
        conn.exec_driver_sql(f"DROP TRIGGER IF EXISTS {quoted(f'{name}_{kind}')}")
    conn.exec_driver_sql(f"DROP TABLE IF EXISTS {quoted(name)}")


def _ddl(table: Table) -> Iterator[tuple[str, str]]:
    """Name and statement of each part of an index."""
    name, columns = name_of(table), [quoted(column.name) for column in searched(table)]
    index, names = quoted(name), ", ".join(columns)
    content = table.name.replace("'", "''")
    options = f"content='{content}', tokenize='{TOKENIZERS[table.info[SEARCH]]}'"
    yield name, f"CREATE VIRTUAL TABLE {index} USING fts5({names}, {options})"

    def values(row: str) -> str:
        return ", ".join(f"{row}.{one}" for one in ("rowid", *columns))

    add = f"INSERT INTO {index} (rowid, {names}) VALUES ({values('new')});"
    remove = f"INSERT INTO {index} ({index}, rowid, {names}) VALUES ('delete', {values('old')});"
    differs = " OR ".join(f"old.{one} IS NOT new.{one}" for one in columns)
    for kind, when, body in (
        ("insert", "INSERT", add),
        ("update", f"UPDATE OF {names}", f"{remove} {add}"),
        ("delete", "DELETE", remove),
    ):
        condition = f" WHEN {differs}" if kind == "update" else ""
        trigger = quoted(f"{name}_{kind}")
        yield (
            f"{name}_{kind}",
            f"CREATE TRIGGER {trigger} AFTER {when} ON {quoted(table.name)}{condition} BEGIN {body} END",
        )
