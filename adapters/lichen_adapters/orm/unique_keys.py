"""Unique keys of synced tables: they hold within a space, and among the rows that do not stand back for another.

A unique key of the application becomes a partial unique index over the space and its columns. Two devices that do not
hear of each other can give the same key to two rows; a merge then keeps both, and flags all but one. The columns that
this needs are in the table, and not mapped: a `select` of objects does not fetch them.
"""

from __future__ import annotations

import functools
import itertools
import re
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    LargeBinary,
    Numeric,
    Table,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import IntegrityError

from lichen_adapters.orm.columns import KIND
from lichen_adapters.orm.errors import MappingError
from lichen_adapters.orm.sql_names import short

UNIQUE = "lichen.unique"
"""Where a table has the columns of its unique keys, in `Table.info`."""
JOIN = "lichen.join"
"""What marks a table whose rows of one key are one, in `Table.info`."""
OURS = "lichen.ours"
"""What marks a column that is not the application's, in `Column.info`."""
SPACE_OF = "lichen.space_of"
"""Where a connection of ours has what tells the space of a new row, in `Connection.info`."""

SPACE = "lichen_space"
"""The column with the space of a row."""
BEGUN = "lichen_begun"
"""The column with the time at which a row was begun, in ms since 1970, by the clock of the device that did."""
CLASH = "lichen_clash"
"""The column that flags a row that stands back for another with the same key."""


_TAKEN = re.compile(rf"UNIQUE constraint failed: (.*{SPACE}.*)|Key \((.*{SPACE}.*?)\)=")
"""How SQLite and PostgreSQL say that a key is taken."""


def claim(table: Table, *, inherited: bool, join: bool = False) -> None:
    """Make the unique keys of a synced table such that they hold after a merge. Raises `MappingError`.

    With `join`, rows of one key are one.
    """
    constraints = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    indexes = [index for index in table.indexes if index.unique and SPACE not in index.columns]
    if join and len(constraints) + len(indexes) != 1:
        raise MappingError(
            f"rows of {table.name} are to be joined by their unique key, but it has {len(constraints) + len(indexes)}",
            hint='clash="join" takes a class with one unique key',
        )
    if not constraints and not indexes:
        return
    if inherited:
        raise MappingError(f"a subclass in the table {table.name} has a unique key", hint="declare it in the base")
    given: list[UniqueConstraint | Index] = [*constraints, *indexes]
    keys = [tuple(column.name for column in _columns(table, one)) for one in given]
    if join and any(isinstance(table.c[name].type, Float | Numeric) for names in keys for name in names):
        raise MappingError(
            f"rows of {table.name} are to be joined by a number with a fraction", hint="use whole numbers"
        )
    for name, kind, default in (
        (SPACE, LargeBinary(32), _space_of_new),
        (BEGUN, BigInteger(), lambda: int(time.time() * 1000)),
        (CLASH, Boolean(), None),
    ):
        server = {"server_default": false(), "nullable": False} if default is None else {"default": default}
        table.append_column(Column(name, kind, info={OURS: True}, **server))
    table.constraints.difference_update(constraints)
    table.indexes.difference_update(indexes)
    for name, names in _names(table, given, keys).items():
        _index(table, name, names)
    table.info[UNIQUE] = tuple(dict.fromkeys(keys))
    table.info[JOIN] = join


