"""What a synced table must be, beside its columns and keys."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, Index, MetaData, Table, inspect
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.engine.interfaces import ReflectedColumn

from lichen_adapters.orm.errors import MappingError, SessionMisuse
from lichen_adapters.orm.unique_keys import BEGUN, CLASH, OURS, SPACE

PREFIX = "lichen_"
"""How tables and indexes begin that are the engine's or the adapter's."""


def check(table: Table) -> None:
    """Raises `MappingError` for a table that cannot be synced, as its class or association is made."""
    if table.schema is not None:
        raise MappingError(
            f"table {table} has a schema, but synced tables lie in the one database of the engine",
            hint="leave the schema out",
        )
    # SQLAlchemy has no public way to ask a table for its prefixes.
    prefixes = table._prefixes  # noqa: SLF001
    if prefixes:
        raise MappingError(
            f"table {table.name} has the prefix {prefixes[0]}, but synced rows live as long as their documents",
            hint="leave prefixes out",
        )
    if table.dialect_options["sqlite"]["strict"]:
        raise MappingError(
            f"table {table.name} is sqlite_strict, but SQLite takes no ids and no strings of a length in such a table",
            hint="leave sqlite_strict out: a commit refuses values of another type in synced columns without it",
        )
    if any(isinstance(constraint, ExcludeConstraint) for constraint in table.constraints):
        raise MappingError(
            f"table {table.name} has an exclusion constraint, which two devices can break together",
            hint="leave it out, and let the application look for rows that exclude each other",
        )
    for column in table.columns:
        if column.name.lower() in (SPACE, BEGUN, CLASH) and OURS not in column.info:
            raise MappingError(
                f"column {column} has the name of a column that synced tables get", hint="give it another name"
            )
    check_names(table.metadata)


def check_names(metadata: MetaData) -> None:
    """Raises `MappingError` for tables, synced or not, and indexes of unique keys that databases do not tell apart."""
    found: dict[str, str] = {}
    for table in metadata.tables.values():
        if table.name.lower().startswith(PREFIX):
            raise MappingError(
                f"the name of table {table.name} begins as those of the tables that lichen makes",
                hint=f"let it begin with anything but {PREFIX}",
            )
        if found.setdefault(table.fullname.lower(), table.name) != table.name:
            raise MappingError(
                f"tables {found[table.fullname.lower()]} and {table.name} have one name in SQLite, which makes no"
                " difference of small and capital letters",
                hint="give one of them another name",
            )
    indexes: dict[str, Index] = {}
    for table in metadata.tables.values():
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            name, ours = str(index.name).lower(), SPACE in index.columns
            other = indexes.setdefault(name, index)
            if other is not index and (ours or SPACE in other.columns):
                raise _one_name(index, f"an index of table {_name_of(other)}")
            if ours and name in found:
                raise _one_name(index, f"table {found[name]}")


def require(conn: Connection, declared: Iterable[Table]) -> None:
    """Raises `SessionMisuse` for tables of the database into which no row could be written as they are declared."""
    there = inspect(conn)
    for table in declared:
        columns = there.get_columns(table.name) if there.has_table(table.name) else None
        what = "is not there" if columns is None else _fault(table, columns)
        if what is not None:
            raise SessionMisuse(
                f"table {table.name} of this store {what}",
                hint="migrate the store, see the guide on changing models, or open one that has these models",
            )


def _fault(table: Table, columns: Iterable[ReflectedColumn]) -> str | None:
    """Why no row can be written into a table that has these columns; None where it can."""
    names = {one["name"] for one in columns}
    for name in (one.name for one in table.columns if one.name not in names):
        return f"has no column {name}, as its class has"
    for one in columns:
        if one["name"] not in table.c and not (one["nullable"] or one["default"] is not None or one.get("computed")):
            return f"has a column {one['name']} that must not be empty, and its class has none"
    return None


def _one_name(index: Index, other: str) -> MappingError:
    return MappingError(
        f"the index {index.name} of a unique key of table {_name_of(index)} has one name with {other}",
        hint="give the key another name: UniqueConstraint(..., name=...)",
    )


def _name_of(index: Index) -> str:
    return "" if index.table is None else index.table.name
