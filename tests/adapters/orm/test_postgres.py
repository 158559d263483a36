"""Rows in PostgreSQL: who may write them, what triggers must be there, and what a database of another kind says."""

from __future__ import annotations

import decimal
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from lichen.errors import StoreError, StoreLocked
from lichen.store import Store
from lichen.store.postgres import PostgresDatabase
from lichen.testing.postgres import PostgresServer
from lichen_adapters.orm import SessionMisuse, Sessions, check, migrating, triggers
from orm_devices import KEY, SPACE, Device
from orm_models import Address, Base, Mood, Tag, User, Word
from sqlalchemy import Connection, Sequence, create_engine, func, insert, make_url, select, text, update
from sqlalchemy.exc import DBAPIError

DYING = Path(__file__).parent / "dying.py"
GUIDE = Path(__file__).parents[3] / "docs" / "howto" / "rows-in-postgresql.md"


@pytest.fixture
def device(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Device]:
    """One in PostgreSQL."""
    Device.server = postgres_server
    made = Device(tmp_path, "device")
    Device.server = None
    yield made
    made.stop()
    postgres_server.drop_all()


@pytest.fixture
def plain(device: Device) -> Iterator[Connection]:
    """A connection of another program to its database."""
    engine = create_engine(device.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        yield conn
    engine.dispose()


def add(device: Device, name: str = "ann") -> User:
    with device.sessions(SPACE, expire_on_commit=False) as session:
        user = User(name=name, addresses=[Address(email="a@b")], marks=[Tag(name=f"of {name}")])
        session.add(user)
        session.commit()
        return user


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE user_account SET name = 'eve'",
        "DELETE FROM user_account",
        "TRUNCATE user_account CASCADE",
        "TRUNCATE user_tag",
        "INSERT INTO tag (id, name, size) VALUES (gen_random_uuid(), 'x', 0)",
        "INSERT INTO tag SELECT * FROM tag ON CONFLICT (id) DO UPDATE SET name = 'x'",
    ],
)
def test_another_program_does_not_write_rows(device: Device, plain: Connection, statement: str) -> None:
    add(device)
    before = device.rows()
    with pytest.raises(DBAPIError, match="by sessions of the engine only"):
        plain.exec_driver_sql(statement)
    assert device.rows() == before
    plain.exec_driver_sql("INSERT INTO draft (words) VALUES ('of another program')")


def test_a_session_truncates_nothing_and_writes_nothing_by_a_select(device: Device, plain: Connection) -> None:
    add(device)
    plain.exec_driver_sql(
        "CREATE FUNCTION change() RETURNS int LANGUAGE sql AS $$ UPDATE user_account SET name = 'eve' RETURNING 1 $$"
    )
    with device.sessions(SPACE) as session, pytest.raises(DBAPIError, match="by sessions of the engine only"):
        session.execute(text("TRUNCATE user_tag"))
    with device.sessions(SPACE) as session, pytest.raises(DBAPIError, match="read-only"):
        session.execute(text("SELECT change()"))
    with device.sessions.begin(SPACE) as session:
        session.execute(update(User).values(age=7))
        session.execute(text("SELECT change()"))
    device.check()
    assert [row["name"] for (table, _), row in device.rows().items() if table == "user_account"] == ["eve"]


def test_what_a_select_does_for_its_transaction_lasts_as_long_as_that(device: Device, plain: Connection) -> None:
    add(device)
    plain.exec_driver_sql("CREATE SEQUENCE numbers")
    locked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77"
    for select_it in (
        text("SELECT set_config('app.who', 'ann', true), pg_advisory_xact_lock(77)"),
        select(func.set_config("app.who", "ann", True), func.pg_advisory_xact_lock(77)),
    ):
        with device.sessions() as session:
            session.execute(select_it)
            session.execute(update(User).values(age=7))
            assert session.scalar(text("SELECT current_setting('app.who')")) == "ann"
            assert plain.exec_driver_sql(locked).scalar() == 1
    with device.sessions() as session:
        assert [session.scalar(Sequence("numbers")) for _ in range(2)] == [1, 2]
    with device.sessions() as session:
        assert session.execute(text("SELECT name FROM user_account FOR NO KEY UPDATE")).all() == [("ann",)]


def test_triggers_fire_for_replicas_and_those_that_wait_for_the_commit_are_seen(
    device: Device, plain: Connection
) -> None:
    add(device)
    plain.exec_driver_sql("SET session_replication_role = replica")
    with pytest.raises(DBAPIError, match="by sessions of the engine only"):
        plain.exec_driver_sql("DELETE FROM user_tag")
    with device.sessions.begin() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(update(User).values(name="eve"))
    device.check()
    plain.exec_driver_sql(
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN UPDATE address SET uses = uses + 1; RETURN NULL; END $$"
    )
    plain.exec_driver_sql(
        "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON user_account DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION late()"
    )
    with device.sessions.begin() as session:
        session.execute(update(User).values(age=7))
    assert [row["uses"] for (table, _), row in device.rows().items() if table == "address"] == [1]
    device.check()


