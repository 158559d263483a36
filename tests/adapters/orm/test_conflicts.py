"""What merges left to people: listed on every device alike, and settled by one call for all of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lichen.errors import NotFound
from lichen_adapters.orm import (
    Clash,
    Conflict,
    Dispute,
    EditedDeletion,
    HeldRow,
    SessionMisuse,
    conflicts,
    restore,
)
from orm_devices import SPACE, Device, exchange
from orm_models import Address, Draft, Tag, User
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device, uuid.UUID]]:
    """Two devices with one user, who has two addresses."""
    one, other = Device(tmp_path, "one"), Device(tmp_path, "other")
    with one.sessions.begin(SPACE) as session:
        user = User(name="ann", addresses=[Address(email="a@b"), Address(email="c@d")])
        session.add(user)
        session.flush()
        name = user.id
    exchange(one, other)
    yield one, other, name
    one.stop()
    other.stop()


def change(device: Device, cls: type[Any], row: uuid.UUID, **values: Any) -> None:
    with device.sessions.begin() as session:
        found = session.get_one(cls, row)
        for name, value in values.items():
            setattr(found, name, value)


def found(device: Device) -> list[Conflict]:
    with device.sessions() as session:
        return conflicts(session)


def settle(device: Device, work: Callable[[Any, Session], object], kind: type[Any]) -> None:
    """Settle the one conflict that there is."""
    with device.sessions.begin(SPACE) as session:
        (conflict,) = conflicts(session)
        assert type(conflict) is kind
        work(conflict, session)


def test_a_column_that_two_wrote_shows_both_values_until_one_of_them_is_written(
    pair: tuple[Device, Device, uuid.UUID],
) -> None:
    one, other, ann = pair
    change(one, User, ann, name="Anna", fullname="A")
    change(other, User, ann, name="Anne")
    exchange(one, other)
    for device in (one, other):
        with device.sessions() as session:
            (conflict,) = conflicts(session)
            assert isinstance(conflict, Dispute)
            assert conflict.column == "name"
            assert {side.value for side in conflict.sides} == {"Anna", "Anne"}
            assert conflict.sides[-1].value == conflict.row.name
    change(one, User, ann, fullname="B")
    exchange(one, other)
    assert len(found(one)) == len(found(other)) == 1
    settle(other, lambda conflict, _: conflict.resolve(conflict.row.name), Dispute)
    assert found(other) == []
    exchange(one, other)
    assert found(one) == []


def test_what_the_loser_wrote_can_be_chosen_too(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, other, ann = pair
    change(one, User, ann, born=None, name="Anna")
    change(other, User, ann, name="Anne")
    exchange(one, other)
    settle(one, lambda conflict, _: conflict.resolve(conflict.sides[0].value), Dispute)
    exchange(one, other)
    assert found(one) == found(other) == []
    with one.sessions() as first, other.sessions() as second:
        assert first.get_one(User, ann).name == second.get_one(User, ann).name


def test_a_value_that_is_not_committed_settles_nothing(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, other, ann = pair
    change(one, User, ann, name="Anna")
    change(other, User, ann, name="Anne")
    exchange(one, other)
    with one.sessions() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, Dispute)
        conflict.resolve("Ann")
        session.flush()
        session.rollback()
    change(one, User, ann, fullname="C")
    assert len(found(one)) == 1


@pytest.mark.parametrize("deleted_first", [True, False])
def test_a_row_that_one_deleted_and_another_edited_comes_back_with_the_edits(
    pair: tuple[Device, Device, uuid.UUID], deleted_first: bool
) -> None:
    one, other, ann = pair
    change(one, User, ann, bio="hello")
    with one.sessions.begin() as session:
        user = session.get_one(User, ann)
        user.addresses[0].email = "new@b"
        user.addresses.append(Address(email="more@b"))
    with other.sessions.begin() as session:
        session.delete(session.get_one(User, ann))
    exchange(*((one, other) if deleted_first else (other, one)))
    assert [type(conflict) for conflict in found(one) + found(other)] == [EditedDeletion, EditedDeletion]
    with one.sessions() as session:
        assert session.scalars(select(User)).all() == []
    settle(other, lambda conflict, _: conflict.restore(), EditedDeletion)
    exchange(one, other)
    for device in (one, other):
        assert found(device) == []
        with device.sessions() as session:
            user = session.scalars(select(User)).one()
            assert (user.name, user.bio) == ("ann", "hello")
            assert sorted(address.email for address in user.addresses) in (
                ["c@d", "more@b", "new@b"],
                ["a@b", "more@b", "new@b"],
            )


def tags_of(device: Device) -> list[str]:
    with device.sessions() as session:
        return sorted(tag.name for user in session.scalars(select(User)) for tag in user.marks)


@pytest.mark.parametrize("deleted_first", [True, False])
def test_a_pair_that_others_added_to_a_deleted_row_is_an_edit_and_comes_back_with_those_it_had(
    pair: tuple[Device, Device, uuid.UUID], deleted_first: bool
) -> None:
    one, other, ann = pair
    with one.sessions.begin(SPACE) as session:
        user = session.get_one(User, ann)
        user.marks.extend([Tag(name="had"), Tag(name="gone")])
        session.add(Tag(name="new"))
    exchange(one, other)
    with one.sessions.begin() as session:
        user = session.get_one(User, ann)
        user.marks.append(session.scalars(select(Tag).where(Tag.name == "new")).one())
    with other.sessions.begin() as session:
        session.delete(session.get_one(User, ann))
    with other.sessions.begin() as session:
        session.delete(session.scalars(select(Tag).where(Tag.name == "gone")).one())
    exchange(*((one, other) if deleted_first else (other, one)))
    for device in (one, other):
        device.check()
        assert [type(conflict) for conflict in found(device)] == [EditedDeletion]
    with other.sessions() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, EditedDeletion)
        assert sorted(tag.name for tag in conflict.restore().marks) == ["had", "new"]
        session.commit()
    exchange(one, other)
    for device in (one, other):
        device.check()
        assert (tags_of(device), found(device)) == (["had", "new"], [])


def test_an_edit_that_lost_is_one_that_the_deletion_did_not_know_of(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, other, ann = pair
    for name in ("x", "y", "z"):  # whose operations are more wins
        change(one, User, ann, name=name)
    with one.sessions.begin() as session:
        session.delete(session.scalars(select(User)).one())
    change(other, User, ann, name="lost")
    exchange(one, other)
    for device in pair[:2]:
        (conflict,) = found(device)
        assert isinstance(conflict, EditedDeletion)
        assert conflict.values["name"] == "z"
    settle(one, lambda conflict, _: conflict.restore(), EditedDeletion)
    exchange(one, other)
    (dispute,) = found(other)
    assert isinstance(dispute, Dispute)
    assert {side.value for side in dispute.sides} == {"z", "lost"}


def test_what_was_taken_back_is_no_edit_of_a_deleted_row(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, other, ann = pair
    with one.sessions.begin() as session:
        session.delete(session.scalars(select(User)).one())
    change(other, User, ann, name="eve")
    one.take_from(other)
    assert [type(conflict) for conflict in found(one)] == [EditedDeletion]
    change(other, User, ann, name="ann")
    exchange(one, other)
    assert found(one) == found(other) == []


def test_a_text_that_is_typed_anew_as_it_was_is_no_edit_of_a_deleted_row(
    pair: tuple[Device, Device, uuid.UUID],
) -> None:
    one, other, ann = pair
    change(one, User, ann, bio="hello", steps=[1, "two"])
    exchange(one, other)
    with one.sessions.begin() as session:
        session.delete(session.scalars(select(User)).one())
    change(other, User, ann, bio="", steps=[])
    change(other, User, ann, bio="hello", steps=[1, "two"])
    exchange(one, other)
    assert found(one) == found(other) == []


def test_what_its_owner_took_with_it_is_no_conflict_of_its_own_any_more(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, other, ann = pair
    with one.sessions.begin() as session:
        session.scalars(select(Address)).first().uses += 3  # type: ignore[union-attr]  # there are two
    with other.sessions.begin() as session:
        session.execute(delete(Address))
    exchange(one, other)
    assert len(found(one)) == 1
    with one.sessions.begin() as session:
        session.delete(session.get_one(User, ann))
    assert found(one) == []
    one.check()


def test_a_part_that_one_deleted_and_another_edited_is_a_conflict_of_its_own(
    pair: tuple[Device, Device, uuid.UUID],
) -> None:
    one, other, _ = pair
    with one.sessions.begin() as session:
        address = session.scalars(select(Address).where(Address.email == "a@b")).one()
        part = address.id
        address.uses += 3
    with other.sessions.begin() as session:
        session.execute(delete(Address).where(Address.id == part))
        session.execute(delete(Address).where(Address.email == "c@d"))
    exchange(one, other)
    for device in (one, other):
        (conflict,) = found(device)
        assert isinstance(conflict, EditedDeletion)
        assert conflict.id == part
        assert conflict.values["uses"] == 3
    settle(one, lambda conflict, _: conflict.remove(), EditedDeletion)
    exchange(one, other)
    assert found(one) == found(other) == []
    with one.sessions() as session:
        assert session.scalars(select(Address)).all() == []


def test_a_part_is_no_conflict_of_its_own_any_more_when_all_of_its_document_is_deleted(
    pair: tuple[Device, Device, uuid.UUID],
) -> None:
    one, other, ann = pair
    with one.sessions.begin() as session:
        session.scalars(select(Address).where(Address.email == "a@b")).one().uses += 3
    with other.sessions.begin() as session:
        session.execute(delete(Address).where(Address.email == "a@b"))
    exchange(one, other)
    assert len(found(one)) == len(found(other)) == 1
    with one.sessions.begin() as session:
        session.delete(session.get_one(User, ann))
    one.check()
    exchange(one, other)
    assert found(one) == found(other) == []


def test_what_was_deleted_without_an_edit_is_no_conflict_and_can_be_restored(
    pair: tuple[Device, Device, uuid.UUID],
) -> None:
    one, other, ann = pair
    with one.sessions.begin() as session:
        first, second = session.get_one(User, ann).addresses
        gone, email = first.id, second.email
        session.delete(first)
    with one.sessions.begin() as session:
        session.delete(session.get_one(User, ann))
    exchange(one, other)
    assert found(one) == found(other) == []
    with other.sessions.begin() as session:
        assert [address.email for address in restore(session, User, ann).addresses] == [email]
    exchange(one, other)
    with one.sessions.begin() as session:
        assert restore(session, Address, gone, document=ann).user.id == ann
        with pytest.raises(NotFound, match="no deleted row"):
            restore(session, User, ann)
        with pytest.raises(NotFound, match="not on this device"):
            restore(session, User, uuid.uuid4())
        with pytest.raises(NotFound, match="not known in which document"):
            restore(session, Address, uuid.uuid4())
    exchange(one, other)
    assert len(other.rows()) == 3


def test_a_clash_names_both_rows_and_ends_when_one_has_another_key(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, other, _ = pair
    for device in (one, other):
        with device.sessions.begin(SPACE) as session:
            session.add(Tag(name="todo"))
    exchange(one, other)
    for device in (one, other):
        with device.sessions() as session:
            (conflict,) = conflicts(session)
            assert isinstance(conflict, Clash)
            assert conflict.columns == ("name",)
            assert conflict.standing is not None
            assert conflict.row.name == conflict.standing.name == "todo"
            assert conflict.row is not conflict.standing
    settle(one, lambda conflict, _: conflict.resolve(name="later"), Clash)
    exchange(one, other)
    assert found(one) == found(other) == []
    for device in (one, other):
        with device.sessions.begin(SPACE) as session:
            session.add(Tag(name="soon"))
    exchange(one, other)
    settle(other, lambda conflict, _: conflict.remove(), Clash)
    exchange(one, other)
    with one.sessions() as session:
        assert sorted(session.scalars(select(Tag.name))) == ["later", "soon", "todo"]


def test_a_held_row_returns_with_other_values_or_goes(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, other, ann = pair
    one.edit(ann, lambda document: document.update(born="long ago", age=200))
    exchange(one, other)
    for device in (one, other):
        (conflict,) = found(device)
        assert isinstance(conflict, HeldRow)
        assert (conflict.cls, conflict.id, conflict.values["name"]) == (User, ann, "ann")
        assert "born" in conflict.reason
        assert "born" not in conflict.values
    with one.sessions() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, HeldRow)
        with pytest.raises(IntegrityError):
            conflict.resolve(born=None)
    settle(one, lambda conflict, _: conflict.resolve(born=None, age=20), HeldRow)
    assert found(one) == []
    exchange(one, other)
    assert found(other) == []
    with other.sessions() as session:
        assert session.get_one(User, ann).age == 20
        assert len(session.get_one(User, ann).addresses) == 2
    other.edit(ann, lambda document: document.update(age=200))
    exchange(one, other)
    settle(one, lambda conflict, _: conflict.remove(), HeldRow)
    exchange(one, other)
    assert found(one) == found(other) == []
    assert one.rows() == {}


def test_sessions_of_others_and_classes_that_are_not_synced_are_refused(
    pair: tuple[Device, Device, uuid.UUID],
) -> None:
    one, _, ann = pair
    with pytest.raises(SessionMisuse, match="not the engine's"):
        conflicts(Session())
    with one.sessions() as session, pytest.raises(SessionMisuse, match="not a synced class"):
        restore(session, Draft, ann)