def _names(
    table: Table, given: Sequence[UniqueConstraint | Index], keys: Sequence[tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The keys by the names of their indexes: those given, and else such as no other index of the table has."""
    found: dict[str, tuple[str, ...]] = {}
    taken = {str(one.name).lower() for one in table.indexes}
    for one, names in sorted(zip(given, keys, strict=True), key=lambda key: (key[0].name is None, len(key[1]), key[1])):
        plain = f"uq_{table.name}_{'_'.join(names)}"
        choices = [str(one.name)] if one.name else (short(f"{plain}{number or ''}") for number in itertools.count())
        name = next((choice for choice in choices if taken.isdisjoint(map(str.lower, _both(choice)))), None)
        if name is None:
            raise MappingError(
                f"the unique key {one.name} of table {table.name} has the name of another index, or that with _clash",
                hint="give one of them another name",
            )
        found[name] = names
        taken.update(map(str.lower, _both(name)))
    return found


def _both(name: str) -> tuple[str, str]:
    """The names of the two indexes that keep a key."""
    return name, short(f"{name}_clash")


def refuse_late(table: Table) -> None:
    """Raises `MappingError` for a unique key that a table got after its class was made: no merge would keep it."""
    constraints = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    indexes = [index for index in table.indexes if index.unique and SPACE not in index.columns]
    for name in [*(one.name for one in constraints), *(one.name for one in indexes)]:
        raise MappingError(
            f"the unique key {name or 'without a name'} of table {table.name} was declared after its class",
            hint="declare it in the class: by unique=True, or in __table_args__",
        )


def explain(context: ExceptionContext) -> None:
    """Say in words which key another row has, where the database names the column of the space. A `handle_error`."""
    error = context.sqlalchemy_exception
    found = _TAKEN.search(str(error.orig)) if isinstance(error, IntegrityError) else None
    if error is not None and found is not None:
        names = [name.rpartition(".")[2].strip() for name in (found[1] or found[2]).split(",")]
        words = " and ".join(name for name in names if name != SPACE)
        error.add_detail(f"another row of the same space has this {words}")


def _columns(table: Table, key: UniqueConstraint | Index) -> list[Column[Any]]:
    columns = list(key.columns)
    options = [name for name, option in key.dialect_kwargs.items() if option is not None and option is not False]
    if isinstance(key, UniqueConstraint):
        options += ["deferrable"] * bool(key.deferrable or key.initially)
        options += [
            "sqlite_on_conflict_unique" for one in columns if one.dialect_options["sqlite"]["on_conflict_unique"]
        ]
    if options or (isinstance(key, Index) and len(columns) != len(key.expressions)):
        what = options[0] if options else "an expression"
        raise MappingError(
            f"a unique key of table {table.name} ({', '.join(one.name for one in columns)}) is declared with {what}",
            hint="declare it over plain columns and without options, or as an index that is not unique",
        )
    for column in columns:
        if (
            KIND in column.info
            or column.computed is not None
            or isinstance(column.type, JSON)
            or getattr(column.type, "collation", None)
        ):
            raise MappingError(
                f"column {column} cannot be part of a unique key",
                hint="use plain synced columns without a collation",
            )
    return columns


def _index(table: Table, name: str, names: tuple[str, ...]) -> None:
    """An index that is unique, of the rows that do not stand back, and one to find those that do."""
    columns = [table.c[SPACE], *(table.c[one] for one in names)]
    clash = table.c[CLASH]
    standing, flagged = _both(name)
    Index(standing, *columns, unique=True, sqlite_where=~clash, postgresql_where=~clash)
    # Texts, since Alembic writes a column alone as a string, which it does not read; and as queries say it, else
    # SQLite does not use the index.
    Index(flagged, *columns, sqlite_where=text(f"{CLASH} = 1"), postgresql_where=text(CLASH))


def _space_of_new(context: DefaultExecutionContext) -> bytes | None:
    """The space of a new row; None for one whose statement does not say enough: the commit adds it."""
    conn = context.root_connection
    value_of = functools.partial(_value_of, context)
    return conn.info[SPACE_OF](conn, table_of(context), value_of)  # type: ignore[no-any-return]  # it holds anything


def table_of(context: DefaultExecutionContext) -> Table:
    """Into which table a row is inserted that gets a default, also where that is but a part of the statement."""
    column: Any = context.current_column
    table: Table = getattr(column, "original", column).table  # of one that stands for one of a further row
    return table


def _value_of(context: DefaultExecutionContext, name: str) -> Any:
    """What a new row has in a column, as far as its statement says.

    SQLAlchemy's `get_current_parameters` fails for several rows of values where columns are named by attributes.
    """
    parameters: Any = context.current_parameters
    column: Any = context.current_column
    further = getattr(column, "_is_multiparam_column", False)  # it stands for one of a further row
    return parameters.get(f"{name}_m{column.index + 1 if further else 0}", parameters.get(name))
