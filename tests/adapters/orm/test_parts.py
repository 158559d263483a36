"""Parts at any depth lie in one document, and go with what owns them."""

from __future__ import annotations

import itertools
import uuid
from pathlib import Path
from typing import Any

import pytest
from lichen_adapters.orm import DocId, HeldRow, MappingError, SessionMisuse, Synced, conflicts
from lichen_adapters.orm.plan import Plan
from lichen_crdt import Document
from orm_devices import OTHER_SPACE, SPACE, Device
from orm_models import Address, Tag, User, Visit
from orm_people import move, named, shown, together, visits
from sqlalchemy import ForeignKey, delete, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def test_a_part_of_a_part_is_in_the_same_document(devices: list[Device]) -> None:
    assert shown(devices[1]) == {"ann": [("a@b", ["tea"])], "bob": [], "cid": []}
    with devices[1].sessions.begin() as session:
        session.scalars(select(Visit)).one().why = "cake"
    assert len(devices[1].told[-1]) == 1
    devices[0].take_from(devices[1])
    assert shown(devices[0])["ann"] == [("a@b", ["cake"])]


def test_the_first_parts_that_two_devices_add_are_both_there(devices: list[Device]) -> None:
    for device, email in zip(devices, "xy", strict=False):
        with device.sessions.begin() as session:
            bob = named(session, "bob")
            bob.addresses.append(Address(email=email))
    devices[0].take_from(devices[1])
    assert shown(devices[0])["bob"] == [("x", []), ("y", [])]


def test_what_was_added_to_a_part_that_went_goes_with_it(devices: list[Device]) -> None:
    one, other, _ = devices
    with one.sessions.begin() as session:
        session.execute(delete(Address))
    with other.sessions.begin() as session:
        address = session.scalars(select(Address)).one()
        address.visits.append(Visit(why="cake"))
    one.take_from(other)
    other.take_from(one)
    assert shown(one) == shown(other) == {"ann": [], "bob": [], "cid": []}
    (doc,) = (key for (_, key), row in one.rows().items() if row["name"] == "ann")

    def bring_back(document: Document) -> None:
        (address,) = (document[name] for name in document if name.startswith("@address/"))
        del address["@deleted"]

    one.edit(doc, bring_back)
    assert shown(one)["ann"] == [("a@b", ["cake"])]


def test_a_visit_that_moves_while_its_old_address_goes_is_there_on_the_other_device(devices: list[Device]) -> None:
    one, other, _ = devices
    with one.sessions.begin() as session:
        ann = named(session, "ann")
        visit = ann.addresses[0].visits[0]
        ann.addresses.append(Address(email="new"))
        visit.address = ann.addresses[1]
        session.flush()
        session.delete(ann.addresses[0])
    other.take_from(one)
    assert shown(other)["ann"] == [("new", ["tea"])]


@pytest.mark.parametrize("parts_first", [True, False])
def test_an_address_moves_to_another_document_with_all_in_it(devices: list[Device], parts_first: bool) -> None:
    one, other, _ = devices
    with one.sessions.begin() as session:
        to = named(session, "bob")
        to.addresses.append(session.scalars(select(Address)).one())
    docs = {name: key for (table, key), row in one.rows().items() if table == "user_account" for name in [row["name"]]}
    for name in ("ann", "bob") if parts_first else ("bob", "ann"):
        other.take_from(one, only=docs[name])
        other.check()
    assert shown(other) == {"ann": [], "bob": [("a@b", ["tea"])], "cid": []}


def test_an_address_that_two_devices_move_apart_is_in_one_place_on_all(devices: list[Device]) -> None:
    one, other, third = devices
    for device, name in ((one, "bob"), (other, "cid")):
        with device.sessions.begin() as session:
            to = named(session, name)
            to.addresses.append(session.scalars(select(Address)).one())
    with third.sessions.begin() as session:
        address = session.scalars(select(Address)).one()
        address.visits.append(Visit(why="cake"))
    for device in (*devices, *devices):
        for from_ in devices:
            if from_ is not device:
                device.take_from(from_)
                device.check()
    assert shown(one) == shown(other) == shown(third)
    assert sorted(map(len, shown(one).values())) == [0, 0, 1]
    winner = next(name for name, addresses in shown(one).items() if addresses)
    with one.sessions.begin() as session:
        session.delete(named(session, winner))
    for device in (other, third):
        device.take_from(one)
        assert sorted(map(len, shown(device).values())) == [0, 1]  # the other move is what there is now


