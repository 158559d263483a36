"""Ids are the engine's: who may use which, and again after a rollback."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import pytest
from lichen_adapters.orm import SessionMisuse, check
from lichen_adapters.orm.capture import Begun
from lichen_adapters.orm.unused_ids import UnusedIds
from orm_devices import OTHER_SPACE, SPACE, Device
from orm_models import Address, Tag, Topic, User, Word
from sqlalchemy import delete, insert, select, text
from sqlalchemy.orm import make_transient


def names(device: Device) -> list[str]:
    with device.sessions() as session:
        return list(session.scalars(select(User.name).order_by(User.name)))


def test_an_id_that_the_engine_did_not_make_is_refused(device: Device) -> None:
    row = "INSERT INTO user_account (id, name, active, stars, tags, steps) VALUES (:id, 'x', true, 0, '[]', '[]')"
    with device.sessions(SPACE) as session:
        session.execute(text(row), {"id": "0" * 32})
        with pytest.raises(SessionMisuse, match="did not make"):
            session.commit()
    assert names(device) == []
    device.check()


@pytest.mark.parametrize("new", [User, Tag])
def test_an_object_with_an_id_of_its_own_is_refused(device: Device, new: type[User | Tag]) -> None:
    with device.sessions(SPACE) as session:
        session.add(new(id=uuid.uuid4(), name="x"))
        with pytest.raises(SessionMisuse, match="did not make"):
            session.commit()
    device.check()


def test_what_was_rolled_back_is_added_again_under_its_id(device: Device) -> None:
    with device.sessions(SPACE) as session:
        tag, user = Tag(name="x", words=[Word(letters="w")]), User(name="ben", addresses=[Address(email="c@d")])
        session.add_all([tag, user])
        session.flush()
        ids = tag.id, user.id
        session.rollback()
        session.add_all([tag, user])
        session.commit()
        assert (tag.id, user.id) == ids
        session.delete(tag)
        session.commit()
        for one in (tag, *tag.words):
            make_transient(one)
        session.add(tag)  # it comes back into its document
        session.commit()
    device.check()
    assert check(device.sessions).ok
    assert names(device) == ["ben"]


@pytest.mark.parametrize("apart", [False, True])
def test_a_row_that_is_deleted_and_inserted_under_its_id_was_begun_anew_everywhere(
    device: Device, other: Device, monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add(Tag(name="x"))
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    with device.sessions(SPACE) as session:
        tag = session.scalars(select(Tag)).one()
        session.delete(tag)
        session.flush()
        if apart:
            session.commit()
        make_transient(tag)
        session.add(tag)
        session.commit()
    other.take_from(device)
    found = []
    for one in (device, other):
        assert check(one.sessions).ok
        one.check()
        with one.sessions() as session:
            found.append(session.execute(text("SELECT lichen_begun FROM tag")).scalar())
    assert found == [int(later * 1000)] * 2


def test_a_row_has_not_the_id_of_a_deleted_one_of_another_class(device: Device) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add(Tag(name="x"))
    before = device.rows()
    ((_, taken),) = before
    for together in (True, False):
        with device.sessions(SPACE) as session:
            session.execute(delete(Tag))
            if not together:
                session.commit()
            session.execute(insert(Topic).values(id=taken, name="of its id"))
            with pytest.raises(SessionMisuse, match="of topic has the id of a row of tag"):
                session.commit()
        device.check()
    assert device.rows() == {}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # the other has a type for them
@pytest.mark.parametrize("written", [str, lambda one: one.hex.upper(), lambda one: one.bytes, lambda _: "x"])
def test_an_id_in_another_form_is_refused(device: Device, written: Callable[[uuid.UUID], object]) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add_all([User(name="ann"), Tag(name="x")])
    before = device.rows()
    user, tag = sorted(before)[::-1]
    for row in ("address (id, email, uses, user_id) VALUES (:id, '', 0, :user)", "user_tag VALUES (:user, :id)"):
        with device.sessions(SPACE) as session:
            one = tag[1] if row.startswith("user_tag") else uuid.UUID(int=0xABCDEF << 96)
            session.execute(text("PRAGMA defer_foreign_keys = ON"))
            session.execute(text(f"INSERT INTO {row}"), {"id": written(one), "user": user[1].hex})
            with pytest.raises(SessionMisuse, match="which is not 32 small hexadecimal digits"):
                session.commit()
    assert device.rows() == before
    device.check()


def test_what_was_rolled_back_in_one_space_is_not_added_to_another_under_its_id(device: Device) -> None:
    user = User(name="ann")
    with device.sessions(SPACE) as session:
        session.add(user)
        session.flush()
        session.rollback()
    with device.sessions(OTHER_SPACE) as session:
        session.add(user)
        with pytest.raises(SessionMisuse, match="for this space"):
            session.commit()
        session.rollback()
        user.id = None  # type: ignore[assignment]  # as it was
        session.add(user)
        session.commit()
    device.check()


def test_of_too_many_the_oldest_are_forgotten_and_those_that_were_committed() -> None:
    begun = {uuid.UUID(int=number): Begun(SPACE, number.to_bytes(16)) for number in range(5)}
    oldest, committed, *kept = begun
    unused = UnusedIds(most=4)
    unused.keep(begun)
    unused.forget([committed])
    assert {row: unused.of(row) for row in begun} == begun | {oldest: None, committed: None}
    assert len(kept) == 3
