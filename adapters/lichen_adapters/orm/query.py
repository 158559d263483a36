"""A statement that is run again when a change touches what it reads. Blocking; used by one thread at a time."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from lichen.turns import turn
from sqlalchemy import Column, Executable, Result, Select, TextClause, bindparam, inspect, type_coerce
from sqlalchemy import Engine as Database
from sqlalchemy.engine import Row
from sqlalchemy.exc import ArgumentError, CompileError, InvalidRequestError
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType

from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.feed import Changes, Feed, both
from lichen_adapters.orm.listing import Rows, difference
from lichen_adapters.orm.objects import same, state_of, was_used
from lichen_adapters.orm.reads import Reads, is_textual, keyed_table, names_of, reading, whole

log = logging.getLogger("lichen.orm")

MOST_CHECKED = 100
"""Changed rows that are looked at one by one; for more the statement is run."""
LEAST_KEPT = 200
"""Where a result has so many rows, those that did not change are not loaded again."""
MOST_LOADED = 4_000
"""Rows that are loaded by their keys; for more all are loaded."""
MOST_ASTRAY = 10
"""So often in a row the keys alone may come in another order before they are asked for no more: once it may be since
something was committed of which nobody was told yet.
"""


class Factory(Protocol):
    """What live queries need of `Sessions`."""

    @property
    def feed(self) -> Feed:
        """Which rows have changed."""

    @property
    def database(self) -> Database:
        """The database below."""

    def __call__(self) -> Session:
        """A session."""


def _is_query(statement: object) -> bool:
    if not isinstance(statement, Executable):
        return False
    return isinstance(statement, TextClause) or statement.is_select or statement.is_from_statement


class Query:
    """A statement, its last rows, and what has changed since."""

    def __init__(self, sessions: Factory, statement: Executable, reads: Iterable[Any]) -> None:
        if not hasattr(sessions, "feed"):
            hint = "AsyncSessions have those that they were made of as `.sessions`"
            raise SessionMisuse(f"live queries are of Sessions, and these are {type(sessions).__name__}", hint=hint)
        sessions.feed.refuse_closed()
        self._sessions = sessions
        self._statement = statement
        self._given = names_of(reads)
        if not _is_query(statement):
            raise SessionMisuse(f"{statement!r} is no query that could be live", hint="give a select")
        if is_textual(statement) and not self._given:
            raise SessionMisuse(
                "a live query with a part that is text does not say what it reads",
                hint="name the classes or tables: reads=[Note]",
            )
        self._table = keyed_table(statement)
        self._key: Column[Any] | None = None if self._table is None else next(iter(self._table.primary_key))
        self._check = None if self._key is None else self._checking(self._key)
        self._with_key = statement if self._key is None else self._adding_key()
        self._keys_alone = None if self._key is None else self._only_key()
        """What gives the keys of the rows, in order; None where that is not known."""
        self._astray = 0
        self._wake: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._pending: Changes | None = None
        self._idle = False
        self._due = True
        """It is to be run whatever has changed."""
        self._reads = Reads()
        self._unique = False
        self._keys: list[Hashable] = []
        """As hexadecimal texts where they are UUIDs, whose hashes are made in Python."""
        self._known: frozenset[Hashable] = frozenset()
        self._rows: Rows[Any] | None = None
        self.unlikely = False
        """What it was woken for is most likely no change of what it shows, and only to be looked at."""
        self.runs = 0
        """How often the statement was run."""

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake`, on any thread, when `next` has returned None and may have more, and when the feed is closed.

        Returns what ends that.
        """
        self._wake = wake
        return self._sessions.feed.listen(self._told, wake)

    def _told(self, changes: Changes) -> None:
        with self._lock:
            if self._idle and not self._due:
                touched = self._reads.touched(changes)
                if not touched:
                    return
                self.unlikely = self._unlikely(touched)
            self._pending = changes if self._pending is None else both(self._pending, changes)
            idle, self._idle = self._idle, False
        if idle:
            self._wake()

    def next(self) -> Rows[Any] | None:
        """Rows that differ from the last ones; None when there are none.

        Raises what running the statement raises; then it is run again after the next change, whatever that is.
        """
        while True:
            with self._lock:
                pending, self._pending = self._pending, None
                if pending is None and not self._due:
                    self._idle = True
                    return None
            touched = None if self._due or pending is None else self._reads.touched(pending)
            if touched is not None and not self._shows(touched):
                continue
            before = self._rows
            rows = self._rerun(self._only(touched))
            if before is None or rows.difference:
                return rows

    def failed(self) -> None:
        """What `next` returned was not shown: it is run again after the next change, whatever that is."""
        with self._lock:
            self._due = self._idle = True

    def _rerun(self, touched: set[uuid.UUID] | None) -> Rows[Any]:
        self._due = True
        try:
            rows = self._run(touched)
        except BaseException:
            self._idle = True
            raise
        self._due = False
        return rows

    def _shows(self, touched: Mapping[str, set[uuid.UUID] | None]) -> bool:
        """Whether changes may make a difference."""
        return bool(touched) and not (self._unlikely(touched) and not self._matches(touched))

    def _unlikely(self, touched: Mapping[str, set[uuid.UUID] | None]) -> bool:
        """Whether only rows have changed that are not in the result, and depend on no others."""
        keys = self._only(touched)
        return keys is not None and len(keys) <= MOST_CHECKED and self._known.isdisjoint(key.hex for key in keys)

    def _only(self, touched: Mapping[str, set[uuid.UUID] | None] | None) -> set[uuid.UUID] | None:
        """The keys of all rows of the result that may be others now, or may have come; None where that is not known."""
        if touched is None or self._table is None or touched.keys() != {self._table.name}:
            return None
        return touched[self._table.name] if self._reads.times[self._table.name] == 1 else None

    def _matches(self, touched: Mapping[str, set[uuid.UUID] | None]) -> bool:
        """Whether any of these rows matches now."""
        assert self._check is not None
        (keys,) = touched.values()
        with self._sessions.database.connect() as conn:
            return conn.execute(self._check, {"lichen_changed": list(keys or ())}).first() is not None

    def _checking(self, key: Column[Any]) -> Select[Any]:
        assert isinstance(self._statement, Select)
        query = self._statement.with_only_columns(*self._columns()).order_by(None).limit(1)
        return query.where(key.in_(bindparam("lichen_changed", expanding=True)))

    def _adding_key(self) -> Select[Any]:
        assert isinstance(self._statement, Select)
        return self._statement.add_columns(*self._columns())

    def _only_key(self) -> Select[Any]:
        assert isinstance(self._statement, Select)
        return self._statement.with_only_columns(*self._columns())

    def _columns(self) -> list[Any]:
        """The key, as an attribute of the class where the statement has one, which may be a part of its table; as the
        driver gives it.
        """
        assert isinstance(self._statement, Select)
        entity = self._statement.column_descriptions[0].get("entity")  # none where only tables are named
        key = self._key if entity is None else inspect(entity).get_property_by_column(self._key).class_attribute
        return [type_coerce(key, NullType()).label("lichen_key")]

    def _run(self, touched: set[uuid.UUID] | None) -> Rows[Any]:
        with turn(), self._session() as session:
            part = None if touched is None else self._fetch_part(session, touched)
            session.expunge_all()  # what was loaded in vain would not be loaded again
            found = Reads()
            found.add(whole(self._given))
            with reading(session.connection(), found):
                keys, rows = part or self._fetch(session)
            session.expunge_all()
        if self._rows is None:
            self._refuse_unknown(found)
        self.runs += 1
        if part is None:
            with self._lock:
                self._reads = found
        changed = self._keep_unchanged(keys, rows)
        differ = difference(self._keys, keys, rows, changed)
        self._keys, self._known = keys, frozenset(keys)
        self._rows = Rows.of(rows, differ)
        return self._rows

    def _session(self) -> Session:
        """One to read with, once it is known that this may be: the events of others take a tenth of a short query."""
        if self._rows is None:
            return self._sessions()
        self._sessions.feed.refuse_closed()
        return Session(self._sessions.database)

    def _keep_unchanged(self, keys: Sequence[Hashable], rows: list[Any]) -> list[int]:
        """Put the objects of before in the place of equal ones; the positions of those that changed."""
        old = dict(zip(self._keys, self._rows or (), strict=True))
        changed = []
        for position, key in enumerate(keys):
            if key in old and old[key] is not rows[position]:
                if same(old[key], rows[position]):
                    rows[position] = old[key]
                else:
                    changed.append(position)
        return changed

    def _refuse_unknown(self, reads: Reads) -> None:
        unknown = sorted(reads.columns.keys() - self._sessions.feed.names)
        if unknown:
            raise SessionMisuse(
                f"a live query reads what is no table of the application: {', '.join(unknown)}",
                hint="name classes or tables of the base of these sessions",
            )

    def _fetch(self, session: Session) -> tuple[list[Hashable], list[Any]]:
        try:
            return self._fetched(session)
        except InvalidRequestError as error:
            if self._unique or "unique()" not in str(error):
                raise
        self._unique = True  # rows of a collection that is loaded by a join
        return self._fetched(session)

    def _fetch_part(self, session: Session, touched: set[uuid.UUID]) -> tuple[list[Hashable], list[Any]] | None:
        """As `_fetch`, where of many rows only a few can be others than before; None where it is another case.

        Rows that did not change must come in the same order as before: else their order is not wholly of the statement.
        """
        if self._keys_alone is None or len(self._keys) < LEAST_KEPT:
            return None
        old = dict(zip(self._keys, self._rows or (), strict=True))
        changed = {key.hex for key in touched}
        try:
            keys: list[Hashable] = [_plain(key) for key in session.scalars(self._keys_alone)]
        except (ArgumentError, CompileError, InvalidRequestError):  # it is sorted by, or has options for, what it gives
            self._keys_alone = None
            return None
        present = set(keys)
        if [key for key in keys if key in old and key not in changed] != [
            key for key in self._keys if key in present and key not in changed
        ]:
            self._astray += 1
            if self._astray == MOST_ASTRAY:
                self._keys_alone = None
            return None
        self._astray = 0
        wanted = [key for key in keys if key in changed or key not in old or was_used(old[key])]
        if len(wanted) > MOST_LOADED:
            return None
        more = Reads()
        with reading(session.connection(), more):
            loaded = self._load(session, wanted)
        if len(loaded) < len(wanted) or not self._reads.cover(more):  # some went meanwhile, or led to other tables
            return None
        return keys, [loaded[key] if key in loaded else old[key] for key in keys]

    def _load(self, session: Session, wanted: list[Hashable]) -> dict[Hashable, Any]:
        if not wanted:
            return {}
        assert isinstance(self._with_key, Select)
        assert self._key is not None
        query = self._with_key.order_by(None).limit(None).where(self._key.in_([uuid.UUID(str(key)) for key in wanted]))
        return dict(zip(*self._with_keys(session, query), strict=True))

    def _fetched(self, session: Session) -> tuple[list[Hashable], list[Any]]:
        statement = self._statement
        if self._key is None:
            result = self._executed(session, statement)
            rows: list[Any] = list(result.all() if self._as_rows(result) else result.scalars().all())
            return _told_apart(_key_of(row) for row in rows), rows
        return self._with_keys(session, self._with_key)

    def _with_keys(self, session: Session, statement: Executable) -> tuple[list[Hashable], list[Any]]:
        with_keys = self._executed(session, statement)
        count = len(with_keys.keys()) - 1
        if count == 1:
            found = with_keys.all()
            return [_plain(row[-1]) for row in found], [row[0] for row in found]
        frozen = with_keys.freeze()
        return [_plain(row[-1]) for row in frozen()], list(frozen().columns(*range(count)).all())

    def _executed(self, session: Session, statement: Executable) -> Result[Any]:
        result: Result[Any] = session.execute(statement)
        return result.unique() if self._unique else result

    def _as_rows(self, result: Result[Any]) -> bool:
        return isinstance(self._statement, TextClause) or len(result.keys()) > 1


def _plain(key: Any) -> str:
    """A UUID as a driver gives it, as 32 hexadecimal digits."""
    return key.hex if isinstance(key, uuid.UUID) else str(key).replace("-", "")


def _key_of(row: Any) -> Hashable:
    """What tells a row from others: the keys of its objects; of a row without any, its values."""
    values = tuple(row) if isinstance(row, Row) else (row,)
    keys: tuple[Hashable, ...] = tuple(state.key for value in values if (state := state_of(value)) is not None)
    return keys or tuple(value if isinstance(value, Hashable) else repr(value) for value in values)


def _told_apart(keys: Iterable[Hashable]) -> list[Hashable]:
    """Rows may be there twice."""
    times: Counter[Hashable] = Counter()
    found: list[Hashable] = []
    for key in keys:
        found.append((key, times[key]))
        times[key] += 1
    return found
