"""A store in PostgreSQL: one process has it, what it seals tells nothing, and what a server does to it is told."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from lichen.errors import ConfigError, StoreDamaged, StoreError, StoreFull, StoreLocked, StoreReadOnly
from lichen.runtime.unlock import open_store
from lichen.store import Store, documents, membership, node
from lichen.store.failure import Scope
from lichen.store.migrate import migrate, upgrade
from lichen.store.postgres import PostgresDatabase
from lichen.store.schema import metadata
from sqlalchemy import Connection, create_engine, make_url

WRITER = Path(__file__).parent / "writer.py"
DOC, SPACE, SESSION = b"d" * 16, b"s" * 32, b"n" * 16
Opened = Callable[[], Store]


@pytest.fixture
def plain(postgres_url: str) -> Iterator[Connection]:
    """A connection to the same database that is not the store's."""
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        yield conn
    engine.dispose()


def end_others(conn: Connection) -> None:
    """Have the server end every other connection."""
    there = "datname = current_database() AND pid <> pg_backend_pid()"
    conn.exec_driver_sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {there}")


def put(store: Store, value: bytes) -> None:
    store.write(lambda conn: node.set_meta(conn, "value", value)).result(9)


def get(store: Store) -> bytes | None:
    return store.read(lambda conn: node.get_meta(conn, "value")).result(9)


def test_it_is_there_when_it_is_opened_again_beside_tables_of_an_application(
    on_postgres: Opened, plain: Connection
) -> None:
    plain.exec_driver_sql("CREATE TABLE note (id int)")
    store = on_postgres()
    put(store, b"hello")
    store.close()
    assert get(on_postgres()) == b"hello"


def test_a_second_process_is_told_who_has_the_store(on_postgres: Opened) -> None:
    store = on_postgres()
    with pytest.raises(StoreLocked, match=r"in use by lichen \d+"):
        on_postgres()
    store.close()
    on_postgres()


def test_who_has_lost_the_store_to_another_process_writes_no_more(on_postgres: Opened, plain: Connection) -> None:
    store = on_postgres()
    put(store, b"mine")
    end_others(plain)
    other = on_postgres()
    put(other, b"theirs")
    with pytest.raises(StoreError, match="cannot be reached"):
        put(store, b"mine again")
    with pytest.raises(StoreLocked, match="another process has opened this store"):
        put(store, b"mine again")
    assert get(other) == b"theirs"


def test_a_lost_connection_fails_what_waits_and_is_made_anew(on_postgres: Opened, plain: Connection) -> None:
    store = on_postgres()
    end_others(plain)
    for work in (lambda: put(store, b"lost"), lambda: get(store)):
        with pytest.raises(StoreError, match="cannot be reached"):
            work()
    put(store, b"kept")
    assert get(store) == b"kept"


def test_a_group_with_a_job_that_fails_keeps_the_others(on_postgres: Opened) -> None:
    store = on_postgres()
    go_on = threading.Event()
    store.write(lambda _: go_on.wait(9))
    good = store.write(lambda conn: node.set_meta(conn, "value", b"good"))  # these come as one group
    bad = store.write(lambda conn: conn.exec_driver_sql("SELECT 1 / 0"))
    go_on.set()
    good.result(9)
    with pytest.raises(StoreError, match="division by zero"):
        bad.result(9)
    assert get(store) == b"good"


def test_a_reader_sees_one_state_and_writes_nothing(on_postgres: Opened, plain: Connection) -> None:
    store = on_postgres()
    put(store, b"before")

    def job(conn: Connection) -> tuple[Any, Any]:
        first = node.get_meta(conn, "value")
        plain.exec_driver_sql("DELETE FROM lichen_meta")
        return first, node.get_meta(conn, "value")

    assert store.read(job).result(9) == (b"before", b"before")
    with pytest.raises(StoreReadOnly):
        store.read(lambda conn: node.set_meta(conn, "value", b"read")).result(9)


def test_content_and_secrets_are_sealed(on_postgres: Opened, plain: Connection) -> None:
    store = on_postgres()
    words = [b"the content of a note", b"its heads", b"its snapshot", b"an epoch key", b"a last hash", b"a private key"]

    def job(conn: Connection) -> None:
        node.set_meta(conn, "identity", words[5])
        node.add_address(conn, "wss://relay/?token=secret")
        node.add_address(conn, "wss://relay/?token=secret")
        membership.add_epoch_key(conn, SPACE, b"e" * 16, words[3])
        documents.create_documents(conn, [DOC], SPACE, 0)
        documents.append_unsealed(conn, [documents.UnsealedRow(DOC, SESSION, words[0])])
        documents.set_heads(conn, DOC, words[1], "the title", 0)
        documents.replace_snapshot(conn, DOC, words[2], 0)

    store.write(job).result(9)
    tables = plain.exec_driver_sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    seen = b""
    for table in tables.scalars().all():
        for row in plain.exec_driver_sql(f"SELECT * FROM {table}").all():
            seen += b"|".join(bytes(one) if isinstance(one, bytes) else str(one).encode() for one in row)
    assert [word for word in (*words, b"the title", b"secret") if word in seen] == []
    assert store.read(node.list_addresses).result(9) == ["wss://relay/?token=secret"]
    assert store.read(lambda conn: membership.load_epoch_keys(conn, SPACE)).result(9) == {b"e" * 16: words[3]}
    assert store.read(lambda conn: documents.load_tails(conn, [DOC])).result(9) == {DOC: (words[2], [words[0]])}
    stored = store.read(lambda conn: documents.get_document(conn, DOC)).result(9)
    assert stored is not None
    assert stored.title == "the title"


