"""What is written beside a session, on its connection: refused, or in documents; and what ends its transaction."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from lichen.ids import SpaceId
from lichen_adapters.orm import SessionMisuse, check, in_space
from orm_devices import OTHER_SPACE, SPACE, Device
from orm_models import Address, Tag, User
from sqlalchemy import Connection, event, insert, select, text, update
from sqlalchemy.exc import DBAPIError

SQLITE_OK, SQLITE_PRAGMA = 0, 19
"""https://sqlite.org/c3ref/c_alter_table.html"""
REFUSED = "readonly database|read-only transaction|by sessions of the engine only"
"""How the databases say it, to who asks them directly."""


@pytest.fixture
def filled(device: Device) -> Device:
    """One with a user, an address and a tag."""
    with device.sessions.begin(SPACE) as session:
        session.add_all([User(name="ann", addresses=[Address(email="a@b")]), Tag(name="todo")])
    return device


def driver_of(conn: Connection) -> Any:
    return conn.connection.driver_connection


def test_what_is_written_before_a_session_writes_is_refused(filled: Device) -> None:
    before = filled.rows()
    for read in (text("SELECT 1"), None):
        with filled.sessions(SPACE) as session:
            if read is not None:
                session.execute(read)
            with pytest.raises(Exception, match=REFUSED):
                driver_of(session.connection()).cursor().execute("UPDATE user_account SET name = 'eve'")
    raw = filled.sessions.database.raw_connection()
    with contextlib.closing(raw), pytest.raises(Exception, match=REFUSED):
        raw.cursor().execute("DELETE FROM address")
    if filled.server is None:
        with filled.sessions(SPACE) as session, pytest.raises(Exception, match=REFUSED):
            driver_of(session.connection()).executescript("DELETE FROM address; DELETE FROM user_account")
    with filled.sessions.database.connect() as conn:
        conn.execute(update(Tag).values(size=1))
        conn.commit()
        conn.begin()
        with pytest.raises(Exception, match=REFUSED):  # also where it has written before
            driver_of(conn).cursor().execute("DELETE FROM address")
        conn.rollback()
    assert {place: row for place, row in filled.rows().items() if place[0] != "tag"} == {
        place: row for place, row in before.items() if place[0] != "tag"
    }
    filled.check()


@pytest.mark.parametrize("how", ["commit", "rollback"])
def test_what_is_written_between_two_transactions_is_refused(filled: Device, how: str) -> None:
    with filled.sessions.database.connect() as conn:
        conn.execute(update(User).values(age=7))
        getattr(conn, how)()
        with pytest.raises(Exception, match=REFUSED):
            driver_of(conn).cursor().execute("DELETE FROM address")
        conn.execute(update(User).values(stars=2))
        conn.commit()
    filled.check()


def test_what_is_written_after_a_session_has_written_is_in_documents(filled: Device, other: Device) -> None:
    with filled.sessions.begin(SPACE) as session:
        session.execute(update(User).values(age=7))
        driver_of(session.connection()).cursor().execute("UPDATE address SET email = 'new@b'")
    filled.check()
    other.take_from(filled)
    assert other.rows() == filled.rows()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nothing_is_compiled_and_looked_for_again_in_each_transaction(filled: Device) -> None:
    compiled: list[int] = []
    said: list[str] = []

    def note(action: int, *_: object) -> int:
        compiled.append(action)
        return SQLITE_OK

    def write(age: int) -> None:
        compiled.clear()
        said.clear()
        with filled.sessions.begin() as session:
            session.execute(update(User).values(age=age))

    raw = filled.sessions.database.raw_connection()
    raw.driver_connection.set_authorizer(note)
    raw.driver_connection.set_trace_callback(said.append)
    raw.close()
    for age in range(20):  # on each connection of the pool
        write(age)
    assert said
    assert {*compiled} == {SQLITE_PRAGMA}
    assert [one for one in said if "temp_master" in one or "CREATE" in one] == []
    raw = filled.sessions.database.raw_connection()
    raw.driver_connection.set_authorizer(None)
    raw.close()
    filled.check()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_table_that_hides_another_is_seen_after_one_that_was_rolled_back(filled: Device) -> None:
    with filled.sessions.database.begin() as conn:
        conn.execute(text("CREATE TABLE p (id INTEGER PRIMARY KEY)"))
        conn.execute(text("CREATE TABLE c (p REFERENCES p DEFERRABLE INITIALLY DEFERRED)"))
    with filled.sessions() as session:
        session.execute(text("CREATE TEMP TABLE harmless (id)"))
        session.execute(text("INSERT INTO c VALUES (7)"))
        with pytest.raises(DBAPIError, match="FOREIGN KEY"):
            session.commit()
    with filled.sessions() as session:
        session.execute(text("CREATE TEMP TABLE user_account (id)"))
        with pytest.raises(SessionMisuse, match="temporary table"):
            session.commit()
    filled.check()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["rollback", "commit", "close"])
