"""Upserts on unique keys: the key that a statement names becomes the one that the table has.

`on_conflict_do_update(index_elements=["name"])` names columns of the application. The index that holds the key is over
the space too, and only over rows that do not stand back; a database takes no less for an answer.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from sqlalchemy import Column, Insert, Table

from lichen_adapters.orm.sql_names import short
from lichen_adapters.orm.unique_keys import CLASH, SPACE, UNIQUE


def aimed(statement: Any) -> Any:  # Any: whatever is executed
    """The statement, with the whole unique key as the target of its conflict clause, if it has one of ours."""
    clause: Any = getattr(statement, "_post_values_clause", None)
    if clause is None or not isinstance(statement, Insert) or not isinstance(statement.table, Table):
        return statement
    columns = _target(statement.table, clause)
    if not any(columns == set(key) for key in statement.table.info.get(UNIQUE, ())):
        return statement
    c = statement.table.c
    whole: Any = copy.copy(clause)
    whole.constraint_target = None
    whole.inferred_target_elements = [c[SPACE], *(c[name] for name in sorted(columns))]
    whole.inferred_target_whereclause = ~c[CLASH]
    # SQLAlchemy has no public way to exchange the clause of a statement, which both its dialects keep here.
    found = statement._clone()  # noqa: SLF001
    found._post_values_clause = whole  # noqa: SLF001
    return found


def _target(table: Table, clause: Any) -> set[str]:
    """The columns at which a conflict clause is aimed, or the constraint that it names, which has become an index."""
    name = getattr(clause, "constraint_target", None)
    if name is not None:
        indexes = {str(one.name): one for one in table.indexes if one.unique}
        ours = short(re.sub(r"(.*)_key(\d*)$", r"uq_\1\2", str(name)))  # of what the server calls a key without a name
        index = indexes.get(str(name)) or indexes.get(ours)
        return set() if index is None else {one.name for one in index.columns} - {SPACE}
    names = getattr(clause, "inferred_target_elements", None) or ()
    return {one.name if isinstance(one, Column) else str(one) for one in names}
