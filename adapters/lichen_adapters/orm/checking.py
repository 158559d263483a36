"""Whether rows are what documents say: told, or made so.

Rows that the adapter writes are always what their documents say. These functions are for what went past it: another
program that opened the file, a migration that wrote rows, a backup that was put together of two.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lichen.errors import StoreDamaged
from lichen.store.schema import documents
from sqlalchemy import Connection, Index, MetaData, Table, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import class_mapper

from lichen_adapters.orm import held, postgres_triggers, search_index
from lichen_adapters.orm.comparison import Copies, Discrepancy
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.memory import Memory
from lichen_adapters.orm.plan import Plan, SyncedTable
from lichen_adapters.orm.projection import root_of
from lichen_adapters.orm.projector import Projector
from lichen_adapters.orm.rows import delete_rows
from lichen_adapters.orm.savepoints import attempt
from lichen_adapters.orm.sessions import Sessions
from lichen_adapters.orm.unique_keys import SPACE

MOST_TOLD = 1_000
"""Rows that are told one by one; the others are counted."""
TOGETHER = 500
"""Documents in memory at once, and keys in one statement."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found when rows were compared with documents."""

    documents: int
    """Those that rows stand for."""
    schema: tuple[str, ...]
    """What is wrong with tables and indexes, in words. Rows of tables that are not as declared were not compared."""
    wrong: int
    """How many rows are not what their documents say."""
    rows: tuple[Discrepancy, ...]
    """The first of them."""
    repaired: bool = False
    """They were made what documents say."""

    @property
    def ok(self) -> bool:
        """Nothing is wrong, or nothing any more."""
        return not self.schema and (self.repaired or not self.wrong)


def check(sessions: Sessions, *, repair: bool = False) -> Report:
    """Compare every synced row with its document; blocking. It changes nothing, unless it is to `repair`.

    To repair is to write rows as documents say, also to delete those that none stands for: what was written past the
    adapter is lost then. `prepare` finds nothing of that: it goes through the documents that have changed. Nothing else
    can be written meanwhile.
    """
    return sessions.write_from_documents(lambda conn: _Check(sessions, conn, keep=repair).run(list(sessions.plan)))


def rebuild(sessions: Sessions, cls: type[Any]) -> Report:
    """Write all rows of a class anew from their documents, with those that lie in the same documents; blocking.

    What differed is in the report. That the rows are what documents say then is proven: they are written once more, and
    nothing differs. Live queries see it. Raises `SessionMisuse` for a class that is not synced.
    """
    table = class_mapper(cls).local_table
    planned = sessions.plan.tables.get(table.name) if isinstance(table, Table) else None
    if planned is None:
        raise SessionMisuse(
            f"{cls.__name__} is not a synced class of these sessions",
            hint="it takes what has the mixin Synced, and the base of these sessions",
        )
    while planned.above is not None:
        planned = planned.above
    family = family_of(planned)
    return sessions.write_from_documents(lambda conn: _proven(sessions, conn, family))


def _proven(sessions: Sessions, conn: Connection, family: list[SyncedTable]) -> Report:
    report, again = (_Check(sessions, conn, keep=True).run(family) for _ in range(2))
    if again.wrong:
        raise StoreDamaged(f"{again.wrong} rows are not what documents say, of which they were just made")
    return report