def test_who_fetches_rows_when_their_transaction_has_ended_is_told_so(filled: Device, how: str) -> None:
    with filled.sessions() as session:
        session.execute(update(User).values(age=3))
        names = session.scalars(select(User.name))
        getattr(session, how)()
        with pytest.raises(SessionMisuse, match="in which these rows were selected has ended"):
            names.all()
    filled.check()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_rows_that_are_never_fetched_keep_no_connection_at_an_old_state(filled: Device) -> None:
    with filled.sessions.begin(SPACE) as session:
        session.add(User(name="bob"))
    with filled.sessions() as session:
        users = session.scalars(select(User).execution_options(yield_per=1))
        assert next(users).name in {"ann", "bob"}
        session.commit()
    with filled.sessions() as again, filled.sessions() as other:
        again.connection()  # the same one, of the pool
        other.execute(update(User).values(age=3))
        other.commit()
        assert again.scalars(select(User.age)).all() == [3, 3]
        again.execute(update(User).values(age=4))
        again.commit()
    assert users is not None
    filled.check()


def test_what_is_written_after_a_space_was_refused_is_refused_too(filled: Device) -> None:
    before = filled.rows()
    with filled.sessions(SpaceId(bytes(32))) as session:
        with pytest.raises(SessionMisuse, match="is not on this device"):
            session.execute(update(User).values(age=3))
        with pytest.raises(Exception, match=REFUSED):
            driver_of(session.connection()).cursor().execute("UPDATE user_account SET name = 'eve'")
    assert filled.rows() == before
    filled.check()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_written_after_a_transaction_could_not_begin_is_refused(filled: Device) -> None:
    with filled.sessions.begin(SPACE) as session:
        session.add(User(name="bob"))
    with filled.sessions() as session:
        users = session.scalars(select(User).execution_options(yield_per=1))
        user = next(users)
        filled.edit(user.id, lambda document: document.update(fullname="X"))
        with pytest.raises(SessionMisuse, match="while rows that it reads in parts are still to come"):
            session.execute(update(User).values(age=3))
        users.close()
        with pytest.raises(Exception, match=REFUSED):
            driver_of(session.connection()).cursor().execute("UPDATE user_account SET name = 'eve'")
    filled.check()


@pytest.mark.parametrize("how", ["rollback", "commit"])
def test_who_ends_the_transaction_on_the_connection_of_the_driver_is_told(filled: Device, how: str) -> None:
    with filled.sessions(SPACE) as session:
        session.execute(update(User).values(name="eve"))
        getattr(driver_of(session.connection()), how)()
        for _ in range(2):
            with pytest.raises(SessionMisuse, match="was ended by the database, or on the connection"):
                session.execute(update(User).values(age=7))
        with pytest.raises(SessionMisuse, match="was ended by the database, or on the connection"):
            session.commit()
    assert check(filled.sessions).wrong == (how == "commit")
    assert check(filled.sessions, repair=True).ok
    filled.check()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("way", ["UPDATE OR ROLLBACK tag SET name = 'todo'", "UPDATE user_account SET age = 13"])
