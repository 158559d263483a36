"""A statement that is run again when a change touches what it reads. Blocking; used by one thread at a time."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Column, Executable, Result, Select, TextClause, bindparam, inspect
from sqlalchemy import Engine as Database
from sqlalchemy.engine import Row
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.feed import Changes, Feed, both
from lichen_adapters.orm.listing import Rows, difference
from lichen_adapters.orm.objects import same, state_of
from lichen_adapters.orm.reads import Reads, is_textual, keyed_table, names_of, reading, whole

log = logging.getLogger("lichen.orm")

MOST_CHECKED = 100
"""Changed rows that are looked at one by one; for more the statement is run."""


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


class Query:
    """A statement, its last rows, and what has changed since."""

    def __init__(self, sessions: Factory, statement: Executable, reads: Iterable[Any]) -> None:
        self._sessions = sessions
        self._statement = statement
        self._given = names_of(reads)
        if is_textual(statement) and not self._given:
            raise SessionMisuse(
                "a live query with a part that is text does not say what it reads",
                hint="name the classes or tables: reads=[Note]",
            )
        self._table = keyed_table(statement)
        self._key: Column[Any] | None = None if self._table is None else next(iter(self._table.primary_key))
        self._check = None if self._key is None else self._checking(self._key)
        self._with_key = statement if self._key is None else self._adding_key()
        self._wake: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._pending: Changes | None = None
        self._idle = False
        self._due = True
        """It is to be run whatever has changed."""
        self._reads = Reads()
        self._unique = False
        self._keys: list[Hashable] = []
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
            if not self._due and pending is not None and not self._shows(self._reads.touched(pending)):
                continue
            before = self._rows
            rows = self._rerun()
            if before is None or rows.difference:
                return rows

    def failed(self) -> None:
        """What `next` returned was not shown: it is run again after the next change, whatever that is."""
        with self._lock:
            self._due = self._idle = True

    def _rerun(self) -> Rows[Any]:
        self._due = True
        try:
            rows = self._run()
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
        if self._table is None or touched.keys() != {self._table.name} or self._reads.times[self._table.name] != 1:
            return False
        keys = touched[self._table.name]
        return keys is not None and len(keys) <= MOST_CHECKED and keys.isdisjoint(self._known)

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

    def _columns(self) -> list[Any]:
        """The key, as an attribute of the class where the statement has one, which may be a part of its table."""
        assert isinstance(self._statement, Select)
        entity = self._statement.column_descriptions[0]["entity"]
        return [self._key if entity is None else inspect(entity).get_property_by_column(self._key).class_attribute]

    def _run(self) -> Rows[Any]:
        with self._sessions() as session:
            found = Reads()
            found.add(whole(self._given))
            with reading(session.connection(), found):
                keys, rows = self._fetch(session)
            session.expunge_all()
        if self._rows is None:
            self._refuse_unknown(found)
        self.runs += 1
        with self._lock:
            self._reads = found
        changed = self._keep_unchanged(keys, rows)
        differ = difference(self._keys, keys, rows, changed)
        self._keys, self._known = keys, frozenset(keys)
        self._rows = Rows.of(rows, differ)
        return self._rows

    def _keep_unchanged(self, keys: Sequence[Hashable], rows: list[Any]) -> list[int]:
        """Put the objects of before in the place of equal ones; the positions of those that changed."""
        old = dict(zip(self._keys, self._rows or (), strict=True))
        changed = []
        for position, key in enumerate(keys):
            if key in old:
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

    def _fetched(self, session: Session) -> tuple[list[Hashable], list[Any]]:
        statement = self._statement
        if self._key is None:
            result = self._executed(session, statement)
            rows: list[Any] = list(result.all() if self._as_rows(result) else result.scalars().all())
            return _told_apart(_key_of(row) for row in rows), rows
        with_keys = self._executed(session, self._with_key)
        frozen = with_keys.freeze()
        count = len(with_keys.keys()) - 1
        keys: list[Hashable] = [row[-1] for row in frozen()]
        rows = list(frozen().scalars().all() if count == 1 else frozen().columns(*range(count)).all())
        return keys, rows

    def _executed(self, session: Session, statement: Executable) -> Result[Any]:
        result: Result[Any] = session.execute(statement)
        return result.unique() if self._unique else result

    def _as_rows(self, result: Result[Any]) -> bool:
        return isinstance(self._statement, TextClause) or len(result.keys()) > 1


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
