"""Commits taken back that brought parts from one document to another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lichen_adapters.orm import undo
from orm_commits import commit, take_back
from orm_devices import Device
from orm_models import Address, Tag, User, Visit
from orm_people import named, shown, together
from sqlalchemy import select
from sqlalchemy.orm import Session


def address(session: Session) -> Address:
    return session.scalars(select(Address)).one()


def move_to(name: str) -> Callable[[Session], None]:
    def work(session: Session) -> None:
        address(session).user = named(session, name)

    return work


def edit(session: Session) -> None:
    one = address(session)
    one.email = "new"
    one.uses += 3
    one.visits.append(Visit(why="cake"))


def test_what_others_wrote_into_a_part_that_was_moved_goes_back_with_it(devices: list[Device]) -> None:
    one, other, third = devices
    moved = commit(one, move_to("bob"))
    other.take_from(one)
    commit(other, edit)
    one.take_from(other)
    undone = commit(one, lambda session: undo(session, moved))
    assert shown(one) == {"ann": [("new", ["cake", "tea"])], "bob": [], "cid": []}
    together(devices)
    for device in devices:
        assert not take_back(device, moved)
    assert take_back(third, undone)
    with third.sessions() as session:
        assert (address(session).user.name, address(session).email, address(session).uses) == ("bob", "new", 3)
    together(devices)


def test_a_part_that_moved_on_since_it_was_moved_stays_there(devices: list[Device]) -> None:
    one, other, _ = devices
    moved = commit(one, move_to("bob"))
    other.take_from(one)
    commit(other, edit)
    commit(other, move_to("cid"))
    one.take_from(other)
    assert not take_back(one, moved)
    assert shown(one)["cid"] == [("new", ["cake", "tea"])]
    together(devices)


def test_a_part_that_was_deleted_since_it_was_moved_stays_so(devices: list[Device]) -> None:
    one, other, _ = devices
    moved = commit(one, move_to("bob"))
    other.take_from(one)
    commit(other, lambda session: session.delete(address(session)))
    one.take_from(other)
    assert not take_back(one, moved)
    assert shown(one) == {"ann": [], "bob": [], "cid": []}
    together(devices)


@pytest.mark.parametrize("edited", [True, False])
def test_a_part_goes_back_from_an_owner_that_the_commit_made(devices: list[Device], edited: bool) -> None:
    one, other, _ = devices

    def move(session: Session) -> None:
        part = address(session)
        part.user = User(name="dan")
        part.uses = 5

    moved = commit(one, move)
    other.take_from(one)
    if edited:
        commit(other, edit)
    one.take_from(other)
    assert take_back(one, moved)
    with one.sessions() as session:
        assert (address(session).user.name, address(session).uses) == ("ann", 3 if edited else 0)
        assert ("dan" in session.scalars(select(User.name)).all()) == edited
    together(devices)


def test_associations_of_a_part_go_back_with_it(devices: list[Device]) -> None:
    one, other, _ = devices

    def tags(session: Session, *names: str) -> list[Tag]:
        return [tag for tag in session.scalars(select(Tag)) if tag.name in names]

    def add(session: Session) -> None:
        session.add_all([Tag(name="red"), Tag(name="blue"), Tag(name="green")])
        session.scalars(select(Visit)).one().marks = tags(session, "red", "blue")

    def move(session: Session) -> None:
        address(session).user = named(session, "bob")
        session.scalars(select(Visit)).one().marks = tags(session, "blue", "green")

    def unmark(session: Session) -> None:
        visit = session.scalars(select(Visit)).one()
        visit.marks = [tag for tag in visit.marks if tag.name != "blue"]

    commit(one, add)
    moved = commit(one, move)
    other.take_from(one)
    commit(other, unmark)
    one.take_from(other)
    assert take_back(one, moved)
    with one.sessions() as session:
        visit = session.scalars(select(Visit)).one()
        assert [tag.name for tag in visit.marks] == ["red"]  # the other has taken blue out
        assert visit.address.user.name == "ann"
    together(devices)
