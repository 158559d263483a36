"""Sessions that change tables, or hide them: nothing is committed that would part rows and documents."""

from __future__ import annotations

import pytest
from lichen_adapters.orm import SessionMisuse
from orm_devices import SPACE, Device
from orm_models import Address, Tag, User, Visit
from sqlalchemy import Connection, delete, select, text, update


@pytest.fixture
def filled(device: Device) -> Device:
    """One with a row in each table that is changed here."""
    with device.sessions.begin(SPACE) as session:
        visit = Visit(why="tea", marks=[Tag(name="seen")])
        session.add(User(name="ann", addresses=[Address(email="a@b", visits=[visit])]))
    return device


def refused(device: Device, *statements: str, match: str) -> None:
    """None of it is committed, and the next session can write."""
    before = device.rows()
    with device.sessions(SPACE) as session:
        for statement in statements:
            session.execute(text(statement))
        with pytest.raises(SessionMisuse, match=match):
            session.commit()
    assert device.rows() == before
    with device.sessions.begin() as session:
        session.execute(update(User).values(stars=User.stars + 1))
    device.check()


def test_a_temporary_table_does_not_hide_one_of_the_store(filled: Device) -> None:
    words = "name of a table of the store|triggers are missing on address"
    hide = "CREATE TEMP TABLE address AS SELECT * FROM address"
    refused(filled, "UPDATE address SET uses = 9", f"{hide} WHERE 1 = 0", match=words)
    refused(filled, f"{hide} WHERE 1 = 0".replace("E a", "E A"), "DELETE FROM address", match=words)
    refused(filled, hide, "DELETE FROM user_account", match=words)
    refused(filled, "CREATE TEMP VIEW address AS SELECT name FROM user_account", match=words)
    with filled.sessions.begin(SPACE) as session:
        session.execute(text("CREATE TEMP TABLE mine (words text)"))
        session.execute(text("INSERT INTO mine SELECT email FROM address"))
        session.execute(update(Address).values(uses=2))
    filled.check()


@pytest.mark.parametrize("statement", ["CREATE TEMP TABLE address AS SELECT * FROM address", "DROP TABLE visit_tag"])
def test_also_where_the_connection_has_committed_before(filled: Device, statement: str) -> None:
    with filled.sessions.database.connect() as conn:
        conn.execute(update(Address).values(uses=1))
        conn.commit()
        conn.execute(text(statement))
        conn.execute(update(Address).values(uses=9))
        with pytest.raises(SessionMisuse, match=r"has the name|has dropped|triggers are missing|are not there"):
            conn.commit()
    with filled.sessions() as session:
        assert session.scalars(select(Address.uses)).all() == [1]
    filled.check()


def test_a_table_is_not_dropped_or_renamed(filled: Device) -> None:
    words = "has dropped table visit_tag|tables are not there: visit_tag"
    refused(filled, "DROP TABLE visit_tag", match=words)
    refused(filled, "ALTER TABLE visit_tag RENAME TO old", match=words)


def test_a_table_is_not_made_again_with_other_rows(filled: Device) -> None:
    columns = "tag_id char(32), visit_id char(32)"
    made = "DROP TABLE visit_tag", "ALTER TABLE made RENAME TO visit_tag"
    words = "has dropped table visit_tag|triggers are missing on visit_tag"
    refused(filled, f"CREATE TABLE made ({columns})", *made, match=words)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_table_without_its_triggers_is_not_written(filled: Device) -> None:
    number = filled.sessions.plan.tables["address"].number
    refused(
        filled,
        "UPDATE user_account SET age = 7",
        f"DROP TRIGGER lichen_journal_{number}_update",
        match="has dropped table address or made it again, or its triggers",
    )


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_while_a_table_is_missing_no_rows_are_written(filled: Device) -> None:
    def drop(conn: Connection) -> None:
        conn.exec_driver_sql("DROP TABLE visit_tag")

    filled.store.write(drop).result(9)
    with filled.sessions(SPACE) as session:
        session.execute(delete(Address))
        with pytest.raises(SessionMisuse, match="lacks a table"):
            session.commit()
    filled.stop()
    filled.start()
    filled.check()
    assert any(table == "visit_tag" for table, _ in filled.rows())


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_triggers_that_went_before_there_was_a_document_are_made_again(device: Device) -> None:
    with device.sessions.begin() as session:
        session.execute(text("DROP TRIGGER lichen_journal_0_insert"))
    for name in ("seen", "done"):
        with device.sessions.begin(SPACE) as session:
            session.add(Tag(name=name))
        device.check()
    assert len(device.rows()) == 2
