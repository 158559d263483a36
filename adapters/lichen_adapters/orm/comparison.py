"""What tables held, beside what they hold after they were written anew in the same transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Table,
    Text,
    and_,
    cast,
    exists,
    insert,
    or_,
    select,
    text,
)
from sqlalchemy.schema import CreateTableAs

from lichen_adapters.orm.columns import KIND, Kind
from lichen_adapters.orm.plan import SyncedTable

CHUNK = 500
"""Keys in one statement."""

Wrong = Literal["missing", "extra", "changed"]


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A row that is not what its document says."""

    table: str
    row: tuple[uuid.UUID, ...]
    """Its id; of an association its owner's, and the other end's."""
    wrong: Wrong
    """It is missing from its table, no document stands for it, or columns hold something else."""
    columns: tuple[str, ...] = ()
    """Those that hold something else."""


class Copies:
    """Copies of tables, in temporary ones. They go with the transaction, or by `drop`."""

    def __init__(self, conn: Connection, tables: Iterable[SyncedTable]) -> None:
        self._conn = conn
        self._copies = [(planned, _copy(conn, planned)) for planned in tables]

    def differences(self) -> Iterator[Discrepancy]:
        """How the copies differ from the tables as they are now."""
        for planned, copy in self._copies:
            keys = _keys(planned)
            for wrong, there, beside in (("missing", planned.table, copy), ("extra", copy, planned.table)):
                gone = select(*(there.c[key] for key in keys)).where(~exists().where(_same(keys, there, beside)))
                for row in self._conn.execute(gone):
                    yield Discrepancy(planned.name, tuple(row), "missing" if wrong == "missing" else "extra")
            yield from self._changed(planned, copy, keys)

    def _changed(self, planned: SyncedTable, copy: Table, keys: list[str]) -> Iterator[Discrepancy]:
        """Rows of both that differ. What differs is compared in Python: JSON may be written in several ways."""
        names = [column.name for column in copy.columns if column.name not in keys]
        if not names:
            return
        table = planned.table
        both = [copy.c[name] for name in (*keys, *names)] + [table.c[name] for name in names]
        differs = or_(*(_comparable(copy.c[name]).is_distinct_from(_comparable(table.c[name])) for name in names))
        found = self._conn.execute(select(*both).join_from(copy, table, _same(keys, copy, table)).where(differs))
        for row in found:
            key, was, now = row[: len(keys)], row[len(keys) : len(keys) + len(names)], row[len(keys) + len(names) :]
            columns = tuple(name for name, one, other in zip(names, was, now, strict=True) if one != other)
            if columns:
                yield Discrepancy(planned.name, tuple(key), "changed", columns)

    def drop(self) -> None:
        """Keep them no longer."""
        for _, copy in self._copies:
            self._conn.execute(text(f"DROP TABLE {copy.name}"))


def _keys(planned: SyncedTable) -> list[str]:
    return (
        [planned.key.name] if planned.other is None or planned.owner is None else [planned.owner.name, planned.key.name]
    )


def _copy(conn: Connection, planned: SyncedTable) -> Table:
    columns = [one for one in planned.table.columns if one.info.get(KIND) is not Kind.LOCAL and one.computed is None]
    copy = Table(
        f"lichen_copy_{planned.number}",
        MetaData(),
        *(Column(one.name, one.type, primary_key=one.primary_key, nullable=True) for one in columns),
        prefixes=["TEMPORARY"],
    )
    if conn.dialect.name == "sqlite":
        copy.create(conn, checkfirst=False)
        conn.execute(insert(copy).from_select([one.name for one in columns], select(*columns)))
    else:  # types such as that of an enum belong to the table that is there
        conn.execute(CreateTableAs(select(*columns), copy.name, temporary=True))
    return copy


def _comparable(column: Column[Any]) -> ColumnElement[Any]:
    """A column as a database can compare it: PostgreSQL compares no JSON."""
    return cast(column, Text) if column.type._type_affinity is JSON else column  # noqa: SLF001  # decorated types too


def _same(keys: list[str], one: Table, other: Table) -> Any:
    return and_(*(one.c[key] == other.c[key] for key in keys))