def test_a_value_that_was_moved_to_another_column_or_changed_does_not_open(
    on_postgres: Opened, plain: Connection
) -> None:
    store = on_postgres()
    put(store, b"value")
    sealed = plain.exec_driver_sql("SELECT value FROM lichen_meta").scalar_one()
    plain.exec_driver_sql("INSERT INTO lichen_epoch_keys VALUES (%s, %s, %s)", (SPACE, b"e", sealed))
    with pytest.raises(StoreDamaged, match="lichen_epoch_keys"):
        store.read(lambda conn: membership.load_epoch_keys(conn, SPACE)).result(9)
    plain.exec_driver_sql("UPDATE lichen_meta SET value = %s", (sealed[:-1] + bytes([sealed[-1] ^ 1]),))
    with pytest.raises(StoreDamaged, match="lichen_meta"):
        get(store)


def test_the_migrations_make_what_the_tables_say(plain: Connection) -> None:
    upgrade(plain, None)
    options = {
        "compare_type": True,
        "version_table": "lichen_version",
        "include_name": lambda name, kind, _: kind != "table" or name in metadata.tables,
    }
    assert compare_metadata(MigrationContext.configure(plain, opts=options), metadata) == []


def test_a_schema_of_a_newer_version_is_refused(on_postgres: Opened, plain: Connection) -> None:
    on_postgres().close()
    plain.exec_driver_sql("UPDATE lichen_version SET version_num = '9999'")
    with pytest.raises(StoreDamaged, match="9999"):
        migrate(plain)
    with pytest.raises(StoreDamaged, match="9999"):
        on_postgres()


@pytest.mark.parametrize(
    ("error", "told", "scope"),
    [
        (psycopg.errors.DiskFull, StoreFull, Scope.STORE),
        (psycopg.errors.TooManyConnections, StoreError, Scope.STORE),
        (psycopg.errors.ReadOnlySqlTransaction, StoreReadOnly, Scope.STORE),
        (psycopg.errors.InsufficientPrivilege, StoreReadOnly, Scope.JOB),
        (psycopg.errors.LockNotAvailable, StoreLocked, Scope.STORE),
        (psycopg.errors.DataCorrupted, StoreDamaged, Scope.JOB),
        (psycopg.errors.AdminShutdown, StoreError, Scope.LOST),
        (psycopg.OperationalError, StoreError, Scope.LOST),
        (psycopg.errors.QueryCanceled, StoreError, Scope.JOB),
        (psycopg.errors.UniqueViolation, StoreError, Scope.JOB),
        (ValueError, ValueError, Scope.JOB),
    ],
)
def test_what_the_server_says_is_told_by_type(
    on_postgres: Opened, error: type[Exception], told: type[Exception], scope: Scope
) -> None:
    failure = on_postgres().backend.failure(error("as it says"))
    assert type(failure.error) is told
    assert failure.scope is scope


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be reached") as told:
        PostgresDatabase(make_url(f"postgresql://user:secret@/db?host={tmp_path}"), lambda _: (bytes(32), b""))
    assert "secret" not in str(told.value)


def test_a_durability_that_is_none_is_refused(postgres_url: str) -> None:
    with pytest.raises(ConfigError, match="durability"):
        PostgresDatabase(make_url(postgres_url), lambda _: (bytes(32), b""), "disk")  # type: ignore[arg-type]  # it is refused


def test_kill_9_loses_nothing_that_was_acknowledged(postgres_url: str) -> None:
    newest = 0
    for lines in (1, 700, 1_300):
        with subprocess.Popen([sys.executable, str(WRITER), postgres_url, "process"], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"opening\n"
            for _ in range(lines):
                int(writer.stdout.readline())
            writer.kill()
            rest = writer.stdout.read().split(b"\n")[:-1]
        store = open_store(postgres_url, passphrase="kill", create=False, clear_rows=True)
        row = store.read(lambda conn: documents.get_document(conn, DOC)).result(9)
        snapshot, tail = store.read(lambda conn: documents.load_tail(conn, DOC)).result(9)
        store.close()
        assert row is not None
        assert int(row.title or 0) >= (int(rest[-1]) if rest else newest + lines)
        newest = int(row.title or 0)
        numbers = [int(change.split(b":")[0]) for change in tail]
        assert numbers == [*range(int(snapshot or 0) + 1, newest + 1)]
