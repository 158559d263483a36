"""The rows of a space go with it when it leaves the device, and those of other spaces stay."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from lichen.ids import Session as WriterSession
from lichen.ids import SpaceId
from lichen.store.membership import add_space, drop_space
from lichen_adapters.orm import SessionMisuse
from lichen_adapters.orm.disputes import disputed
from lichen_adapters.orm.held import held_rows
from lichen_adapters.orm.joins import joined_rows
from orm_devices import OTHER_SPACE, SPACE, Device
from orm_models import Address, Draft, Tag, Topic, User, user_tag
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.orm.exc import StaleDataError


def family(device: Device, space: SpaceId, name: str, topic: str = "todo") -> uuid.UUID:
    """A user with a part, an association and a topic, in a space."""
    with device.sessions.begin(space) as session:
        tag = Tag(name=f"{name}'s tag")
        user = User(name=name, addresses=[Address(email="a@b")], marks=[tag])
        session.add_all([user, tag, Topic(name=topic)])
        session.flush()
        return user.id


def leave(device: Device, space: SpaceId) -> None:
    device.store.write(lambda conn: drop_space(conn, space)).result(9)


def names(device: Device) -> list[str]:
    with device.sessions() as session:
        return sorted(session.scalars(select(User.name)))


def test_rows_go_with_their_parts_and_associations(device: Device) -> None:
    family(device, SPACE, "ann")
    family(device, OTHER_SPACE, "bob")
    leave(device, SPACE)
    assert names(device) == ["bob"]
    device.check()
    with device.sessions() as session:
        assert session.scalar(select(func.count()).select_from(user_tag)) == 1
        assert session.scalar(select(func.count()).select_from(Address)) == 1
        assert session.scalar(select(func.count()).select_from(Topic)) == 1


def test_what_is_noted_beside_the_tables_goes_too(tmp_path: Path, device: Device) -> None:
    other = Device(tmp_path, "other")
    name = family(device, SPACE, "ann")
    family(other, SPACE, "eve")  # her topic has the same natural key
    other.take_from(device)
    second = family(device, SPACE, "sue", "done")
    other.take_from(device)
    values: Mapping[Device, tuple[dict[str, object], str]] = {
        device: ({"age": 40}, "a"),
        other: ({"active": False}, "b"),
    }
    for one, (broken, mood) in values.items():
        with one.sessions.begin() as session:
            session.execute(update(User).where(User.id == name).values(broken))
            session.execute(update(User).where(User.id == second).values(name=mood))
    device.take_from(other)
    noted = (held_rows, disputed, joined_rows)

    def count(conn: Connection) -> list[int]:
        return [conn.scalar(select(func.count()).select_from(table)) or 0 for table in noted]

    assert all(device.store.read(count).result(9))
    leave(device, SPACE)
    assert device.store.read(count).result(9) == [0, 0, 0]
    assert names(device) == []
    device.check()
    other.stop()


def test_a_row_of_the_device_alone_that_points_at_one_keeps_the_space(device: Device) -> None:
    name = family(device, SPACE, "ann")
    with device.sessions.begin() as session:
        session.add(Draft(words="to ann", user_id=name))
    with pytest.raises(SessionMisuse, match="rows of user_account cannot leave this device"):
        leave(device, SPACE)
    assert names(device) == ["ann"]
    device.check()
    with device.sessions.begin() as session:
        session.execute(delete(Draft))
    leave(device, SPACE)
    assert names(device) == []


def test_rows_go_at_the_next_start_where_nobody_followed(device: Device) -> None:
    family(device, SPACE, "ann")
    family(device, OTHER_SPACE, "bob")
    device.sessions.close()
    leave(device, SPACE)
    device.stop()
    device.start()
    assert names(device) == ["bob"]
    device.check()


def test_a_session_of_a_space_that_was_left_writes_nothing(device: Device) -> None:
    family(device, OTHER_SPACE, "bob")
    with device.sessions(SPACE) as session:
        session.add(User(name="ann"))
        leave(device, SPACE)
        with pytest.raises(SessionMisuse, match="is not on this device"):
            session.commit()
        session.rollback()
        for _ in range(2):
            with pytest.raises(SessionMisuse, match="is not on this device"):
                session.execute(insert(Tag).values(name="again"))
    assert names(device) == ["bob"]
    device.check()


def test_a_session_that_read_a_row_which_left_cannot_change_it(device: Device) -> None:
    name = family(device, SPACE, "ann")
    with device.sessions() as session:
        user = session.get_one(User, name)
        leave(device, SPACE)
        user.name = "anna"
        with pytest.raises(StaleDataError):
            session.commit()
    assert names(device) == []
    device.check()


def test_what_comes_back_is_written_under_another_session(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[WriterSession] = []
    monkeypatch.setattr(device.sessions.memory, "_expect", told.append)
    family(device, SPACE, "ann")
    before = device.sessions.memory.session
    leave(device, SPACE)
    device.store.write(lambda conn: add_space(conn, SPACE, 0, None)).result(9)
    assert told == [device.sessions.memory.session] != [before]
    family(device, SPACE, "ann")
    assert {change.session for written in device.told[-1:] for one in written for change in one.changes} == {*told}
    assert names(device) == ["ann"]
    device.check()


def test_a_start_goes_on_where_a_row_must_stay(device: Device) -> None:
    """Nobody who could have refused it followed when the space left."""
    name = family(device, SPACE, "ann")
    family(device, SPACE, "eve", "done")
    with device.sessions.begin() as session:
        session.add(Draft(words="to ann", user_id=name))
    device.sessions.close()
    leave(device, SPACE)
    told = len(device.expected)
    device.stop()
    device.start()
    assert names(device) == ["ann"]
    assert len(device.expected) == told + 1
    with device.sessions.begin() as session:
        session.execute(delete(Draft))
        session.execute(delete(User))
    assert names(device) == []
