"""Sessions that are not the engine's, and those of the engine that lead to other databases too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lichen_adapters.orm import SessionMisuse, Synced
from orm_devices import SPACE, Device
from orm_models import Base, Tag, User
from sqlalchemy import create_engine, delete, insert, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker


class Apart(DeclarativeBase):
    """A base beside that for which sessions are made."""


class Log(Synced, Apart):
    """Nobody watches its table."""

    __tablename__ = "log"
    words: Mapped[str]


class Old(DeclarativeBase):
    """Tables that lie elsewhere."""


class Contact(Old):
    """A row of another database."""

    __tablename__ = "contact"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def test_a_session_that_is_not_the_engines_is_refused(device: Device) -> None:
    other = create_engine("sqlite://")
    Base.metadata.create_all(other)
    with Session(other) as session:
        session.add(User(name="ann"))
        with pytest.raises(SessionMisuse, match="not the engine's"):
            session.flush()
    other.dispose()


@pytest.mark.parametrize("make", [Session, lambda database: sessionmaker(database)()])
def test_so_is_one_that_is_made_beside_those_of_the_engine(device: Device, make: Callable[..., Session]) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add(User(name="ann"))
    for change in (lambda user: setattr(user, "stars", 1), lambda user: session.delete(user)):
        with make(device.sessions.database) as session:
            user = session.scalars(select(User)).one()
            device.edit(user.id, lambda document: document.counter("stars").increment(5))
            change(user)
            with pytest.raises(SessionMisuse, match="not the engine's"):
                session.commit()
    with make(device.sessions.database) as session:
        assert session.scalars(select(User.stars)).all() == [10]
    device.check()


def test_classes_that_lie_in_another_database_are_written_by_the_same_session(device: Device) -> None:
    other = create_engine("sqlite://")
    Old.metadata.create_all(other)
    with device.sessions(SPACE, binds={Contact: other}) as session:
        session.add_all([Contact(name="ann"), Tag(name="todo")])
        session.commit()
        session.execute(update(Contact).values(name="eve"))
        session.scalars(select(Tag)).one().size = 3
        session.rollback()
        assert session.scalars(select(Contact.name)).all() == ["ann"]
        assert session.scalars(select(Tag.size)).all() == [0]
        session.execute(delete(Contact))
        session.commit()
    assert len(device.rows()) == 1
    device.check()
    other.dispose()


def test_a_session_may_be_part_of_a_transaction_that_a_test_rolls_back(device: Device) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add(Tag(name="kept"))
    conn = device.sessions.database.connect()
    outer = conn.begin()
    with device.sessions(SPACE, bind=conn, join_transaction_mode="create_savepoint") as session:
        session.add(Tag(name="todo"))
        session.commit()
        session.execute(update(Tag).values(size=3))
        session.rollback()
        assert session.execute(select(Tag.name, Tag.size).order_by(Tag.name)).all() == [("kept", 0), ("todo", 0)]
    outer.rollback()
    conn.close()
    assert [row["name"] for row in device.rows().values()] == ["kept"]
    with device.sessions.begin(SPACE) as session:
        session.add(Tag(name="todo"))
    device.check()


def test_a_session_of_the_engine_writes_no_synced_rows_into_another_database(device: Device) -> None:
    other = create_engine("sqlite://")
    Base.metadata.create_all(other)
    with device.sessions.begin(SPACE) as session:
        session.add(Tag(name="todo"))
    with device.sessions(SPACE) as session:
        tag = session.scalars(select(Tag)).one()
    with device.sessions(SPACE, bind=other) as session:
        session.add(tag)
        tag.size = 3
        with pytest.raises(SessionMisuse, match="not the engine's"):
            session.commit()
    other.dispose()
    device.check()


def test_a_synced_class_of_another_base_is_refused(device: Device) -> None:
    Apart.metadata.create_all(device.sessions.database)
    for write in (lambda session: session.add(Log(words="a")), lambda session: session.execute(insert(Log), [{}])):
        with (
            pytest.raises(SessionMisuse, match="table log is of another declarative base"),
            device.sessions.begin(SPACE) as session,
        ):
            write(session)
    with device.sessions() as session:
        assert session.scalars(select(Log)).all() == []
    Apart.metadata.drop_all(device.sessions.database)
