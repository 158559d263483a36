"""Of rows with one unique key the one that stands: the same on all devices, also where a relationship holds one row."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from lichen_adapters.orm import Clash, DocId, SessionMisuse, Synced, at, conflicts, standing
from lichen_adapters.orm.query import Query
from orm_devices import SPACE, Device, exchange
from sqlalchemy import ForeignKey, and_, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
)


class Base(DeclarativeBase):
    """The models of these tests."""


class Person(Synced, Base):
    __tablename__ = "person"
    name: Mapped[str]
    passport: Mapped[Passport | None] = relationship(
        back_populates="person",
        cascade="all, delete-orphan",
        passive_deletes=True,
        primaryjoin=lambda: and_(Passport.person_id == Person.id, standing(Passport)),
    )


class Passport(Synced, Base, part_of="person_id"):
    __tablename__ = "passport"
    number: Mapped[str]
    person_id: Mapped[DocId] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), unique=True)
    person: Mapped[Person] = relationship(back_populates="passport")


class Card(Synced, Base):
    __tablename__ = "card"
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "card"}


class Pass(Card):
    __tablename__ = "pass"
    id: Mapped[DocId] = mapped_column(ForeignKey("card.id", ondelete="CASCADE"), primary_key=True)
    gate: Mapped[int] = mapped_column(unique=True)
    __mapper_args__: ClassVar = {"polymorphic_identity": "pass"}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    """Two devices, each of which has given Ann a passport."""
    one, other = Device(tmp_path, "one", Base), Device(tmp_path, "other", Base)
    with one.sessions.begin(SPACE) as session:
        session.add(Person(name="Ann"))
    exchange(one, other)
    for number, device in enumerate((one, other)):
        with device.sessions.begin() as session:
            session.scalars(select(Person)).one().passport = Passport(number=str(number))
    exchange(one, other)
    yield one, other
    exchange(one, other)
    assert one.rows() == other.rows()
    for device in (one, other):
        device.stop()


def test_a_relationship_of_one_row_reads_the_one_that_stands_and_the_other_is_a_conflict(
    pair: tuple[Device, Device],
) -> None:
    seen = set()
    for device in pair:
        with device.sessions() as session:
            person = session.scalars(select(Person)).one()
            assert person.passport is not None
            assert person.passport.person is person
            seen.add(person.passport.id)
            for load in (joinedload, selectinload):
                session.expunge_all()
                loaded = session.scalars(select(Person).options(load(Person.passport))).one()
                assert loaded.passport is not None
                seen.add(loaded.passport.id)
            (clash,) = conflicts(session)
            assert isinstance(clash, Clash)
            assert (clash.standing.id, clash.row.person) == (loaded.passport.id, loaded)
    assert len(seen) == 1


def test_a_person_of_the_past_has_the_one_that_stood(pair: tuple[Device, Device]) -> None:
    one, other = pair
    with one.sessions.begin(SPACE) as session:  # several, since one may have the lesser id by chance
        session.add_all([Person(name=str(number)) for number in range(8)])
    exchange(one, other)
    for device in pair:
        with device.sessions.begin() as session:
            for person in session.scalars(select(Person).where(Person.name != "Ann")):
                person.passport = Passport(number="")
    exchange(one, other)
    with one.sessions() as session:
        for person in session.scalars(select(Person)):
            assert person.passport is not None
            old = at(session, person, datetime.datetime.now(datetime.UTC))
            assert old.passport is not None
            assert (old.passport.id, old.passport.person) == (person.passport.id, old)


def test_when_the_one_that_stands_goes_the_other_stands(pair: tuple[Device, Device]) -> None:
    one, other = pair
    with one.sessions.begin() as session:
        person = session.scalars(select(Person)).one()
        before, person.passport = person.passport, None
        assert before is not None
    exchange(one, other)
    with other.sessions() as session:
        now = session.scalars(select(Person)).one().passport
        assert now is not None
        assert (now.number != before.number, conflicts(session)) == (True, [])


def test_with_its_owner_both_go(pair: tuple[Device, Device]) -> None:
    with pair[0].sessions.begin() as session:
        session.delete(session.scalars(select(Person)).one())
    assert not [place for place in pair[0].rows() if place[0] == "passport"]


def test_a_query_of_those_that_stand_is_run_again_when_another_does(pair: tuple[Device, Device]) -> None:
    one, other = pair
    mine = aliased(Passport)
    with one.sessions() as session:
        assert len(session.scalars(select(mine).where(standing(mine))).all()) == 1
    query = Query(one.sessions, select(Passport.number).where(standing(Passport)), ())
    query.listen(lambda: None)
    (before,) = query.next() or ()
    with other.sessions.begin() as session:
        session.delete(session.scalars(select(Passport).where(standing(Passport))).one())
    exchange(one, other)
    (now,) = query.next() or ()
    assert {before, now} == {"0", "1"}


def test_a_row_of_joined_tables_stands_in_both(pair: tuple[Device, Device]) -> None:
    one, other = pair
    with one.sessions.begin(SPACE) as session:
        session.add_all([Pass(name="a", gate=1), Pass(name="b", gate=2)])
    with other.sessions.begin(SPACE) as session:
        session.add_all([Pass(name="a", gate=3), Pass(name="c", gate=2), Card(name="b")])
    exchange(one, other)
    for device in pair:
        back = {row for _, row in device.flagged()}
        mine = aliased(Pass, flat=True)
        with device.sessions() as session:
            every = session.scalars(select(Pass.id)).all()
            assert {*session.scalars(select(Pass.id).where(standing(Pass)))} == {*every} - back
            assert {*session.scalars(select(mine.id).where(standing(mine)))} == {*every} - back
        assert (len(every), len({*every} - back) < 3) == (4, True)


def test_a_class_without_unique_keys_has_no_rows_that_stand_back() -> None:
    for cls in (Person, Base):
        with pytest.raises(SessionMisuse, match="has no unique keys"):
            standing(cls)
