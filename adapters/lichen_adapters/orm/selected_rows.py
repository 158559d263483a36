"""Rows that are inserted from a `select`: each gets an id of its own.

SQLAlchemy puts a default that Python makes into such a statement once, for all its rows. So what is selected is
counted, as many ids are made, and they are joined to it by the numbers of the rows.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Insert,
    Select,
    SelectBase,
    Table,
    Uuid,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.engine.interfaces import Compiled

from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.synced import NEW_ID, makes_id


def selects(statement: Any) -> bool:  # Any: whatever is executed
    """Whether a statement inserts what it selects into a synced table, and leaves the ids out."""
    return (
        isinstance(statement, Insert)
        and isinstance(statement.table, Table)
        and isinstance(statement.select, SelectBase)
        and statement.include_insert_from_select_defaults
        and "id" in statement.table.c
        and makes_id(statement.table.c.id)
        and "id" not in _names(statement)
    )


def with_ids(conn: Connection, statement: Insert, many: Sequence[Any], parameters: Mapping[str, Any]) -> Insert:
    """The statement with an id for each row. The connection has the right to write, and keeps it until it is executed.

    Raises `SessionMisuse` for `many` sets of parameters.
    """
    if many:
        raise SessionMisuse(
            "what is selected was to be inserted several times, with different parameters",
            hint="execute the statement once for each",
        )
    assert isinstance(statement.table, Table)
    assert isinstance(statement.select, SelectBase)
    found = _named(statement.select).subquery()
    count = conn.execute(select(func.count()).select_from(found), parameters).scalar_one()
    ids = [conn.info[NEW_ID](statement.table) for _ in range(count)]
    number = func.row_number().over()
    rows = select(*found.c, number.label("lichen_number")).subquery()
    numbered = select(
        _rows_of(conn.dialect.name, ids), number.label("lichen_number")
    ).subquery()  # so that SQLite makes an index for the join
    *values, at = rows.c
    joined = rows.outerjoin(numbered, at == numbered.c.lichen_number)
    # SQLite would take the ON of a conflict clause for one of the join, if nothing stood between them.
    chosen = select(*values, numbered.c[0]).select_from(joined).where(true())
    return statement.from_select([*_names(statement), "id"], chosen)


def refuse_inside(compiled: Compiled | None) -> None:
    """Raises `SessionMisuse` for such an insert that is a common table expression: its rows would have one id."""
    for one in getattr(compiled, "ctes", None) or ():
        if selects(one.element):
            raise SessionMisuse(
                f"what is selected was to be inserted into {one.element.table.name} inside of another statement",
                hint="execute the insert by itself, so that each row gets an id",
            )


def _named(query: SelectBase) -> SelectBase:
    """A query whose literal columns have names, by which they can be selected."""
    columns = list(query.selected_columns)
    if not isinstance(query, Select) or not any(getattr(one, "is_literal", False) for one in columns):
        return query
    named = [
        one.label(f"lichen_{place}") if getattr(one, "is_literal", False) else one for place, one in enumerate(columns)
    ]
    return query.with_only_columns(*named, maintain_column_froms=True)


def _rows_of(dialect: str, ids: list[uuid.UUID]) -> ColumnElement[Any]:
    """Ids as rows, of one parameter: a list of parameters could be too long."""
    if dialect == "sqlite":
        return func.json_each(json.dumps([one.hex for one in ids])).table_valued("value").c.value
    return func.unnest(literal(ids, ARRAY(Uuid()))).column_valued()


def _names(statement: Insert) -> list[str]:
    # SQLAlchemy has no public way to ask a statement for them.
    return statement._select_names or []  # noqa: SLF001
