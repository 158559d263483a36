"""Sessions of an application on an engine's store, and what brings its rows up to date with documents."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from lichen import Document
from lichen.ids import DocId, SpaceId
from lichen.store import Store, following
from sqlalchemy import Connection, inspect
from sqlalchemy import Engine as Database
from sqlalchemy.orm import DeclarativeBase, Mapper, Session, configure_mappers

from lichen_adapters.orm import (
    associations,
    held,
    postgres_triggers,
    search_index,
    tables,
    tracking,
)
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.feed import Feed
from lichen_adapters.orm.handles import document_of, lies_in
from lichen_adapters.orm.host import Host, refuse_blocking
from lichen_adapters.orm.memory import Memory
from lichen_adapters.orm.merges import AfterMerge, Merges
from lichen_adapters.orm.plan import Plan
from lichen_adapters.orm.projector import Projector
from lichen_adapters.orm.shapes import note_shapes
from lichen_adapters.orm.spaces import HandleOfSpace, id_of
from lichen_adapters.orm.synced import SESSIONS, check_references
from lichen_adapters.orm.transactions import SPACE, Transactions
from lichen_adapters.orm.watching import WatchedFollower

T = TypeVar("T")

TOGETHER = 500
"""Documents whose rows `prepare` brings up to date in one transaction."""
READERS = 4
"""Threads for live queries; they begin when they are needed."""


class Sessions:
    """Makes sessions: `with sessions(space) as session:` as a `sessionmaker` does.

    One for each engine and declarative base, for as long as the engine is open; close it before the engine.
    `database` is the SQLAlchemy engine below, for `Base.metadata.create_all(sessions.database)`; `feed` tells which
    rows have changed, and `readers` and `checkers` run live queries.
    """

    def __init__(self, engine: Host, base: type[DeclarativeBase]) -> None:
        refuse_blocking(engine)
        configure_mappers()
        associations.refuse_undeclared(base.registry)
        for mapper in base.registry.mappers:
            check_references(mapper)
        tracking.remember(base.registry)
        note_shapes(base.registry)
        self.database: Database = engine.store.backend.session_engine()
        self.plan = Plan(base.metadata, self.database.dialect)
        postgres_triggers.declare(base.metadata)
        self.memory = Memory(engine.device, engine.expect_writer)
        self._engine = engine
        self.prepared = False
        """Rows are up to date with documents, and sessions can be made."""
        self.projector = Projector(self.plan, self.memory)
        self.feed = Feed(base.metadata)
        self.merges = Merges(self.feed)
        self.readers = ThreadPoolExecutor(READERS, "lichen live")
        self.checkers = ThreadPoolExecutor(1, "lichen live check")
        self._follower = WatchedFollower(self.projector, self.feed)
        self.classes = {mapper.local_table: mapper.class_ for mapper in base.registry.mappers if _has_table(mapper)}
        self.metadata = base.metadata
        self._unfollow: Callable[[], None] | None = None
        self.transactions = Transactions(engine, base.metadata, self.memory, self.projector, self.feed)
        """What sessions do on connections of `database`."""
        self.transactions.watch_over(self.database)

    def prepare(self, *, create: bool = True) -> None:
        """Create missing tables, unless the application does; bring rows up to date with their documents; and keep
        them so from now on. Blocking; sessions are refused before it.

        It goes through the documents that have changed since rows were last kept up to date, or through all where a
        table is new, or has changed; some at a time, and after a crash through those that are left. Raises
        `SessionMisuse` where tables lack columns, or in PostgreSQL triggers, that the application's migrations make.
        """
        self.transactions.refuse_closed()
        self._engine.store.write(self._begin_preparing).result()
        with self.database.begin() as conn:
            if create:
                self.metadata.create_all(conn)
            tables.require(conn, [planned.table for planned in self.plan])
            if conn.dialect.name == "postgresql":
                if create:
                    postgres_triggers.install(conn, self.metadata, self.plan)
                postgres_triggers.require(conn.connection.dbapi_connection, self.metadata, self.plan)
            held.metadata.create_all(conn)
            search_index.install(conn, [planned.table for planned in self.plan])
        self._engine.store.write(self._follow).result()
        while self._engine.store.write(self._catch_up).result():
            pass
        self.prepared = True

    @property
    def store(self) -> Store:
        """Where rows and documents are."""
        return self._engine.store

    def write_from_documents(self, work: Callable[[Connection], T]) -> T:
        """Write rows as their documents have them, as merges do: live queries see it. Blocking.

        Not for applications: what is written so comes into no document.
        """

        def job(conn: Connection) -> T:
            if self.prepared:
                self._follower.begun(conn)
            return work(conn)

        self._engine.store.refuse_borrower(blocking=True)
        return self._engine.store.write_in_time(job).result()

    def _begin_preparing(self, conn: Connection) -> None:
        """Where a synced table, or one of ours, is not there yet, all documents are gone through: after a crash too."""
        if self._unfollow is None:
            self._engine.store.refuse_follower()
        if not {*self.plan.tables, *held.metadata.tables} <= {*inspect(conn).get_table_names()}:
            following.forget(conn)

    def _follow(self, conn: Connection) -> None:
        if self._unfollow is None:
            self._unfollow = self._engine.store.follow(self._follower)
        self.projector.forget_strangers(conn)
        following.set_out(conn, self.plan.mark(conn.dialect))

    def _catch_up(self, conn: Connection) -> bool:
        """Bring the rows of some documents up to date; whether there may be more. A crash loses only this."""
        self._follower.begun(conn)
        docs = following.behind(conn, TOGETHER)
        gone = [doc for doc in docs if not self.projector.rebuild(conn, uuid.UUID(bytes=doc))]
        self.projector.gone(conn, gone, keeping=True)
        following.caught_up(conn, docs)
        self.projector.before_commit(conn)
        if len(docs) == TOGETHER:
            self.memory.let_go()
        return len(docs) == TOGETHER

    def __call__(self, space: HandleOfSpace | SpaceId | None = None, **options: Any) -> Session:
        """A session; what is added to it is of `space`. Options are those of `Session`.

        Its `bind` may be a connection of `database` whose transaction the caller ends.
        """
        session = Session(**{"bind": self.database, **options})
        self.admit(session, space)
        return session

    def admit(self, session: Session, space: HandleOfSpace | SpaceId | None) -> None:
        """Let a session work on an engine that is watched over. Raises `SessionMisuse`."""
        self.transactions.refuse_closed()
        if not self.prepared:
            raise SessionMisuse("rows are not up to date with documents yet", hint="call prepare() once, at the start")
        session.info[SESSIONS] = self
        session.info[SPACE] = None if space is None else id_of(space)
        self.transactions.watch_session(session)
        self.merges.add(session)

    async def document(self, instance: Any) -> Document:  # Any: an object of any synced class
        """The engine's handle of the document in which an object's row lies: its editors, presence and events.

        What has not been committed is not in it. Raises `SessionMisuse` for an object that has not been flushed.
        """
        found = await asyncio.to_thread(document_of, self.database, *lies_in(self.plan, instance))
        return await self._engine.document(DocId(found.bytes))

    def after_merge(self, callback: AfterMerge) -> Callable[[], None]:
        """Call `callback(session, merged)` when a merge has changed rows of objects in an open session.

        It names the objects and their attributes, for sessions that are made from now on, and comes between units of
        work: at the end of the session's transaction, or soon where it is in none and was made on an event loop.
        Returns what ends that.
        """
        return self.merges.listen(callback)

    @contextmanager
    def begin(self, space: HandleOfSpace | SpaceId | None = None) -> Iterator[Session]:
        """A session that commits at the end of the block, and rolls back after an exception."""
        with self(space) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close every connection, and end live queries; idempotent.

        Sessions that were made here can still read. One that has written can commit; another that writes raises
        `SessionMisuse`.
        """
        unfollow, self._unfollow = self._unfollow, None
        if unfollow is not None:
            unfollow()
        self.feed.close()
        self.readers.shutdown()
        self.checkers.shutdown()
        self.database.dispose()


def _has_table(mapper: Mapper[Any]) -> bool:
    """Whether a class is the first one that is mapped to its table."""
    return mapper.inherits is None or mapper.inherits.local_table is not mapper.local_table
