"""Transactions of connections to an engine's store: what they write becomes changes of documents, in one commit.

A connection of ours goes through these states in a transaction: nothing begun; reading (`BEGIN`); writing, from the
first statement that may write: it borrows the right to write from the engine's writer thread, and begins on the newest
state. The engine's event `commit` turns the journal into changes on the same connection, and commits rows and changes
together.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from lichen.errors import StoreLocked
from lichen.ids import SpaceId
from lichen.runtime.rows import WrittenDocument
from lichen.runtime.unsealed_rows import UnsealedDocument, load_unsealed
from lichen.store.documents import get_document
from lichen.store.loan import Loan
from lichen.store.membership import holds_space
from lichen.wire.changeset import doc_id
from sqlalchemy import CompoundSelect, Connection, Dialect, MetaData, Select, Table, UpdateBase, event
from sqlalchemy import Engine as Database
from sqlalchemy.engine.interfaces import Compiled
from sqlalchemy.orm import Session, SessionTransaction, object_mapper
from sqlalchemy.pool import PoolResetState

from lichen_adapters.orm import associated, broken_off, driver, frozen, plain_sql, reads, selected_rows, unique_keys
from lichen_adapters.orm.capture import Begun, Capture, Told
from lichen_adapters.orm.commits import LAST, commit_of
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.feed import Feed
from lichen_adapters.orm.host import Host
from lichen_adapters.orm.journal import Touched
from lichen_adapters.orm.journal_postgres import PostgresJournal
from lichen_adapters.orm.journal_sqlite import SqliteJournal
from lichen_adapters.orm.memory import Memory
from lichen_adapters.orm.plan import SyncedTable
from lichen_adapters.orm.projector import Projector
from lichen_adapters.orm.reads import is_textual
from lichen_adapters.orm.rebase import flushed, rebase
from lichen_adapters.orm.synced import NEW_ID, OWNER, Synced
from lichen_adapters.orm.unique_keys import SPACE_OF
from lichen_adapters.orm.unused_ids import UnusedIds
from lichen_adapters.orm.upserts import aimed
from lichen_adapters.orm.watching import watch_of
from lichen_adapters.orm.writing import Writing, used_at_once

WRITING = "lichen.writing"
"""Where a connection of ours has its state, in `Connection.info`."""
UNSEALED = 2
"""Of so many documents a session reads what they have unsealed; the engine does of many, all at once."""
SPACE = "lichen.space"
"""Where a session has the space of what is added to it, in `Session.info`."""


class Transactions:
    """Those of the sessions of one engine and declarative base, and how they write documents."""

    def __init__(self, engine: Host, metadata: MetaData, memory: Memory, projector: Projector, feed: Feed) -> None:
        self._engine = engine
        self._metadata = metadata
        self._memory = memory
        self._projector = projector
        self._feed = feed
        self._unused = UnusedIds()
        self._alone: dict[int, Writing] = {}
        """What connections do that were detached from their pool, by their ids in this process."""
        self._begun: WeakKeyDictionary[Connection, Writing] = WeakKeyDictionary()
        """What was last begun on each, to be ended also where its connection of the driver is lost."""

    def watch_over(self, database: Database) -> None:
        """Turn what the connections of this SQLAlchemy engine write into changes of documents."""
        for name in ("begin", "commit", "rollback"):
            event.listen(database, name, getattr(self, f"_{name}"))
        event.listen(database, "connect", partial(self._connected, database.dialect))
        event.listen(database, "checkout", self._checked_out)
        event.listen(database, "reset", self._reset)
        event.listen(database, "before_cursor_execute", self._before_statement)
        event.listen(database, "before_execute", self._before_execute, retval=True)
        if database.dialect.name == "postgresql":
            event.listen(database, "do_execute", plain_sql.execute_one)
            event.listen(database, "do_execute_no_params", plain_sql.execute_one_plain)
        event.listen(database, "begin_twophase", self._begin_twophase)
        event.listen(database, "handle_error", unique_keys.explain)
        event.listen(database, "handle_error", broken_off.explain_parts)
        for name in ("set_connection_execution_options", "set_engine_execution_options"):
            event.listen(database, name, self._set_options)
        event.listen(database, "checkin", self._checked_in)
        event.listen(database, "close", self._closed)
        event.listen(database, "detach", self._detached)
        event.listen(database, "close_detached", self._closed_alone)

    def watch_session(self, session: Session) -> None:
        """Let a session on such connections keep the rules of synced tables."""
        event.listen(session, "after_begin", self._after_begin)
        event.listen(session, "before_flush", self._before_flush)
        event.listen(session, "before_attach", frozen.refuse)
        event.listen(session, "after_flush", lambda session, _context: flushed(session))

    def refuse_closed(self) -> None:
        """Raises `SessionMisuse` when they are."""
        self._feed.refuse_closed()

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

    def _connected(self, dialect: Dialect, dbapi: Any, record: Any) -> None:
        plan = self._projector.plan
        journal = SqliteJournal(plan) if dialect.name == "sqlite" else PostgresJournal(self._metadata, plan)
        journal.opened(dbapi)
        record.info[WRITING] = writing = Writing(watch_of(dialect, self._feed), journal)
        record.info[NEW_ID] = lambda table: self._new_id(writing, table)
        record.info[SPACE_OF] = partial(self._space_of_new, writing)

    def _new_id(self, writing: Writing, table: Table) -> uuid.UUID:
        self._projector.plan.require(table)
        if OWNER in table.info:
            return uuid.uuid4()
        if writing.space is None:
            raise self._no_space(table.name)
        nonce = os.urandom(16)
        made = self.id_from(writing.space, nonce)
        writing.told.begun[made] = Begun(writing.space, nonce)
        return made

    def _space_of_new(
        self, writing: Writing, conn: Connection, table: Table, value_of: Callable[[str], Any]
    ) -> SpaceId | None:
        if OWNER not in table.info:
            return writing.space
        owner = value_of(table.info[OWNER])
        if not isinstance(owner, uuid.UUID):
            return None
        begun = writing.told.begun.get(owner) or self._unused.of(owner)
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
        writing: Writing | None = conn.info.get(WRITING)
        if writing is not None:  # not a connection to another database, to which `binds` leads
            writing.space, writing.info = session.info[SPACE], session.info

    def _before_flush(self, session: Session, _context: Any, _instances: Any) -> None:
        if session.info[SPACE] is None:
            for instance in session.new:
                table = object_mapper(instance).base_mapper.local_table
                if isinstance(instance, Synced) and isinstance(table, Table) and OWNER not in table.info:
                    raise self._no_space(type(instance).__name__)
        if session.dirty or session.deleted:
            conn = session.connection()
            writing: Writing | None = conn.info.get(WRITING)
            if writing is not None:  # not a connection to another database, which takes no synced rows
                self._begin_writing(conn, writing)
                rebase(session, conn)
                associated.fit(session, conn)

    # Transactions

    def _begin(self, conn: Connection) -> None:
        writing: Writing = conn.info[WRITING]
        writing.begun = writing.over = False
        writing.journal.guard(_dbapi(conn))
        self._begun[conn] = writing

    def _checked_out(self, dbapi: Any, record: Any, _proxy: Any) -> None:
        record.info[WRITING].journal.guard(dbapi)

    def _before_execute(
        self, conn: Connection, statement: Any, many: Any, parameters: Any, _options: Any
    ) -> tuple[Any, Any, Any]:
        if selected_rows.selects(statement):
            if not conn.in_transaction():
                conn.begin()
            self.lock(conn)
            statement = selected_rows.with_ids(conn, statement, many, parameters)
        return aimed(statement), many, parameters

    def _before_statement(
        self, conn: Connection, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        reads.note(conn, context.compiled)
        selected_rows.refuse_inside(context.compiled)
        if not isinstance(getattr(context.compiled, "statement", None), Select | CompoundSelect | UpdateBase):
            plain_sql.refuse(statement, conn.dialect.name)
        writing: Writing = conn.info[WRITING]
        if writing.over:
            raise SessionMisuse(
                "a transaction of rows is committed already: nothing more can be written with it",
                hint="let a listener of the session's event `before_commit` write it",
            )
        if writing.loan is not None:
            writing.loan.follow()
            with writing.beginning():
                broken_off.refuse_ended(writing.journal, _dbapi(conn))
        reads_only = plain_sql.reads(statement) or _reads(context.compiled)
        if not reads_only or _locks(context.compiled) or plain_sql.acts(statement):
            self._begin_writing(conn, writing)
        elif not writing.begun:
            with writing.beginning():
                _dbapi(conn).execute(self._engine.store.backend.begin_read)
            writing.begun = True

    def _begin_writing(self, conn: Connection, writing: Writing) -> None:
        if writing.loan is None:
            self._projector.plan.refuse_late(self._metadata)
            with writing.beginning():
                self._begin_new(conn, writing)
            writing.begun = True
            writing.watch.begun(_dbapi(conn))
            self._refuse_left(conn, writing)
        writing.journal.watch(_dbapi(conn))

    def _begin_new(self, conn: Connection, writing: Writing) -> None:
        dbapi = _dbapi(conn)
        self._borrow(dbapi, writing)
        if writing.begun:
            dbapi.execute("COMMIT")  # it has only read, perhaps an old state
        backend = self._engine.store.backend
        try:
            writing.journal.begin(dbapi, backend.begin_write)
        except Exception as error:
            failure = backend.failure(error).error
            sqlite = conn.dialect.name == "sqlite"
            if sqlite and isinstance(failure, StoreLocked) and writing.begun:  # no other program has the file
                failure = broken_off.reads_in_parts()
            raise failure from error

    def _refuse_left(self, conn: Connection, writing: Writing) -> None:
        space = writing.space
        if space is not None and not holds_space(conn, space):
            self._roll_back(writing, _dbapi(conn))
            writing.journal.guard(_dbapi(conn))
            writing.space = space  # so that it is refused again
            hint = "make the session with a space of `engine.spaces`"
            raise SessionMisuse(f"space {space.hex()[:12]} is not on this device", hint=hint)

    def _borrow(self, dbapi: Any, writing: Writing) -> None:
        self.refuse_closed()
        writing.asked = loan = self._engine.store.borrow(driver.borrower(), blocking=driver.blocks(dbapi))
        try:
            driver.wait_for(dbapi, loan)
            self.refuse_closed()
        except BaseException:
            loan.give_back()
            raise
        if writing.asked is not loan:
            raise used_at_once()
        writing.loan, writing.asked = loan, None

    def _commit(self, conn: Connection) -> None:
        writing: Writing = conn.info[WRITING]
        if writing.loan is not None:
            self._write(conn, writing, writing.loan)
        writing.over = True
        writing.journal.guard(_dbapi(conn))

    def _write(self, conn: Connection, writing: Writing, loan: Loan) -> None:
        """Write what the transaction has touched into documents, and commit all of it."""
        loan.check()
        dbapi = _dbapi(conn)
        broken_off.refuse_ended(writing.journal, dbapi)
        with driver.wrapping(conn, "COMMIT"):
            touched = writing.journal.take(dbapi)
        written: list[WrittenDocument] = []
        if touched:
            self._begin_again(writing, touched)
            now_ms = int(time.time() * 1000)
            written = Capture(conn, self._memory, self._projector, writing.told, now_ms).write(touched)
            writing.journal.forget(dbapi)  # what that has written is in the documents
        unsealed = _unsealed(conn, written)
        seen = writing.watch.take(dbapi)
        cancelled = driver.commit(conn)
        if written:
            self._engine.written_elsewhere(written, unsealed)
            writing.info[LAST] = commit_of(written)
        self._ended(writing, committed=True)
        writing.watch.committed(seen, merged=False)
        if cancelled is not None:
            raise cancelled

    def _begin_again(self, writing: Writing, touched: Mapping[SyncedTable, Touched]) -> None:
        """Rows that were rolled back, and are there again, begin their documents as they were to."""
        for planned, what in touched.items():
            for row in what.keys if planned.owner is None else ():
                begun = self._unused.of(row)
                if begun is not None and begun.space == writing.space:
                    writing.told.begun.setdefault(row, begun)

    def _rollback(self, conn: Connection) -> None:
        if conn.closed:  # by another task, which has rolled back
            return
        if conn.invalidated:  # as that of a cancelled task; then it was closed, or, if detached, let go
            self._begun[conn].refuse()
            self._ended(self._begun[conn], committed=False)
            return
        writing: Writing = conn.info[WRITING]
        try:
            self._roll_back(writing, _dbapi(conn))
        except Exception as error:
            if not conn.dialect.is_disconnect(error, _dbapi(conn), None):  # type: ignore[arg-type]  # it asks of any error whose it is
                raise
            conn.invalidate()  # it is rolled back; why it is lost was told to who used it last
        else:
            writing.journal.guard(_dbapi(conn))

    def _reset(self, dbapi: Any, record: Any, state: PoolResetState) -> None:
        writing = self._alone[id(dbapi)] if record is None else record.info[WRITING]
        if state.asyncio_safe:
            self._roll_back(writing, dbapi)
        else:  # it was lost, and is closed
            writing.refuse()
            self._ended(writing, committed=False)

    def _checked_in(self, _dbapi: Any, record: Any) -> None:
        if self._feed.closed and not record.in_use and isinstance(record.info[WRITING].journal, PostgresJournal):
            record.invalidate()  # a session has outlived these: nobody else would close its connection

    def _detached(self, dbapi: Any, record: Any) -> None:
        self._alone[id(dbapi)] = record.info[WRITING]

    def _closed_alone(self, dbapi: Any) -> None:
        self._ended(self._alone.pop(id(dbapi)), committed=False)

    def _closed(self, _dbapi: Any, record: Any) -> None:
        if WRITING in record.info:  # what closes rolls back by itself
            self._ended(record.info[WRITING], committed=False)

    def _roll_back(self, writing: Writing, dbapi: Any) -> None:
        try:
            cancelled = driver.roll_back(dbapi, writing.refuse())
        finally:
            self._ended(writing, committed=False)
        if cancelled is not None:
            raise cancelled

    def _ended(self, writing: Writing, *, committed: bool) -> None:
        loan, writing.loan = writing.loan, None
        writing.begun = False
        told, writing.told, writing.info = writing.told, Told(), {}
        writing.space = None
        if loan is not None:
            if not committed:
                writing.journal.rolled_back()
                writing.watch.rolled_back()
                self._unused.keep(told.begun)
            else:
                self._unused.forget(told.begun)
            self._projector.ended(committed=committed)
            loan.give_back()


def _unsealed(conn: Connection, written: Sequence[WrittenDocument]) -> list[UnsealedDocument]:
    """What it takes to seal them, where that is soon read here: it spares the engine a transaction."""
    if not written or len(written) > UNSEALED or not driver.blocks(_dbapi(conn)):
        return []
    return load_unsealed(conn, [one.doc for one in written])


def _locks(compiled: Compiled | None) -> bool:
    """Whether a statement is a `select` that locks what it reads, for the writes that follow it."""
    statement = None if compiled is None else compiled.statement
    # SQLAlchemy has no public way to ask a statement for this.
    return getattr(statement, "_for_update_arg", None) is not None


def _reads(compiled: Compiled | None) -> bool:
    """Whether a statement that begins otherwise is a `select`, of which no common table expression writes."""
    statement = None if compiled is None else compiled.statement
    if not isinstance(statement, Select | CompoundSelect) or is_textual(statement):
        return False
    return not any(one.element.is_dml for one in getattr(compiled, "ctes", None) or ())


def _dbapi(conn: Connection) -> Any:
    return conn.connection.dbapi_connection