@pytest.mark.parametrize("back", ["moved", "added"])
def test_what_was_put_into_an_address_that_went_is_there_when_it_is_back(devices: list[Device], back: str) -> None:
    one, other, third = devices
    with one.sessions.begin(SPACE) as session:
        session.add(Tag(name="seen"))
        address = session.scalars(select(Address)).one()
        lost = Address(id=address.id, user_id=address.user_id, email=address.email)
        if back == "added":
            session.delete(address)
    if back == "moved":
        move(one, "bob")
    other.take_from(one, only=next(key for table, key in one.rows() if table == "tag"))
    with other.sessions.begin() as session:
        visit = Visit(why="cake", marks=list(session.scalars(select(Tag))))
        address = session.scalars(select(Address)).one()
        address.visits.append(visit)
    one.take_from(other)
    assert [visits for _, visits in shown(one)["ann"]] == []
    if back == "moved":
        move(one, "ann")
    else:
        with one.sessions.begin() as session:
            session.add(lost)
    one.check()
    with one.sessions() as session:
        cake = session.scalars(select(Visit).where(Visit.why == "cake")).one()
        assert [tag.name for tag in cake.marks] == ["seen"]
    for device, from_ in ((other, one), (third, one), (third, other)):
        device.take_from(from_)
    assert shown(one) == shown(other) == shown(third)


def test_what_a_part_is_associated_with_stays_where_it_was_moved_while_another_deleted_it(
    devices: list[Device],
) -> None:
    one, other, _ = devices
    with one.sessions.begin(SPACE) as session:
        visit = session.scalars(select(Visit)).one()
        visit.marks.append(Tag(name="seen"))
    together(devices)
    move(one, "bob")
    with other.sessions.begin() as session:
        session.delete(session.scalars(select(Address)).one())
    together(devices)
    with one.sessions() as session:
        visit = session.scalars(select(Visit)).one()
        assert [tag.name for tag in visit.marks] == ["seen"]


@pytest.mark.parametrize("gone", ["deleted", "moved"])
def test_of_an_address_that_was_moved_apart_the_other_copy_is_shown_once_a_session_takes_the_first(
    devices: list[Device], gone: str
) -> None:
    one, other, third = devices
    for device, name in ((one, "bob"), (other, "cid")):
        move(device, name)
    one.take_from(other)
    if gone == "moved":
        move(one, "ann")
    else:
        with one.sessions.begin() as session:
            session.delete(session.scalars(select(Address)).one())
    one.check()
    for device in (other, third):
        device.take_from(one)
    third.take_from(other)
    assert shown(one) == shown(other) == shown(third)
    assert sorted(map(len, shown(one).values())) == [0, 0, 1]


def test_an_address_that_moves_to_another_space_is_deleted_in_its_own(devices: list[Device]) -> None:
    one, other, _ = devices
    with one.sessions.begin(OTHER_SPACE) as session:
        session.add(User(name="dan"))
    with one.sessions.begin() as session:
        dan, address = named(session, "dan"), session.scalars(select(Address)).one()
        dan.addresses.append(address)
        address.visits.append(Visit(why="cake"))
    docs = {row["name"]: key for (table, key), row in one.rows().items() if table == "user_account"}
    other.take_from(one, only=docs["ann"])  # it is in the first space alone
    assert shown(other)["ann"] == []
    other.take_from(one)
    assert shown(other)["dan"] == [("a@b", ["cake", "tea"])]


def test_a_part_without_cascade_in_the_database_goes_with_its_owner(tmp_path: Path) -> None:
    class Base(DeclarativeBase):
        pass

    class Note(Synced, Base):
        __tablename__ = "note"

    class Line(Synced, Base, part_of="note_id"):
        __tablename__ = "line"
        note_id: Mapped[DocId] = mapped_column(ForeignKey("note.id"))

    class Word(Synced, Base, part_of="line_id"):
        __tablename__ = "word"
        line_id: Mapped[DocId] = mapped_column(ForeignKey("line.id"))

    one, other = Device(tmp_path, "a", Base), Device(tmp_path, "b", Base)
    with one.sessions.begin(SPACE) as session:
        session.add(note := Note())
        session.flush()
        session.add(line := Line(note_id=note.id))
        session.flush()
        session.add(Word(line_id=line.id))
    other.take_from(one)
    assert sorted(table for table, _ in other.rows()) == ["line", "note", "word"]
    with one.sessions.begin() as session:
        for table in ("word", "line"):
            session.execute(text(f"DELETE FROM {table}"))
    other.take_from(one)
    for device in (one, other):
        assert [table for table, _ in device.rows()] == ["note"]
        device.check()
        device.stop()


