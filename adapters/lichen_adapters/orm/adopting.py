"""An existing database made documents, once: `adopt(sessions, "sqlite:///old.db", space)`.

Every row gets a new id, and what points at it gets that too. Ids are made, and noted, before any row is written, so
that rows may point at each other in any order, and a run that was broken off goes on where it was. At the end each row
is compared with what it was.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

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
    create_engine,
    func,
    insert,
    make_url,
    select,
    table,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from lichen_adapters.orm.adopted_keys import Keys
from lichen_adapters.orm.errors import AdoptionError
from lichen_adapters.orm.held import metadata
from lichen_adapters.orm.old_tables import Old, OldTable, noted, old_tables
from lichen_adapters.orm.sessions import Sessions
from lichen_adapters.orm.spaces import HandleOfSpace, id_of

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

ALIKE = b""
"""The nonce of a row for which another stands: it begins no document."""

Progress = Callable[[int, int], None]
"""Called with the number of rows that are here, and of all."""


def adopt(
    sessions: Sessions,
    old: Engine | str,
    space: HandleOfSpace | SpaceId,
    *,
    progress: Progress = lambda _done, _of: None,
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
            run = _Adoption(sessions, conn, id_of(space), progress)
            return run.run()
    except (SQLAlchemyError, ValueError, TypeError, LookupError) as error:  # the latter are of values, and their types
        shown = make_url(old) if isinstance(old, str) else old.url
        hint = "mend it in a copy of the old database, or in the models, and call adopt() again"
        raise AdoptionError(f"the database {shown!r} cannot be adopted: {error}", hint=hint) from error
    finally:
        if source is not old:
            source.dispose()


def _read_only(name: str) -> Engine:
    url = make_url(name)
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith("file:"):
        url = url.set(database=f"file:{quote(url.database)}", query={**url.query, "mode": "ro", "uri": "true"})
    return create_engine(url)


class _Adoption:
    def __init__(self, sessions: Sessions, old: Connection, space: SpaceId, progress: Progress) -> None:
        self._sessions = sessions
        self._old = old
        self._space = space
        self._progress = progress
        self._tables = list(old_tables(sessions, old))
        self._ids: dict[str, dict[str, uuid.UUID | None]] = {}
        """The new ids of rows, by their old keys; None for those without."""
        self._alike: dict[str, Mapping[str, uuid.UUID | str]] = {}
        """The rows for which others stand that have their natural keys, by table and old keys."""

    def run(self) -> dict[str, int]:
        begun = self._is_begun()
        for one in self._tables:
            self._look(one)
        if not begun:
            self._begin()
        counts = {one.table.name: self._count(one) for one in self._tables}
        for one in self._tables:
            self._note(one)
        done, total = 0, sum(counts.values())
        for one in self._tables:
            for rows in one.rows(self._old):
                self._write(one, rows)
                done += len(rows)
                self._progress(done, total)
        for one in self._tables:
            self._prove(one, counts[one.table.name])
        with self._sessions.begin(self._space) as session:
            session.execute(update(adopted).where(adopted.c.table_name == "").values(written=True))
        return counts

    def _look(self, one: OldTable) -> None:
        """Look through a table before anything is written. Raises `AdoptionError` for what does not fit."""
        with self._sessions(self._space) as session:
            conn = session.connection()
            query = select(adopted.c.old, adopted.c.id).where(adopted.c.table_name == one.table.name)
            known = {row.old: row.id for row in conn.execute(query)}
            keys = Keys(self._sessions, conn, self._space, one)
            for rows in one.rows(self._old):
                for row in rows:
                    keys.add(row, known.get(one.key_of(row)))
        self._alike[one.table.name] = keys.alike

    def _is_begun(self) -> bool:
        """Whether there is a run, into this space."""
        with self._sessions(self._space) as session:
            run = session.execute(select(adopted).where(adopted.c.table_name == "")).first()
        if run is not None and run.written:
            raise AdoptionError("this store has adopted a database", hint="adopt each into a store of its own")
        if run is not None and run.old != self._space.hex():
            raise AdoptionError("a run into another space was broken off", hint="go on with that space")
        return run is not None

    def _begin(self) -> None:
        """Note that there is a run, and into which space: ids are made for it."""
        with self._sessions.begin(self._space) as session:
            session.execute(insert(adopted).values(table_name="", old=self._space.hex(), written=False))

    def _count(self, one: OldTable) -> int:
        return self._old.scalar(select(func.count()).select_from(table(one.table.name))) or 0

    def _note(self, one: OldTable) -> None:
        """Make the ids of rows that have none yet."""
        ids = self._ids[one.table.name] = {}
        c = adopted.c
        with self._sessions(self._space) as session:
            found = session.execute(select(c.old, c.id).where(c.table_name == one.table.name)).all()
        known = {row.old for row in found}
        ids.update((row.old, row.id) for row in found)
        for rows in one.rows(self._old):
            new = [self._new(one, row) for row in rows if one.key_of(row) not in known]
            if new:
                with self._sessions.begin(self._space) as session:
                    session.execute(insert(adopted), new)

    def _new(self, one: OldTable, row: Old) -> dict[str, Any]:
        planned, nonce, key = one.planned, None, one.key_of(row)
        made: uuid.UUID | None = None
        alike = self._alike[one.table.name].get(key)
        if alike is not None:
            made, nonce = self._ids[one.table.name][alike] if isinstance(alike, str) else alike, ALIKE
        elif planned is not None and planned.other is None:
            if planned.owner is None:
                nonce = os.urandom(16)
                made = self._sessions.transactions.id_from(self._space, nonce)
            elif planned.owner is planned.key and planned.above is not None:  # the rows of one object
                made = self._id(planned.above.name, row[one.keys[0]], one, row)
            else:
                made = uuid.uuid4()
        self._ids[one.table.name][key] = made
        written = nonce == ALIKE
        return {"table_name": one.table.name, "old": key, "id": made, "nonce": nonce, "written": written}

    def _id(self, target: str, key: Any, one: OldTable, row: Old) -> uuid.UUID:
        try:
            found = self._ids[target][noted(key)]
        except KeyError:
            found = None
        if found is None:
            raise AdoptionError(
                f"row {one.key_of(row)} of {one.table.name} points at row {key!r} of {target}, which is not there",
                hint="mend the old database, or let the column be null there",
            )
        return found

    def _row(self, one: OldTable, row: Old) -> dict[str, Any]:
        """A row as it is here."""
        found = {}
        for name in one.columns:
            value, target = row[name], one.target(name)
            synced = value is not None and target in self._sessions.plan.tables
            found[name] = self._id(str(target), value, one, row) if synced else value
        if one.planned is not None and one.planned.other is None:
            found["id"] = self._ids[one.table.name][one.key_of(row)]
        return found

    def _write(self, one: OldTable, rows: Sequence[Old]) -> None:
        """Write those of these rows that are not here yet, in one transaction."""
        c = adopted.c
        here = c.table_name == one.table.name, c.old.in_([one.key_of(row) for row in rows]), ~c.written
        with self._sessions.begin(self._space) as session:
            conn = session.connection()
            missing = {row.old: row for row in conn.execute(select(adopted).where(*here))}
            if missing:
                begun = {row.id: row.nonce for row in missing.values() if row.nonce is not None}
                self._sessions.transactions.begin_documents(conn, begun)
                made = {
                    self._here(one, row): row
                    for row in (self._row(one, row) for row in rows if one.key_of(row) in missing)
                }
                if one.planned is not None and one.planned.other is not None:  # ends that are alike make one pair
                    for pair in self._found(session, one, made.values()):
                        made.pop(pair, None)
                if made:
                    conn.execute(insert(one.table), [*made.values()])
                conn.execute(update(adopted).where(*here).values(written=True))

    def _prove(self, one: OldTable, count: int) -> None:
        """Raise `AdoptionError` unless a table has here what it has there."""
        noted = self._ids[one.table.name]
        if len(noted) != count:
            raise AdoptionError(f"{one.table.name} had {len(noted)} rows, and has {count} now", hint="leave it alone")
        with self._sessions(self._space) as session:
            for rows in one.rows(self._old):
                alike = self._noted_alike(session, one, rows)
                rows = [row for row in rows if one.key_of(row) not in alike]
                wanted = {self._here(one, made): made for made in (self._row(one, row) for row in rows)}
                found = self._found(session, one, wanted.values())
                for key, made in wanted.items():
                    row: Old = found.get(key, {})
                    wrong = sorted(name for name in made if name not in row or row[name] != made[name])
                    if wrong:
                        raise AdoptionError(
                            f"row {key} of {one.table.name} is another in {', '.join(wrong)}",
                            hint="adopt into a new store, and write nothing there or in the old database meanwhile",
                        )

    def _noted_alike(self, session: Session, one: OldTable, rows: Iterable[Old]) -> set[str]:
        c = adopted.c
        chosen = c.table_name == one.table.name, c.old.in_([one.key_of(row) for row in rows]), c.nonce == ALIKE
        return {*session.scalars(select(c.old).where(*chosen))}

    def _found(self, session: Session, one: OldTable, rows: Iterable[Old]) -> dict[tuple[Any, ...], Old]:
        """What is here under the keys of these rows, and perhaps more."""
        first = next(iter(one.table.primary_key))
        found = session.execute(select(one.table).where(first.in_({row[first.name] for row in rows}))).mappings()
        return {self._here(one, row): row for row in map(_plain, found)}

    def _here(self, one: OldTable, row: Old) -> tuple[Any, ...]:
        return tuple(row[column.name] for column in one.table.primary_key)


def _plain(row: RowMapping) -> Old:
    return dict(row)