class _Check:
    """One comparison, within a transaction of the store."""

    def __init__(self, sessions: Sessions, conn: Connection, *, keep: bool) -> None:
        self._plan = sessions.plan
        self._metadata = sessions.metadata
        self._conn = conn
        self._keep = keep
        self._memory = sessions.memory if keep else Memory(sessions.memory.device)
        self._projector = sessions.projector if keep else Projector(self._plan, self._memory)
        self._faults: list[_Fault] = []

    def run(self, tables: list[SyncedTable]) -> Report:
        """Write the rows of these tables anew, see what differs, and keep that or not."""
        conn, keep = self._conn, self._keep
        conn.exec_driver_sql("SAVEPOINT lichen_check")
        try:
            held.metadata.create_all(conn)
            self._faults += [one for planned in tables for one in _faults_of(conn, planned)]
            self._faults += _missing_triggers(conn, self._metadata, self._plan, tables)
            if keep and conn.dialect.name == "postgresql":
                postgres_triggers.install(conn, self._metadata, self._plan)
            unlike = {one.table for one in self._faults if one.unlike}
            roots = [one for one in tables if one.owner is None and unlike.isdisjoint(family_of(one))]
            self._mend_indexes(planned for root in roots for planned in family_of(root))
            copies = Copies(conn, [planned for root in roots for planned in family_of(root)])
            count = self._rewrite(roots)
            rows = list(copies.differences())
            copies.drop()
            if not keep:
                conn.exec_driver_sql("ROLLBACK TO lichen_check")
        finally:
            conn.exec_driver_sql("RELEASE lichen_check")
        told = tuple(one.words for one in self._faults if not (keep and one.mended))
        return Report(count, told, len(rows), tuple(rows[:MOST_TOLD]), repaired=keep)

    def _mend_indexes(self, tables: Iterable[SyncedTable]) -> None:
        """Without them, or with wrong ones, rows could not be written."""
        found = [planned.table for planned in tables]
        search_index.install(self._conn, found, others=False)
        for table in found:
            if search_index.fault(self._conn, table) is not None:
                search_index.rebuild(self._conn, table)

    def _rewrite(self, roots: Collection[SyncedTable]) -> int:
        """Write the rows of all documents of these tables, and delete those of none; how many documents there are."""
        conn, seen = self._conn, dict[SyncedTable, set[uuid.UUID]]()
        for number, name in enumerate(list(conn.scalars(select(documents.c.doc)))):
            doc = uuid.UUID(bytes=name)
            document = self._memory.get(conn, doc)
            root = None if document is None else root_of(self._plan, document)
            if document is not None and root is not None and root in roots:
                self._projector.write_all(conn, root, doc, document)
                seen.setdefault(root, set()).add(doc)
            if number % TOGETHER == 0:
                self._projector.before_commit(conn)
                self._memory.let_go()
        self._projector.before_commit(conn)
        for root in roots:
            for extra in sorted({*conn.scalars(select(root.table.c.id))} - seen.get(root, set())):
                try:
                    with attempt(conn):
                        delete_rows(conn, root, [extra])
                except IntegrityError:
                    words = f"row {extra} of table {root.name} is of no document, and something points at it"
                    self._faults.append(_Fault(root, words))
        return sum(map(len, seen.values()))


def family_of(root: SyncedTable) -> list[SyncedTable]:
    """The tables of which rows lie in the documents of this one's."""
    tables = [root, *root.beneath]
    return [*tables, *(one for owner in tables for one in owner.associations)]


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with a table."""

    table: SyncedTable
    words: str
    unlike: bool = False
    """The table is not as it is declared, so that its rows cannot be compared."""
    mended: bool = False
    """It is mended where rows are repaired."""


def _faults_of(conn: Connection, planned: SyncedTable) -> Iterator[_Fault]:
    table, there = planned.table, inspect(conn)
    if not there.has_table(table.name):
        yield _Fault(planned, f"table {table.name} is missing", unlike=True)
        return
    columns = {one["name"] for one in there.get_columns(table.name)}
    for name in sorted({one.name for one in table.columns} - columns):
        yield _Fault(planned, f"table {table.name} has no column {name}", unlike=True)
    found = {one["name"]: one for one in there.get_indexes(table.name)}
    for index in sorted(table.indexes, key=lambda one: str(one.name)):
        if SPACE in index.columns and not _is_like(index, found.get(index.name)):
            yield _Fault(planned, f"index {index.name} of table {table.name} is missing, or not as declared")
    fault = search_index.fault(conn, table)
    if fault is not None:
        yield _Fault(planned, fault, mended=True)


def _missing_triggers(
    conn: Connection, metadata: MetaData, plan: Plan, tables: Iterable[SyncedTable]
) -> Iterator[_Fault]:
    """On PostgreSQL, where triggers belong to the schema."""
    if conn.dialect.name == "postgresql":
        missing = postgres_triggers.missing_triggers(conn.connection.dbapi_connection, metadata, plan)
        for planned in tables:
            if planned.name in missing:
                words = f"triggers of table {planned.name} are missing, disabled, or not as declared"
                yield _Fault(planned, words, mended=True)


def _is_like(index: Index, found: Any) -> bool:
    """Whether an index of the database keeps a unique key as it must: over the rows that do not stand back."""
    if found is None or bool(found["unique"]) != bool(index.unique):
        return False
    options = found.get("dialect_options", {})
    where = options.get("sqlite_where", options.get("postgresql_where"))
    return found["column_names"] == [one.name for one in index.columns] and where is not None