def test_a_part_without_an_owner_is_refused(tmp_path: Path) -> None:
    class Base(DeclarativeBase):
        pass

    class Note(Synced, Base):
        __tablename__ = "note"

    class Line(Synced, Base, part_of="note_id"):
        __tablename__ = "line"
        note_id: Mapped[DocId | None] = mapped_column(ForeignKey("note.id"))

    class Word(Synced, Base, part_of="line_id"):
        __tablename__ = "word"
        line_id: Mapped[DocId | None] = mapped_column(ForeignKey("line.id"))

    device = Device(tmp_path, "device", Base)
    for alone in (Line(), Word()):
        wrong = pytest.raises(SessionMisuse, match="but is part of what that points at")
        with wrong, device.sessions.begin(SPACE) as session:
            session.add(alone)
    assert device.rows() == {}
    device.stop()


def test_rows_of_a_table_that_would_be_parts_of_themselves_are_refused() -> None:
    class Base(DeclarativeBase):
        pass

    class Node(Synced, Base, part_of="parent_id"):
        __tablename__ = "node"
        parent_id: Mapped[DocId] = mapped_column(ForeignKey("node.id"))

    with pytest.raises(MappingError, match="parts of themselves"):
        Plan(Base.metadata)


def test_a_part_of_what_is_not_synced_is_refused() -> None:
    class Base(DeclarativeBase):
        pass

    class Plain(Base):
        __tablename__ = "plain"
        id: Mapped[uuid.UUID] = mapped_column(primary_key=True)

    class Part(Synced, Base, part_of="plain_id"):
        __tablename__ = "part"
        plain_id: Mapped[Any] = mapped_column(ForeignKey("plain.id"))

    with pytest.raises(MappingError, match=r"part\.plain_id does not point at the id of a synced class"):
        Plan(Base.metadata)


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_a_visit_that_moves_on_from_an_address_that_was_moved_apart(
    devices: list[Device], order: tuple[int, ...]
) -> None:
    one, other, _ = devices
    with one.sessions.begin(SPACE) as session:
        users = [User(name=f"user {number}") for number in range(3)]
        session.add_all(users)
        session.flush()
        by_id = [user.name for user in sorted(users, key=lambda user: user.id)]
    together(devices)
    here, there, on = (by_id[place] for place in order)
    for device, name in ((one, here), (other, there)):
        move(device, name)
    together(devices)
    with one.sessions.begin() as session:
        user, visit = named(session, on), session.scalars(select(Visit)).one()
        user.addresses.append(Address(email="new", visits=[visit]))
    together(devices)
    assert visits(one) == [("tea", "new")]
    with one.sessions.begin() as session:
        session.delete(session.scalars(select(Address).filter_by(email="new")).one())
    together(devices)
    with one.sessions.begin() as session:
        session.delete(session.scalars(select(Address)).one().user)
    together(devices)


@pytest.mark.parametrize("first", [0, 1])
def test_nothing_is_held_of_an_address_that_was_moved_apart_once_its_owners_went(
    devices: list[Device], first: int
) -> None:
    for device, name in zip(devices, ("bob", "cid"), strict=False):
        move(device, name)
    together(devices)
    with devices[0].sessions() as session:
        users = session.scalars(select(User.id).where(User.name != "ann").order_by(User.id)).all()
    for user in (users[first], users[1 - first]):
        with devices[0].sessions.begin() as session:
            session.execute(delete(User).where(User.id == user))
        together(devices)
    assert not devices[0].held_in()


@pytest.mark.parametrize("where", ["in its address", "in another"])
def test_people_can_remove_the_copy_of_a_visit_that_is_not_shown_since_its_address_was_moved_apart(
    devices: list[Device], where: str
) -> None:
    for device, name in zip(devices, ("bob", "cid"), strict=False):
        move(device, name)
    together(devices)
    one = devices[0]
    if where == "in another":
        with one.sessions.begin() as session:
            address, visit = session.scalars(select(Address)).one(), session.scalars(select(Visit)).one()
            address.user.addresses.append(Address(email="new", visits=[visit]))
        together(devices)
    then = shown(one)
    with one.sessions.begin() as session:
        (copy,) = (one for one in conflicts(session) if isinstance(one, HeldRow) and one.cls is Visit)
        copy.remove()
    together(devices)
    assert shown(one) == then
    assert [table for table, _, _ in one.held_in()] == ["address"]
