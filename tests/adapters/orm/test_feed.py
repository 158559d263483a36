"""The feed tells of every row that a committed transaction has changed, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lichen_adapters.orm.feed import MOST_ROWS, Changes
from orm_devices import SPACE, Device
from orm_models import Address, Base, Draft, User
from sqlalchemy import delete, select, text, update


@pytest.fixture
def told(device: Device) -> list[Changes]:
    found: list[Changes] = []
    device.sessions.feed.listen(found.append)
    return found


def add(device: Device, name: str) -> User:
    with device.sessions.begin(SPACE) as session:
        user = User(name=name, addresses=[Address(email="a@b")])
        session.add(user)
        session.flush()
        session.refresh(user)
        session.refresh(user.addresses[0])
        session.expunge_all()
        return user


def test_what_a_session_adds_changes_and_deletes_is_told_with_the_columns(device: Device, told: list[Changes]) -> None:
    user = add(device, "ann")
    address = user.addresses[0]
    with device.sessions.begin() as session:
        found = session.get_one(User, user.id)
        found.name, found.stars, found.scroll, found.active = "eve", 3, 7, True
    with device.sessions.begin() as session:
        session.execute(delete(User))
    assert [change.tables for change in told] == [
        {"user_account": {user.id: None}, "address": {address.id: None}},
        {"user_account": {user.id: {"name", "stars", "scroll"}}},
        {"user_account": {user.id: None}, "address": {address.id: None}},
    ]
    assert not any(change.merged for change in told)


def test_what_is_merged_is_told_with_the_columns(device: Device, other: Device, told: list[Changes]) -> None:
    user = add(other, "ann")
    device.take_from(other)
    with other.sessions.begin() as session:
        session.execute(update(User).values(bio="hello"))
        session.execute(update(Address).values(email="c@d"))
    device.take_from(other)
    assert [(change.tables, change.merged) for change in told] == [
        ({"user_account": {user.id: None}, "address": {user.addresses[0].id: None}}, True),
        ({"user_account": {user.id: {"bio"}}, "address": {user.addresses[0].id: {"email"}}}, True),
    ]


def test_nothing_is_told_before_the_commit_or_of_what_is_rolled_back(device: Device, told: list[Changes]) -> None:
    user = add(device, "ann")
    committed: list[object] = []
    device.sessions.feed.listen(lambda _: committed.append(device.rows()["user_account", user.id]["bio"]))
    with device.sessions() as session:
        session.execute(update(User).values(name="eve"))
        session.rollback()
        session.execute(update(User).values(bio="kept"))
        nested = session.begin_nested()
        session.execute(update(User).values(fullname="lost"))
        nested.rollback()
        session.commit()
    assert committed == ["kept"]
    assert [change.tables for change in told[1:]] == [{"user_account": {user.id: {"bio"}}}]


def test_a_value_written_again_and_a_read_are_no_changes(device: Device, told: list[Changes]) -> None:
    add(device, "ann")
    with device.sessions.begin() as session:
        session.execute(update(User).values(name="ann"))
        session.scalars(select(User)).all()
    assert len(told) == 1


def test_tables_that_are_not_synced_are_told_as_a_whole(device: Device, told: list[Changes]) -> None:
    with device.sessions.begin() as session:
        session.execute(text("INSERT INTO draft (words) VALUES ('one'), ('two')"))
    assert [change.tables for change in told] == [{"draft": None}]


def test_of_a_large_transaction_only_the_tables_are_told(device: Device, told: list[Changes]) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add_all(User(name=f"user {number}") for number in range(MOST_ROWS + 1))
    assert [change.tables for change in told] == [{"user_account": None}]


def test_a_transaction_that_began_before_anybody_listened_may_have_changed_anything(device: Device) -> None:
    told: list[Changes] = []
    with device.sessions.begin(SPACE) as session:
        session.add(User(name="ann"))
        session.flush()
        end = device.sessions.feed.listen(told.append)
    assert [change.tables for change in told] == [dict.fromkeys(Base.metadata.tables)]
    end()
    add(device, "bob")
    assert len(told) == 1


def test_a_table_that_was_made_again_is_watched_again(device: Device, told: list[Changes]) -> None:
    user = add(device, "ann")
    with device.sessions.begin() as session:
        session.add(Draft(words="old"))
    with device.sessions.database.begin() as conn:
        conn.execute(text("ALTER TABLE draft RENAME TO old"))
        Base.metadata.create_all(conn)
        conn.execute(text("INSERT INTO draft SELECT * FROM old"))
        conn.execute(text("DROP TABLE old" if conn.dialect.name == "sqlite" else "DROP TABLE old CASCADE"))
    with device.sessions.begin() as session:
        session.execute(update(Draft).values(words="new"))
        session.execute(update(User).values(age=7))
    made_again: object = dict.fromkeys(Base.metadata.tables)
    if device.sessions.database.dialect.name == "postgresql":  # where triggers come with a table
        made_again = {"draft": None}
    assert [change.tables for change in told[2:]] == [made_again, {"draft": None, "user_account": {user.id: {"age"}}}]


@pytest.mark.parametrize("change", [lambda device: add(device, "ann"), lambda device: device.sessions.prepare()])
def test_where_nobody_listens_nothing_is_watched(device: Device, change: Callable[[Device], object]) -> None:
    end = device.sessions.feed.listen(lambda _: None)
    change(device)
    end()
    change(device)
    query = text("SELECT count(*) = 0 FROM sqlite_temp_master WHERE name LIKE 'lichen_seen_%'")
    if device.sessions.database.dialect.name == "postgresql":
        query = text("SELECT coalesce(current_setting('lichen.seen', true), '') <> 'on'")
    with device.sessions.database.connect() as conn:
        assert conn.scalar(query)
    assert device.store.write(lambda conn: conn.scalar(query)).result(9)


def test_a_listener_that_fails_keeps_no_other_from_hearing(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Changes) -> None:
        raise ValueError("out of order")

    device.sessions.feed.listen(fail)
    heard: list[Changes] = []
    device.sessions.feed.listen(heard.append)
    add(device, "ann")
    assert len(heard) == 1
    assert "a listener to changes of rows failed" in caplog.text


def test_after_a_rollback_the_next_transaction_is_seen_too(device: Device, told: list[Changes]) -> None:
    with device.sessions(SPACE) as session:
        session.add(User(name="lost"))
        session.flush()
        session.rollback()
    user = add(device, "ann")
    assert [change.tables["user_account"] for change in told] == [{user.id: None}]
