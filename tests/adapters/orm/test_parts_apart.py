"""Parts that sessions bring to where others have left them."""

from __future__ import annotations

from lichen_adapters.orm import conflicts
from orm_devices import SPACE, Device
from orm_models import Address, Tag, Visit
from orm_people import move, named, shown, together
from sqlalchemy import delete, select


def test_an_address_that_goes_where_its_copy_lies_is_shown_with_what_the_copy_has(devices: list[Device]) -> None:
    one, other, _ = devices
    move(one, "bob")
    move(other, "cid")
    together(devices)
    with one.sessions.begin() as session:
        session.execute(delete(Visit))
    there = next(name for name, addresses in shown(one).items() if name != "ann" and not addresses)
    move(one, there)
    assert shown(one)[there] == [("a@b", ["tea"])]
    together(devices)


def test_a_visit_that_is_inserted_again_has_what_it_was_associated_with(devices: list[Device]) -> None:
    one, other, _ = devices
    with one.sessions.begin(SPACE) as session:
        session.add(Tag(name="seen"))
    together(devices)
    with other.sessions.begin() as session:
        address, tag = session.scalars(select(Address)).one(), session.scalars(select(Tag)).one()
        address.visits.append(cake := Visit(why="cake", marks=[tag]))
        session.flush()
        lost = cake.id
    with one.sessions.begin() as session:
        session.delete(session.scalars(select(Address)).one())
    one.take_from(other)
    with one.sessions.begin() as session:
        ann = named(session, "ann")
        ann.addresses.append(Address(email="new", visits=[Visit(id=lost, why="cake")]))
    together(devices)
    with one.sessions() as session:
        visit = session.scalars(select(Visit)).one()
        assert [tag.name for tag in visit.marks] == ["seen"]


def test_a_deletion_is_no_conflict_once_what_another_put_there_went_elsewhere(devices: list[Device]) -> None:
    one, other, _ = devices
    with one.sessions.begin() as session:
        session.add(Address(email="new", user=named(session, "ann")))
    together(devices)
    with other.sessions.begin() as session:
        session.delete(session.scalars(select(Address).filter_by(email="new")).one())
    for email in ("new", "a@b"):
        with one.sessions.begin() as session:
            visit = session.scalars(select(Visit)).one()
            visit.address = session.scalars(select(Address).filter_by(email=email)).one()
    together(devices)
    with other.sessions() as session:
        assert conflicts(session) == []
