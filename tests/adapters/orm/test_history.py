"""Who did what to a row."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from lichen.errors import ConfigError, NotFound
from lichen_adapters.orm import AsyncSessions, SessionMisuse, Synced, history, restore
from orm_devices import SPACE, Device
from orm_models import Address, Draft, User
from sqlalchemy import select, update
from sqlalchemy.orm import DeclarativeBase


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    """Two devices with one user, who has an address."""
    one, other = Device(tmp_path, "one"), Device(tmp_path, "other")
    with one.sessions.begin(SPACE) as session:
        session.add(User(name="ann", bio="hello", addresses=[Address(email="a@b")]))
    other.take_from(one)
    yield one, other
    one.stop()
    other.stop()


def change(device: Device, **values: object) -> None:
    with device.sessions.begin() as session:
        session.execute(update(User).values(**values))


def test_it_tells_what_each_commit_changed_the_newest_first(pair: tuple[Device, Device]) -> None:
    one, other = pair
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=60)
    change(one, name="bob", stars=2, scroll=5)
    with one.sessions.begin() as session:
        session.scalars(select(Address)).one().email = "c@d"
    other.take_from(one)
    change(other, bio="hello world")
    one.take_from(other)
    with one.sessions() as session:
        told = history(session, session.scalars(select(User)).one())
        assert [(edit.happened, edit.values) for edit in told] == [
            ("changed", {"bio": "hello world"}),
            ("changed", {"name": "bob", "stars": 2}),
            ("created", {"name": "ann", "active": True, "bio": "hello", "stars": 0, "tags": set(), "steps": []}),
        ]
        assert all(edit.time is not None and edit.time > began for edit in told)
        assert [edit.device for edit in told] == [None, one.device, one.device]  # nothing of the other is sealed here
        part = history(session, session.scalars(select(Address)).one())
        assert [(edit.happened, edit.values) for edit in part] == [
            ("changed", {"email": "c@d"}),
            ("created", {"email": "a@b", "uses": 0}),
        ]


def test_one_attribute_has_a_history_of_its_own(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    for name in ("bob", "cid", "dan"):
        change(one, name=name)
        change(one, stars=User.stars + 1)
    with one.sessions() as session:
        user = session.scalars(select(User)).one()
        assert [edit.values["name"] for edit in history(session, user, "name")] == ["dan", "cid", "bob", "ann"]
        assert [edit.values["name"] for edit in history(session, user, "name", most=2)] == ["dan", "cid"]
        assert [edit.values["stars"] for edit in history(session, user, "stars")] == [3, 2, 1, 0]


def test_deletions_and_restorations_are_told(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    with one.sessions.begin() as session:
        user = session.scalars(select(User)).one()
        address = user.addresses[0].id
        session.delete(user)
    with one.sessions.begin() as session:
        restore(session, User, user.id)
    with one.sessions() as session:
        assert [edit.happened for edit in history(session, User, row=user.id)] == ["restored", "deleted", "created"]
        parts = history(session, Address, row=address)
        assert [(edit.happened, dict(edit.values)) for edit in parts] == [
            ("restored", {}),
            ("deleted", {}),
            ("created", {"email": "a@b", "uses": 0}),
        ]


def test_edits_of_other_programs_that_fit_no_column_and_have_no_time_are_told(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    with one.sessions() as session:
        user = session.scalars(select(User)).one()
    one.edit(user.id, lambda doc: doc.update({"name": "eve", "age": "old"}))
    with one.sessions() as session:
        newest = history(session, User, row=user.id)[0]
    assert (newest.happened, newest.values, newest.time, newest.device) == ("changed", {"name": "eve"}, None, None)


def test_a_row_of_nothing_but_its_id_has_one_too(tmp_path: Path) -> None:
    class Base(DeclarativeBase):
        pass

    class Marker(Synced, Base):
        __tablename__ = "marker"

    device = Device(tmp_path, "device", Base)
    with device.sessions.begin(SPACE) as session:
        session.add(Marker())
    with device.sessions.begin() as session:
        marker = session.scalars(select(Marker)).one()
        session.delete(marker)
    with device.sessions() as session:
        told = [(edit.happened, edit.values) for edit in history(session, Marker, row=marker.id)]
    assert told == [("deleted", {}), ("created", {})]
    device.stop()


def test_what_has_no_history_is_refused(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    with one.sessions() as session:
        user = session.scalars(select(User)).one()
        for name in ("scroll", "nothing"):
            with pytest.raises(ConfigError, match=f"'{name}' is no synced attribute of user_account"):
                history(session, user, name)
        with pytest.raises(ConfigError, match="not said which User"):
            history(session, User(name="new"))
        with pytest.raises(NotFound, match="is not on this device"):
            history(session, User, row=session.scalars(select(Address)).one().id)
        with pytest.raises(SessionMisuse, match="Draft is not a synced class"):
            history(session, Draft(id=1))


async def test_async_sessions_tell_it_too(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    sessions = AsyncSessions(one.sessions)
    async with sessions() as session:
        user = (await session.scalars(select(User))).one()
        told = await session.run_sync(history, user, "name")
        assert [edit.values["name"] for edit in told] == ["ann"]
    await sessions.close()
