"""An existing database made documents, once: `adopt(sessions, "sqlite:///old.db", space)`.

Every row gets a new id, and what points at it gets that too. Ids are made, and noted, before any row is written, so
that rows may point at each other in any order, and a run that was broken off goes on where it was. At the end each row
is compared with what it was.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lichen import Space
from lichen.ids import SpaceId
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    LargeBinary,
    RowMapping,
    String,
    Table,
    Uuid,
    column,
    create_engine,
    func,
    insert,
    inspect,
    make_url,
    select,
    table,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import NullType

from lichen_adapters.orm.errors import AdoptionError
from lichen_adapters.orm.held import metadata
from lichen_adapters.orm.plan import SyncedTable
from lichen_adapters.orm.sessions import Sessions
from lichen_adapters.orm.unique_keys import OURS

CHUNK = 500
"""Rows in one transaction."""

adopted = Table(
    "lichen_adopted",
    metadata,
    Column("table_name", String, primary_key=True),
    Column("old", String, primary_key=True),
    Column("id", Uuid),
    Column("nonce", LargeBinary),
    Column("written", Boolean, nullable=False),
)
"""The rows of the old database: the new id of each, the nonce of the document that it begins, and whether it is here.

A row without a table names the space of the run, and says whether everything is here.
"""

Old = RowMapping | Mapping[str, Any]
Progress = Callable[[int, int], None]
"""Called with the number of rows that are here, and of all."""


def adopt(
    sessions: Sessions, old: Engine | str, space: Space | SpaceId, *, progress: Progress = lambda _done, _of: None
) -> dict[str, int]:
    """Make the rows of an existing database rows of a space; returns how many each table has. Blocking.

    Its tables have the names that they have here, and the columns but for keys; tables without sync are copied as they
    are. `old` is only read: an SQLAlchemy engine, or its URL. A run that was broken off goes on when it is called
    again. Raises `AdoptionError`, and `Misfit` for a value that cannot merge, with all that was written before kept;
    and `SessionMisuse` before `sessions.prepare()`.
    """
    source = _read_only(old) if isinstance(old, str) else old
    try:
        with source.connect() as conn:
            run = _Adoption(sessions, conn, space.id if isinstance(space, Space) else space, progress)
            return run.run()
    except (SQLAlchemyError, ValueError, TypeError, LookupError) as error:  # the latter are of values, and their types
        shown = make_url(old) if isinstance(old, str) else old.url
        raise AdoptionError(f"the database {shown!r} cannot be adopted: {error}") from error
    finally:
        if source is not old:
            source.dispose()


def _read_only(name: str) -> Engine:
    url = make_url(name)
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith("file:"):
        url = url.set(database=f"file:{quote(url.database)}", query={**url.query, "mode": "ro", "uri": "true"})
    return create_engine(url)


@dataclass(frozen=True, slots=True)
class _OldTable:
    """One table of the old database, and what it is here."""

    table: Table
    """As it is here."""
    planned: SyncedTable | None
    """How it is synced, if it is."""
    keys: tuple[str, ...]
    """Its primary key there."""
    columns: tuple[str, ...]
    """The columns that it has here and there, without the `id`."""

    def select(self) -> Any:
        """All its rows, in the order of their keys, with values as they are here but for keys."""
        types = {name: self.table.c[name].type for name in self.columns if not self.target(name)}
        names = dict.fromkeys((*self.keys, *self.columns))
        old = table(self.table.name, *(column(name, types.get(name, NullType())) for name in names))
        return select(old).order_by(*(old.c[name] for name in self.keys))

    def target(self, name: str) -> str | None:
        """At the rows of which table a column points."""
        return next((key.column.table.name for key in self.table.c[name].foreign_keys), None)

    def key_of(self, row: Old) -> str:
        """The key of one of its rows, as it is noted."""
        return _noted(*(row[name] for name in self.keys))


class _Adoption:
    def __init__(self, sessions: Sessions, old: Connection, space: SpaceId, progress: Progress) -> None:
        self._sessions = sessions
        self._old = old
        self._space = space
        self._progress = progress
        self._tables = list(_old_tables(sessions, old))
        self._ids: dict[str, dict[str, uuid.UUID]] = {}
        """The new ids of the rows of synced tables, by their old keys."""

    def run(self) -> dict[str, int]:
        self._begin()
        counts = {one.table.name: self._count(one) for one in self._tables}
        for one in self._tables:
            self._note(one)
        done, total = 0, sum(counts.values())
        for one in self._tables:
            for rows in _chunks(self._old.execute(one.select()).mappings()):
                self._write(one, rows)
                done += len(rows)
                self._progress(done, total)
        for one in self._tables:
            self._prove(one, counts[one.table.name])
        with self._sessions.begin(self._space) as session:
            session.execute(update(adopted).where(adopted.c.table_name == "").values(written=True))
        return counts

    def _begin(self) -> None:
        """Note that there is a run, and into which space: ids are made for it."""
        with self._sessions.begin(self._space) as session:
            run = session.execute(select(adopted).where(adopted.c.table_name == "")).first()
            if run is None:
                session.execute(insert(adopted).values(table_name="", old=self._space.hex(), written=False))
            elif run.written:
                raise AdoptionError("this store has adopted a database", hint="adopt each into a store of its own")
            elif run.old != self._space.hex():
                raise AdoptionError("a run into another space was broken off", hint="go on with that space")

    def _count(self, one: _OldTable) -> int:
        return self._old.scalar(select(func.count()).select_from(table(one.table.name))) or 0

    def _note(self, one: _OldTable) -> None:
        """Make the ids of rows that have none yet."""
        ids = self._ids[one.table.name] = {}
        c = adopted.c
        with self._sessions(self._space) as session:
            found = session.execute(select(c.old, c.id).where(c.table_name == one.table.name)).all()
        known = {row.old for row in found}
        ids.update((row.old, row.id) for row in found)
        for rows in _chunks(self._old.execute(one.select()).mappings()):
            new = [self._new(one, row) for row in rows if one.key_of(row) not in known]
            if new:
                with self._sessions.begin(self._space) as session:
                    session.execute(insert(adopted), new)
                ids.update((row["old"], row["id"]) for row in new)

    def _new(self, one: _OldTable, row: Old) -> dict[str, Any]:
        planned, nonce = one.planned, None
        made: uuid.UUID | None = None
        if planned is not None and planned.other is None:
            if planned.owner is None:
                nonce = os.urandom(16)
                made = self._sessions.id_from(self._space, nonce)
            elif planned.owner is planned.key and planned.above is not None:  # the rows of one object
                made = self._id(planned.above.name, row[one.keys[0]], one, row)
            else:
                made = uuid.uuid4()
        return {"table_name": one.table.name, "old": one.key_of(row), "id": made, "nonce": nonce, "written": False}

    def _id(self, target: str, key: Any, one: _OldTable, row: Old) -> uuid.UUID:
        try:
            return self._ids[target][_noted(key)]
        except KeyError:
            raise AdoptionError(
                f"row {one.key_of(row)} of {one.table.name} points at row {key!r} of {target}, which is not there",
                hint="mend the old database, or let the column be null there",
            ) from None

    def _row(self, one: _OldTable, row: Old) -> dict[str, Any]:
        """A row as it is here."""
        found = {}
        for name in one.columns:
            value, target = row[name], one.target(name)
            synced = value is not None and target in self._sessions.plan.tables
            found[name] = self._id(str(target), value, one, row) if synced else value
        if one.planned is not None and one.planned.other is None:
            found["id"] = self._ids[one.table.name][one.key_of(row)]
        return found

    def _write(self, one: _OldTable, rows: Sequence[Old]) -> None:
        """Write those of these rows that are not here yet, in one transaction."""
        c = adopted.c
        here = c.table_name == one.table.name, c.old.in_([one.key_of(row) for row in rows]), ~c.written
        with self._sessions.begin(self._space) as session:
            conn = session.connection()
            missing = {row.old: row for row in conn.execute(select(adopted).where(*here))}
            if missing:
                begun = {row.id: row.nonce for row in missing.values() if row.nonce is not None}
                self._sessions.begin_documents(conn, begun)
                conn.execute(insert(one.table), [self._row(one, row) for row in rows if one.key_of(row) in missing])
                conn.execute(update(adopted).where(*here).values(written=True))

    def _prove(self, one: _OldTable, count: int) -> None:
        """Raise `AdoptionError` unless a table has here what it has there."""
        noted = self._ids[one.table.name]
        if len(noted) != count:
            raise AdoptionError(f"{one.table.name} had {len(noted)} rows, and has {count} now", hint="leave it alone")
        with self._sessions(self._space) as session:
            for rows in _chunks(self._old.execute(one.select()).mappings()):
                wanted = {self._here(one, made): made for made in (self._row(one, row) for row in rows)}
                keys = [column.name for column in one.table.primary_key]
                chosen = one.table.c[keys[0]].in_({made[keys[0]] for made in wanted.values()})
                found = {
                    self._here(one, row): row for row in session.execute(select(one.table).where(chosen)).mappings()
                }
                for key, made in wanted.items():
                    row: Old = found.get(key, {})
                    wrong = sorted(name for name in made if name not in row or row[name] != made[name])
                    if wrong:
                        raise AdoptionError(f"row {key} of {one.table.name} is another in {', '.join(wrong)}")

    def _here(self, one: _OldTable, row: Old) -> tuple[Any, ...]:
        return tuple(row[column.name] for column in one.table.primary_key)


def _old_tables(sessions: Sessions, old: Connection) -> Iterator[_OldTable]:
    """The tables in the order in which they can be written: synced ones, owners first, and then the others."""
    there = inspect(old)
    names = set(there.get_table_names())
    others = [one for one in sessions.metadata.sorted_tables if one.name not in sessions.plan.tables]
    for here in (*(planned.table for planned in sessions.plan), *others):
        if here.name not in names:
            continue  # it is new
        planned = sessions.plan.tables.get(here.name)
        keys = tuple(there.get_pk_constraint(here.name)["constrained_columns"])
        columns = {one["name"] for one in there.get_columns(here.name)}
        made = {"id"} if planned is not None and planned.other is None else set()
        lost = columns - set(here.c.keys()) - set(keys)
        if lost:
            raise AdoptionError(
                f"table {here.name} has no column here for {', '.join(sorted(lost))}",
                hint="declare it, as local_column() if it shall not sync, or drop it from a copy of the old database",
            )
        if not keys or (made and len(keys) > 1):
            raise AdoptionError(f"table {here.name} has no key of one column in the old database")
        kept = tuple(
            one.name for one in here.c if one.name in columns - made and OURS not in one.info and not one.computed
        )
        yield _OldTable(here, planned, keys, kept)


def _noted(*key: Any) -> str:
    return "/".join(f"x'{one.hex()}'" if isinstance(one, bytes) else str(one).replace("/", "//") for one in key)


def _chunks(rows: Iterable[RowMapping]) -> Iterator[list[RowMapping]]:
    chunk: list[RowMapping] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
