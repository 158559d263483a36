"""Sessions of an application on an engine's store: what they write becomes changes of documents, in one commit.

A connection of ours goes through these states in a transaction: nothing begun; reading (`BEGIN`); writing, from the
first statement that may write: it borrows the right to write from the engine's writer thread, and begins on the newest
state. The engine's event `commit` turns the journal into changes on the same
connection, and commits rows and changes together.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from lichen import Document
from lichen.ids import DeviceKey, DocId, SpaceId
from lichen.ids import Session as WriterSession
from lichen.runtime.rows import WrittenDocument
from lichen.store import Store, following
from lichen.store.documents import get_document
from lichen.store.loan import Loan
from lichen.store.membership import holds_space
from lichen.wire.changeset import doc_id
from sqlalchemy import Connection, Table, event, inspect
from sqlalchemy import Engine as Database
from sqlalchemy.orm import DeclarativeBase, Mapper, Session, SessionTransaction, configure_mappers, object_mapper
from sqlalchemy.pool import PoolResetState

from lichen_adapters.orm import (
    associated,
    associations,
    driver,
    held,
    postgres_triggers,
    reads,
    search_index,
    unique_keys,
)
from lichen_adapters.orm.capture import Begun, Capture, Told
from lichen_adapters.orm.commits import LAST, commit_of
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.feed import Feed
from lichen_adapters.orm.handles import document_of, lies_in
from lichen_adapters.orm.journal import Journal
from lichen_adapters.orm.journal_postgres import PostgresJournal
from lichen_adapters.orm.journal_sqlite import SqliteJournal
from lichen_adapters.orm.memory import Memory
from lichen_adapters.orm.merges import AfterMerge, Merges
from lichen_adapters.orm.plan import Plan
from lichen_adapters.orm.projector import Projector
from lichen_adapters.orm.rebase import flushed, rebase
from lichen_adapters.orm.spaces import HandleOfSpace, id_of
from lichen_adapters.orm.synced import NEW_ID, OWNER, Synced, check_references
from lichen_adapters.orm.unique_keys import SPACE_OF
from lichen_adapters.orm.upserts import aimed
from lichen_adapters.orm.watching import Watch, WatchedFollower, watch_of

T = TypeVar("T")

WRITING = "lichen.writing"
"""Where a connection of ours has its state, in `Connection.info`."""
SESSIONS = "lichen.sessions"
"""Where a session has what made it, in `Session.info`."""
SPACE = "lichen.space"
"""Where a session has the space of what is added to it, in `Session.info`."""

TOGETHER = 500
"""Documents whose rows `prepare` brings up to date in one transaction."""
READERS = 4
"""Threads for live queries; they begin when they are needed."""

_READS = ("SELECT", "PRAGMA", "EXPLAIN", "VALUES")


@dataclass(slots=True)
class Writing:
    """What one connection does now."""

    watch: Watch
    journal: Journal
    begun: bool = False
    loan: Loan | None = None
    space: SpaceId | None = None
    told: Told = field(default_factory=Told)
    info: dict[Any, Any] = field(default_factory=dict)
    """What the session knows that writes, as in `Session.info`."""


class Host(Protocol):
    """What sessions need of an engine."""

    @property
    def device(self) -> DeviceKey:
        """This device."""

    @property
    def store(self) -> Store:
        """Where its documents are."""

    def expect_writer(self, session: WriterSession) -> None:
        """Another connection will write under this session."""

    async def document(self, doc: DocId) -> Document:
        """A document by its id."""

    def written_elsewhere(self, written: Sequence[WrittenDocument]) -> None:
        """Another connection has written changes into documents of the store."""


class Sessions:
    """Makes sessions: `with sessions(space) as session:` as a `sessionmaker` does.

    One for each engine and declarative base, for as long as the engine is open; close it before the engine.
    `database` is the SQLAlchemy engine below, for `Base.metadata.create_all(sessions.database)`; `feed` tells which
    rows have changed, and `readers` and `checkers` run live queries.
    """

    def __init__(self, engine: Host, base: type[DeclarativeBase]) -> None:
        configure_mappers()
        associations.refuse_undeclared(base.registry)
        for mapper in base.registry.mappers:
            check_references(mapper)
        self.plan = Plan(base.metadata)
        postgres_triggers.declare(base.metadata)
        self.memory = Memory(engine.device, engine.expect_writer)
        self.database: Database = engine.store.backend.session_engine()
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
        self.watch_over(self.database)

    def watch_over(self, database: Database) -> None:
        """Turn what the connections of this SQLAlchemy engine write into changes of documents."""
        for name in ("begin", "commit", "rollback"):
            event.listen(database, name, getattr(self, f"_{name}"))
        event.listen(database, "connect", self._connected)
        event.listen(database, "reset", self._reset)
        event.listen(database, "before_cursor_execute", self._before_statement)
        event.listen(database, "before_execute", self._before_execute, retval=True)
        event.listen(database, "begin_twophase", self._begin_twophase)
        event.listen(database, "handle_error", unique_keys.explain)
        for name in ("set_connection_execution_options", "set_engine_execution_options"):
            event.listen(database, name, self._set_options)
        event.listen(database, "checkin", self._checked_in)
        event.listen(database, "close", self._closed)

    def prepare(self, *, create: bool = True) -> None:
        """Create missing tables, unless the application does; bring rows up to date with their documents; and keep
        them so from now on. Blocking; sessions are refused before it.

        It goes through the documents that have changed since rows were last kept up to date, or through all where a
        table is new, or has changed; some at a time, and after a crash through those that are left. Raises
        `SessionMisuse` where tables in PostgreSQL lack the triggers that the application's migrations make.
        """
        self._refuse_closed()
        self._engine.store.write(self._begin_preparing).result()
        with self.database.begin() as conn:
            if create:
                self.metadata.create_all(conn)
            if conn.dialect.name == "postgresql":
                if create:
                    postgres_triggers.install(conn, self.metadata, self.plan)
                postgres_triggers.require(_dbapi(conn), self.metadata, self.plan)
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

    def write(self, work: Callable[[Connection], T]) -> T:
        """Write rows, not through a session, as merges do: live queries see it. Blocking."""

        def job(conn: Connection) -> T:
            if self.prepared:
                self._follower.begun(conn)
            return work(conn)

        return self._engine.store.write(job).result()

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
        """A session; what is added to it is of `space`. Options are those of `Session`."""
        session = Session(self.database, **options)
        self.admit(session, space)
        return session

    def admit(self, session: Session, space: HandleOfSpace | SpaceId | None) -> None:
        """Let a session work on an engine that is watched over. Raises `SessionMisuse`."""
        self._refuse_closed()
        if not self.prepared:
            raise SessionMisuse("rows are not up to date with documents yet", hint="call prepare() once, at the start")
        session.info[SESSIONS] = self
        session.info[SPACE] = None if space is None else id_of(space)
        event.listen(session, "after_begin", self._after_begin)
        event.listen(session, "before_flush", self._before_flush)
        event.listen(session, "after_flush", lambda session, _context: flushed(session))
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

    def _refuse_closed(self) -> None:
        if self.feed.closed:
            raise SessionMisuse(
                "these sessions are closed: rows are not kept up to date with documents any more",
                hint="make `Sessions(engine, Base)` anew, and call its prepare()",
            )

    def lock(self, conn: Connection) -> None:
        """Let a connection of a session write from now on, and see the newest state."""
        self._begin_writing(conn, conn.info[WRITING])

    def begin_documents(self, conn: Connection, nonces: Mapping[uuid.UUID, bytes]) -> None:
        """Let a session write rows whose ids were made before, by `id_from` with these nonces."""
        writing: Writing = conn.info[WRITING]
        assert writing.space is not None
        writing.told.begun.update({row: Begun(writing.space, nonce) for row, nonce in nonces.items()})

    def id_from(self, space: SpaceId, nonce: bytes) -> uuid.UUID:
        """The id of the document that this device begins in a space under a nonce of 16 random bytes."""
        return uuid.UUID(bytes=doc_id(space, self._engine.device, nonce))

    # Connections

    def _connected(self, dbapi: Any, record: Any) -> None:
        dialect = self.database.dialect
        sqlite = dialect.name == "sqlite"
        journal = SqliteJournal(self.plan) if sqlite else PostgresJournal(self.metadata, self.plan)
        journal.opened(dbapi)
        record.info[WRITING] = writing = Writing(watch_of(dialect, self.feed), journal)
        record.info[NEW_ID] = lambda table: self._new_id(writing, table)
        record.info[SPACE_OF] = lambda conn, table, values: self._space_of_new(writing, conn, table, values)

    def _new_id(self, writing: Writing, table: Table) -> uuid.UUID:
        if OWNER in table.info:
            return uuid.uuid4()
        if writing.space is None:
            raise self._no_space(table.name)
        nonce = os.urandom(16)
        made = self.id_from(writing.space, nonce)
        writing.told.begun[made] = Begun(writing.space, nonce)
        return made

    def _space_of_new(
        self, writing: Writing, conn: Connection, table: Table, values: Mapping[str, Any]
    ) -> SpaceId | None:
        owner = values.get(table.info.get(OWNER, ""))
        if not isinstance(owner, uuid.UUID):
            return None if OWNER in table.info else writing.space
        begun = writing.told.begun.get(owner)
        if begun is not None:
            return begun.space
        stored = get_document(conn, owner.bytes)
        return None if stored is None else SpaceId(stored.space)

    def _no_space(self, what: str) -> SessionMisuse:
        hint = "make the session with `sessions(space)`"
        return SessionMisuse(f"a new row of {what} was added to a session without a space", hint=hint)

    def _begin_twophase(self, _conn: Connection, _xid: Any) -> None:
        raise SessionMisuse(
            "synced tables cannot be in a two-phase transaction", hint="make the session without twophase=True"
        )

    def _set_options(self, _where: Connection | Database, options: dict[str, Any]) -> None:
        if "isolation_level" in options:
            raise SessionMisuse(
                "a session of synced tables keeps its isolation level: AUTOCOMMIT fires no commit",
                hint="leave isolation_level out; commit after each statement where that is wanted",
            )

    # Sessions

    def _after_begin(self, session: Session, _transaction: SessionTransaction, conn: Connection) -> None:
        conn.info[WRITING].space = session.info[SPACE]
        conn.info[WRITING].info = session.info

    def _before_flush(self, session: Session, _context: Any, _instances: Any) -> None:
        if session.info[SPACE] is None:
            for instance in session.new:
                table = object_mapper(instance).base_mapper.local_table
                if isinstance(instance, Synced) and isinstance(table, Table) and OWNER not in table.info:
                    raise self._no_space(type(instance).__name__)
        if session.dirty or session.deleted:
            conn = session.connection()
            self._begin_writing(conn, conn.info[WRITING])
            rebase(session, conn)
            associated.fit(session, conn)

    # Transactions

    def _begin(self, conn: Connection) -> None:
        conn.info[WRITING].begun = False

    def _before_execute(
        self, _conn: Connection, statement: Any, many: Any, parameters: Any, _options: Any
    ) -> tuple[Any, Any, Any]:
        return aimed(statement), many, parameters

    def _before_statement(
        self, conn: Connection, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        reads.note(conn, context.compiled)
        writing: Writing = conn.info[WRITING]
        if not statement.lstrip().upper().startswith(_READS):
            self._begin_writing(conn, writing)
        elif not writing.begun:
            _dbapi(conn).execute(self._engine.store.backend.begin_read)
            writing.begun = True

    def _begin_writing(self, conn: Connection, writing: Writing) -> None:
        dbapi = _dbapi(conn)
        if writing.loan is None:
            self._borrow(dbapi, writing)
            if writing.begun:
                dbapi.execute("COMMIT")  # it has only read, perhaps an old state
            backend = self._engine.store.backend
            try:
                writing.journal.begin(dbapi, backend.begin_write)
            except Exception as error:
                raise backend.failure(error).error from error
            writing.begun = True
            writing.watch.begun(dbapi)
            if writing.space is not None and not holds_space(conn, writing.space):
                self._roll_back(writing, dbapi)
                hint = "make the session with a space of `engine.spaces`"
                raise SessionMisuse(f"space {writing.space.hex()[:12]} is not on this device", hint=hint)
        writing.journal.watch(dbapi)

    def _borrow(self, dbapi: Any, writing: Writing) -> None:
        self._refuse_closed()
        loan = self._engine.store.borrow(driver.borrower())
        try:
            driver.wait_for(dbapi, loan)
            self._refuse_closed()
        except BaseException:
            loan.give_back()
            raise
        writing.loan = loan

    def _commit(self, conn: Connection) -> None:
        writing: Writing = conn.info[WRITING]
        if writing.loan is None:
            return
        writing.loan.check()
        dbapi = _dbapi(conn)
        touched = writing.journal.take(dbapi)
        written: list[WrittenDocument] = []
        if touched:
            now_ms = int(time.time() * 1000)
            written = Capture(conn, self.memory, self.projector, writing.told, now_ms).write(touched)
            writing.journal.forget(dbapi)  # what that has written is in the documents
        seen = writing.watch.take(dbapi)
        cancelled = driver.commit(conn)
        if written:
            self._engine.written_elsewhere(written)
            writing.info[LAST] = commit_of(written)
        self._ended(writing, committed=True)
        writing.watch.committed(seen, merged=False)
        if cancelled is not None:
            raise cancelled

    def _rollback(self, conn: Connection) -> None:
        if not conn.invalidated:  # as that of a cancelled task; then it was closed
            self._roll_back(conn.info[WRITING], _dbapi(conn))

    def _reset(self, dbapi: Any, record: Any, state: PoolResetState) -> None:
        if state.asyncio_safe:
            self._roll_back(record.info[WRITING], dbapi)
        else:  # it was lost, and is closed
            self._ended(record.info[WRITING], committed=False)

    def _checked_in(self, _dbapi: Any, record: Any) -> None:
        if self.feed.closed and not record.in_use and self.database.dialect.name != "sqlite":
            record.invalidate()  # a session has outlived these: nobody else would close its connection

    def _closed(self, _dbapi: Any, record: Any) -> None:
        if WRITING in record.info:  # what closes rolls back by itself
            self._ended(record.info[WRITING], committed=False)

    def _roll_back(self, writing: Writing, dbapi: Any) -> None:
        try:
            cancelled = driver.roll_back(dbapi)
        finally:
            self._ended(writing, committed=False)
        if cancelled is not None:
            raise cancelled

    def _ended(self, writing: Writing, *, committed: bool) -> None:
        loan, writing.loan = writing.loan, None
        writing.begun = False
        writing.told, writing.info = Told(), {}
        if not committed:
            writing.journal.rolled_back()
        if loan is not None:
            if not committed:
                writing.watch.rolled_back()
            self.projector.ended(committed=committed)
            loan.give_back()


def _dbapi(conn: Connection) -> Any:
    return conn.connection.dbapi_connection


def _has_table(mapper: Mapper[Any]) -> bool:
    """Whether a class is the first one that is mapped to its table."""
    return mapper.inherits is None or mapper.inherits.local_table is not mapper.local_table