def test_what_sqlite_has_rolled_back_is_not_gone_on_with(filled: Device, way: str) -> None:
    with filled.sessions.begin(SPACE) as session:
        session.add(Tag(name="done"))
    with filled.sessions.database.begin() as conn:
        conn.execute(
            text("CREATE TRIGGER t BEFORE UPDATE OF age ON user_account BEGIN SELECT RAISE(ROLLBACK, ''); END")
        )
    before = filled.rows()
    with filled.sessions(SPACE) as session:
        session.execute(update(User).values(name="lost"))
        with pytest.raises(DBAPIError):
            session.execute(text(way))
        with pytest.raises(SessionMisuse, match="was ended by the database"):
            session.execute(update(User).values(name="alone"))
        session.rollback()
        session.execute(update(User).values(stars=2))
        session.commit()
    assert {place for place, row in filled.rows().items() if row != before[place]} == {
        place for place in before if place[0] == "user_account"
    }
    filled.check()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_who_could_not_begin_to_write_writes_nothing_without_a_transaction(filled: Device) -> None:
    with filled.sessions.begin(SPACE) as session:
        session.add_all([User(name="ben"), User(name="cleo")])
    before = filled.rows()
    with filled.sessions() as session:
        users = session.scalars(select(User).execution_options(yield_per=1))
        filled.edit(next(users).id, lambda document: document.update(fullname="Ann"))
        with pytest.raises(SessionMisuse, match="reads in parts"):
            session.execute(update(User).values(stars=7))
        with pytest.raises(SessionMisuse, match="was ended by the database"):
            session.execute(update(User).values(stars=7))
    assert [row["stars"] for (table, _), row in filled.rows().items() if table == "user_account"] == [0, 0, 0]
    assert filled.rows().keys() == before.keys()
    filled.check()


def test_a_listener_of_the_commit_itself_writes_nothing_more(filled: Device) -> None:
    def late(conn: Connection) -> None:
        conn.execute(update(User).values(name="late"))

    for statement in (update(User).values(age=7), select(User.name)):
        with filled.sessions(SPACE) as session:
            session.execute(statement)
            event.listen(filled.sessions.database, "commit", late)
            with pytest.raises(SessionMisuse, match="is committed already"):
                session.commit()
            event.remove(filled.sessions.database, "commit", late)
    with filled.sessions() as session:
        assert session.execute(select(User.name, User.age)).all() == [("ann", 7)]
    filled.check()


def test_a_connection_without_a_session_has_not_the_space_of_an_earlier_one(filled: Device) -> None:
    with filled.sessions.begin(OTHER_SPACE) as session:
        session.add(Tag(name="of the other"))
    with filled.sessions.database.connect() as conn, pytest.raises(SessionMisuse, match="without a space"):
        conn.execute(insert(Tag).values(name="of none"))
    with filled.sessions() as session:
        assert session.scalars(select(Tag.name).where(in_space(Tag, OTHER_SPACE))).all() == ["of the other"]


def test_a_connection_that_is_detached_gives_its_turn_back(filled: Device) -> None:
    with filled.sessions.database.connect() as conn:
        conn.detach()
        conn.execute(update(User).values(age=7))
        conn.commit()
        conn.execute(update(User).values(age=8))
    with filled.sessions.begin() as session:
        session.execute(update(User).values(stars=2))
    with filled.sessions() as session:
        assert session.execute(select(User.age, User.stars)).all() == [(7, 2)]
    filled.check()


@pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")  # SQLAlchemy lets go of it
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_connection_that_is_detached_and_lost_gives_its_turn_back(filled: Device) -> None:
    with filled.sessions.database.connect() as conn:
        conn.detach()
        conn.execute(update(User).values(age=7))
        conn.invalidate()
    with filled.sessions.begin() as session:
        session.execute(update(User).values(stars=2))
    with filled.sessions() as session:
        assert session.execute(select(User.age, User.stars)).all() == [(None, 2)]
    filled.check()