def test_who_reads_in_parts_and_writes_is_told_that_the_rest_is_gone(device: Device) -> None:
    for name in ("ann", "ben", "cleo"):
        add(device, name)
    with device.sessions() as session:
        users = session.scalars(select(User).execution_options(yield_per=1))
        next(users).stars += 1
        session.flush()
        with pytest.raises(SessionMisuse, match="reads in parts"):
            users.all()
    device.check()


@pytest.mark.parametrize(
    "ddl",
    [
        "DROP TRIGGER lichen_journal_update ON address",
        "ALTER TABLE address DISABLE TRIGGER lichen_journal_delete",
        "DROP TRIGGER lichen_seen ON address",
        "ALTER TABLE address ENABLE TRIGGER lichen_journal_update",
        "CREATE OR REPLACE FUNCTION lichen_note_address() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    ],
)
def test_where_a_trigger_is_missing_nothing_is_committed(device: Device, plain: Connection, ddl: str) -> None:
    add(device)
    before = device.rows()
    device.stop()
    plain.exec_driver_sql(ddl)
    with pytest.raises(SessionMisuse, match="triggers are missing on address"):
        device.start(create=False)
    report = check(device.sessions)
    assert not report.ok
    assert report.schema == ("triggers of table address are missing, disabled, or not as declared",)
    device.stop()
    device.start()  # which makes them
    assert device.rows() == before
    with device.sessions.begin() as session:
        session.execute(update(Address).values(email="new@b"))
    device.check()


def test_a_trigger_that_goes_while_sessions_are_used_is_missed_by_new_connections(
    device: Device, plain: Connection
) -> None:
    add(device)
    device.sessions.database.dispose()
    plain.exec_driver_sql("DROP TRIGGER lichen_journal_update ON user_account")
    with device.sessions() as session:
        session.execute(update(User).values(name="eve"))
        with pytest.raises(SessionMisuse, match="user_account"):
            session.commit()
    device.check()


def test_triggers_come_by_a_migration(device: Device, plain: Connection) -> None:
    add(device)
    device.stop()
    for table in Base.metadata.tables:
        found = plain.exec_driver_sql(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", (table,)
        )
        for name in found.scalars().all():
            plain.exec_driver_sql(f"DROP TRIGGER {name} ON {table}")
    op = Operations(MigrationContext.configure(plain))
    for statement in triggers(Base):
        op.execute(statement)
    device.start(create=False)
    with device.sessions.begin() as session:
        session.execute(update(Address).values(email="new@b"))
    device.check()


def test_what_went_past_the_adapter_is_found_and_mended(device: Device) -> None:
    add(device)
    before = device.rows()
    assert check(device.sessions).ok

    def past(conn: Connection) -> None:
        conn.exec_driver_sql("UPDATE user_account SET settings = '{\"a\": 1}', mood = 'SAD'")
        conn.exec_driver_sql("DELETE FROM user_tag")
        conn.exec_driver_sql("INSERT INTO tag (id, name, size) VALUES (gen_random_uuid(), 'x', 0)")

    device.store.write(past).result(9)
    report = check(device.sessions, repair=True)
    assert {(one.table, one.wrong, one.columns) for one in report.rows} == {
        ("user_account", "changed", ("mood", "settings")),
        ("user_tag", "missing", ()),
        ("tag", "extra", ()),
    }
    assert device.rows() == before
    assert check(device.sessions).ok


def test_a_migration_writes_rows_that_no_document_gets(device: Device) -> None:
    add(device)
    before = device.rows()
    device.stop()
    device.store = Store(PostgresDatabase(make_url(device.url), lambda wrapped: (KEY, wrapped or b"")))
    sessions = Sessions(device, Base)
    with migrating(sessions) as conn:
        conn.execute(text("UPDATE user_account SET name = 'of the migration'"))
        conn.execute(text("ALTER TABLE draft ADD COLUMN remark text"))
    report = check(sessions)
    assert [(one.table, one.columns) for one in report.rows] == [("user_account", ("name",))]
    sessions.close()
    device.store.close()
    device.start()
    assert device.rows() == before


def test_both_kinds_of_database_show_the_same(tmp_path: Path, device: Device) -> None:
    other = Device(tmp_path, "other")
    with other.sessions.begin(SPACE) as session:
        values = {"balance": decimal.Decimal("1.50"), "mood": Mood.SAD, "photo": b"\x00\xff", "tags": {1, "a"}}
        user = User(name="ann", bio="hello", steps=[1, {"a": None}], settings={"b": [True]}, **values)
        session.add_all([user, Tag(name="todo", words=[Word(letters="w")])])
    add(device, "bob")
    for _ in range(2):
        device.take_from(other)
        other.take_from(device)
    assert device.rows() == other.rows()
    device.check()
    with device.sessions.begin() as session:
        for one in session.scalars(select(User)):
            one.stars += 1
            one.bio = f"{one.bio or ''}, you"
            one.steps.append("new")
    other.take_from(device)
    assert device.rows() == other.rows()
    other.stop()


@pytest.mark.parametrize("values", [{"name": "a\x00b"}, {"age": 2**40, "active": True}, {"name": "x" * 31}])
def test_what_only_this_database_does_not_take_is_held(
    tmp_path: Path, device: Device, values: dict[str, object]
) -> None:
    other = Device(tmp_path, "other")
    user = add(other)
    device.take_from(other)
    before = device.rows()
    other.edit(user.id, lambda document: document.update(values))
    device.take_from(other)
    assert device.held() >= {("user_account", user.id)}
    device.check()
    other.edit(user.id, lambda document: document.update({"name": "ann", "age": None}))
    device.take_from(other)
    assert device.rows() == before
    other.stop()


def test_who_has_lost_the_store_commits_nothing(device: Device, plain: Connection) -> None:
    add(device)
    before = device.rows()
    with device.sessions() as session:
        session.scalars(select(User)).all()
        plain.exec_driver_sql(
            "SELECT pg_terminate_backend(l.pid, 5000) FROM pg_locks l WHERE locktype = 'advisory' AND granted"
        )
        other = Store(PostgresDatabase(make_url(device.url), lambda wrapped: (KEY, wrapped or b"")))
        with pytest.raises(StoreLocked, match="another process has opened"):
            session.execute(update(User).values(name="eve"))
    other.close()
    assert device.rows() == before


def test_a_connection_that_the_server_has_ended_is_told_once_and_the_next_writes(
    device: Device, plain: Connection
) -> None:
    with device.sessions() as session:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
    plain.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    with device.sessions(SPACE) as session:
        with pytest.raises(StoreError, match="cannot be reached"), session.begin():
            session.execute(insert(Tag).values(name="lost"))
        session.add(Tag(name="after"))
        session.commit()
    assert [row["name"] for row in device.rows().values()] == ["after"]
    device.check()


def test_a_row_that_a_part_of_a_select_inserts_is_in_its_document(device: Device) -> None:
    with device.sessions.begin(SPACE) as session:
        made = insert(Tag).values([{"name": "a"}, {"name": "b"}]).returning(Tag.id).cte()
        assert len(session.execute(select(made)).all()) == 2
    with device.sessions() as session:
        assert sorted(session.scalars(select(Tag.name))) == ["a", "b"]
    device.check()


def test_a_transaction_in_which_a_statement_has_failed_is_not_committed(device: Device) -> None:
    add(device)
    with device.sessions() as session:
        session.execute(update(User).values(name="eve"))
        with pytest.raises(DBAPIError):
            session.execute(text("SELECT nonsense"))
        with pytest.raises(SessionMisuse, match="has failed"):
            session.commit()
    with device.sessions.begin() as session:
        session.execute(update(User).values(stars=3))
        with pytest.raises(DBAPIError), session.begin_nested():
            session.execute(text("SELECT nonsense"))
    with device.sessions() as session:
        assert [(user.name, user.stars) for user in session.scalars(select(User))] == [("ann", 3)]
    device.check()


def test_a_session_that_is_left_open_does_not_hang_who_opens_the_store_next(device: Device) -> None:
    add(device)
    with device.sessions() as session:
        session.execute(update(User).values(name="lost"))
        device.stop()
        with pytest.raises(StoreLocked):
            device.start()
    device.start()
    assert [row["name"] for (table, _), row in device.rows().items() if table == "user_account"] == ["ann"]


@pytest.mark.parametrize("statements", [0, 4, 9, 13, 15, 19, 25, 33])
def test_kill_9_between_any_two_statements_leaves_rows_and_documents_in_agreement(
    device: Device, statements: int
) -> None:
    device.stop()
    path = f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, str(DYING), device.url, str(statements)],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == -9, done.stderr
    device.start()
    device.check()
    told = done.stdout.count(b"committed")
    with device.sessions() as session:
        users = session.scalars(select(User)).all()
        found = len(users), sum(user.stars for user in users)
    assert found in [((committed + 1) // 2, committed // 2) for committed in (told, told + 1)]


def test_the_guide_runs_and_runs_again(postgres_url: str) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"DATABASE_URL": postgres_url},
        )
        assert ran.returncode == 0, ran.stderr
        assert "note" in ran.stdout  # which the trigger names


def test_errors_of_the_store_are_typed(device: Device) -> None:
    device.store.close()
    with device.sessions() as session, pytest.raises(StoreError):
        session.execute(update(User).values(name="eve"))
