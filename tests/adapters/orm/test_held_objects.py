"""Objects over joined tables are held whole, and return whole, whichever of their rows does not fit."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from lichen.testing.postgres import PostgresServer
from lichen_adapters.orm import DocId, HeldRow, Synced, check, conflicts, rebuild
from lichen_crdt import Document
from orm_devices import SPACE, Device
from sqlalchemy import CheckConstraint, ForeignKey, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The models of these tests."""


class Animal(Synced, Base):
    """The base, with parts and a unique key."""

    __tablename__ = "animal"
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    visits: Mapped[list[Visit]] = relationship(back_populates="animal", cascade="all, delete-orphan")
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}


class Visit(Synced, Base, part_of="animal_id"):
    """A part, and itself a base. Its table comes before those of the subclasses."""

    __tablename__ = "a_visit"
    day: Mapped[int]
    kind: Mapped[str]
    animal_id: Mapped[DocId] = mapped_column(ForeignKey("animal.id"))
    animal: Mapped[Animal] = relationship(back_populates="visits")
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "visit"}


class Operation(Visit):
    """A part over two tables."""

    __tablename__ = "operation"
    id: Mapped[DocId] = mapped_column(ForeignKey("a_visit.id"), primary_key=True)
    hours: Mapped[int] = mapped_column(CheckConstraint("hours < 24"))
    __mapper_args__: ClassVar = {"polymorphic_identity": "operation"}


class Dog(Animal):
    """In a table of its own."""

    __tablename__ = "dog"
    id: Mapped[DocId] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    tricks: Mapped[str]
    age: Mapped[int] = mapped_column(CheckConstraint("age < 40"))
    __mapper_args__: ClassVar = {"polymorphic_identity": "dog"}


class Guide(Dog):
    """Over three tables."""

    __tablename__ = "guide"
    id: Mapped[DocId] = mapped_column(ForeignKey("dog.id"), primary_key=True)
    of: Mapped[str]
    __mapper_args__: ClassVar = {"polymorphic_identity": "guide"}


class Leash(Base):
    """Without sync: it points at an animal, and lets the database delete none."""

    __tablename__ = "leash"
    id: Mapped[int] = mapped_column(primary_key=True)
    animal_id: Mapped[DocId] = mapped_column(ForeignKey("animal.id"))


@pytest.fixture(params=["sqlite", "postgresql"])
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Device, Device, uuid.UUID, uuid.UUID]]:
    """Two devices with a guide dog, which was operated, and a dog; the ids of both."""
    server: PostgresServer | None = None
    if request.param == "postgresql":
        Device.server = server = request.getfixturevalue("postgres_server")
    try:
        one, other = Device(tmp_path, "one", Base), Device(tmp_path, "other", Base)
    finally:
        Device.server = None
    with one.sessions.begin(SPACE) as session:
        rex = Guide(name="rex", tricks="sit", age=3, of="ann", visits=[Visit(day=1), Operation(day=2, hours=3)])
        ben = Dog(name="ben", tricks="roll", age=4)
        session.add_all([rex, ben])
        session.flush()
        names = rex.id, ben.id
    other.take_from(one)
    yield one, other, *names
    for device in (one, other):
        assert check(device.sessions).ok
        device.check()
        _whole(device)
        held = device.held()
        assert rebuild(device.sessions, Animal).wrong == 0
        assert device.held() == held
        device.stop()
    if server is not None:
        server.drop_all()


def _whole(device: Device) -> None:
    """Every object that is shown can be read."""
    with device.sessions() as session:
        for animal in session.scalars(select(Animal)):
            assert not isinstance(animal, Dog) or (animal.tricks, animal.age)
            assert not isinstance(animal, Guide) or animal.of
            for visit in animal.visits:
                assert not isinstance(visit, Operation) or visit.hours


def put(table: str, key: uuid.UUID, **values: object) -> Callable[[Document], Any]:
    return lambda document: document.map(f"@{table}/{key.hex}").update(values)


@pytest.mark.parametrize(
    ("table", "column", "bad", "good", "reason"),
    [
        ("dog", "age", "old", 5, "age: 'old' is no int"),
        ("dog", "age", 50, 5, "check constraint"),
        ("guide", "of", None, "cleo", "not"),
    ],
)
def test_an_object_goes_and_comes_whole(
    pair: tuple[Device, Device, uuid.UUID, uuid.UUID], table: str, column: str, bad: object, good: object, reason: str
) -> None:
    one, other, rex, _ = pair
    one.edit(rex, put(table, rex, **{column: bad}))
    one.edit(rex, lambda document: document.update(name="max"))  # it is tried again, and fits no better
    other.take_from(one)
    for device in (one, other):
        device.check()
        with device.sessions() as session:
            assert session.scalars(select(Animal)).one().name == "ben"
            assert session.scalars(select(Visit)).all() == []
            (held,) = conflicts(session)
            assert isinstance(held, HeldRow)
            assert (held.cls, held.id) == (Guide, rex)
            assert reason in held.reason.lower()
            assert held.values["name"] == "max"
    one.edit(rex, put(table, rex, **{column: good}))
    other.take_from(one)
    for device in (one, other):
        device.check()
        with device.sessions() as session:
            guide = session.get_one(Guide, rex)
            assert (guide.name, getattr(guide, column), len(guide.visits)) == ("max", good, 2)
            assert conflicts(session) == []


def test_one_is_held_whole_where_it_is_new_and_where_its_rows_are_written_anew(
    pair: tuple[Device, Device, uuid.UUID, uuid.UUID], tmp_path: Path
) -> None:
    one, _, rex, ben = pair
    one.edit(rex, put("guide", rex, of=None))
    one.edit(ben, put("dog", ben, age=70))
    third = Device(tmp_path, "third", Base)
    third.take_from(one)
    third.check()
    assert third.held() == one.held()
    assert third.rows() == {}
    assert rebuild(third.sessions, Animal).wrong == 0
    third.check()
    assert third.held() == one.held()
    third.stop()


def test_many_that_one_transaction_brings_are_each_held_or_shown(
    pair: tuple[Device, Device, uuid.UUID, uuid.UUID],
) -> None:
    one, other, rex, ben = pair
    with one.sessions.begin(SPACE) as session:
        session.add(Dog(name="eve", tricks="run", age=1))
        session.get_one(Guide, rex).tricks = "fetch"
        session.get_one(Dog, ben).tricks = "fetch"
    one.edit(ben, put("dog", ben, tricks=None))
    other.take_from(one)
    with other.sessions() as session:
        assert {dog.name: dog.tricks for dog in session.scalars(select(Dog))} == {"rex": "fetch", "eve": "run"}


def test_it_is_resolved_as_one_object(pair: tuple[Device, Device, uuid.UUID, uuid.UUID]) -> None:
    one, other, rex, _ = pair
    one.edit(rex, put("dog", rex, age=50))
    with one.sessions.begin() as session:
        (held,) = conflicts(session)
        assert isinstance(held, HeldRow)
        with pytest.raises(IntegrityError):
            held.resolve(age=60)
    assert {table for table, key in one.held() if key == rex} == {"animal", "dog", "guide"}
    assert ("animal", rex) not in one.rows()
    with one.sessions.begin() as session:
        (held,) = conflicts(session)
        assert isinstance(held, HeldRow)
        guide = held.resolve(name="max", age=6, of="ben")
        assert (type(guide), guide.name, guide.age, guide.tricks, guide.of) == (Guide, "max", 6, "sit", "ben")
    other.take_from(one)
    for device in (one, other):
        device.check()
        assert device.held() == set()
        with device.sessions() as session:
            guide = session.get_one(Guide, rex)
            assert (guide.name, guide.age, guide.of, len(guide.visits)) == ("max", 6, "ben", 2)


def test_it_is_removed_as_one_object(pair: tuple[Device, Device, uuid.UUID, uuid.UUID]) -> None:
    one, other, rex, _ = pair
    one.edit(rex, put("dog", rex, age=50))
    with one.sessions.begin() as session:
        (held,) = conflicts(session)
        assert isinstance(held, HeldRow)
        held.remove()
    other.take_from(one)
    for device in (one, other):
        assert device.held() == set()
        with device.sessions() as session:
            assert conflicts(session) == []
            assert session.scalars(select(Animal.name)).all() == ["ben"]


def test_a_part_over_two_tables_is_held_whole_and_its_owner_shown(
    pair: tuple[Device, Device, uuid.UUID, uuid.UUID],
) -> None:
    one, other, rex, _ = pair
    with one.sessions() as session:
        name = session.scalars(select(Operation)).one().id
    one.edit(rex, put("operation", name, hours=30))
    other.take_from(one)
    for device in (one, other):
        device.check()
        with device.sessions() as session:
            assert [type(visit) for visit in session.get_one(Guide, rex).visits] == [Visit]
    with other.sessions.begin() as session:
        (held,) = conflicts(session)
        assert isinstance(held, HeldRow)
        assert (held.cls, held.values["day"], held.values["hours"]) == (Operation, 2, 30)
        held.resolve(day=3, hours=4)
    one.take_from(other)
    for device in (one, other):
        assert device.held() == set()
        with device.sessions() as session:
            operation = session.scalars(select(Operation)).one()
            assert (operation.day, operation.hours) == (3, 4)


def test_a_held_object_keeps_its_unique_key(pair: tuple[Device, Device, uuid.UUID, uuid.UUID]) -> None:
    one, other, rex, _ = pair
    with other.sessions.begin(SPACE) as session:
        session.add(Animal(name="max"))
    one.edit(rex, put("dog", rex, age=50))
    one.edit(rex, lambda document: document.update(name="max"))
    one.take_from(other)
    other.take_from(one)
    for device in (one, other):
        device.check()
        assert len(device.flagged()) == 1
    other.edit(rex, put("dog", rex, age=5))
    one.take_from(other)
    for device in (one, other):
        device.check()
        assert len(device.flagged()) == 1
        assert ("animal", rex) not in device.flagged()


def test_where_a_table_without_sync_points_at_it_all_of_it_stays_as_it_was(
    pair: tuple[Device, Device, uuid.UUID, uuid.UUID],
) -> None:
    one, _, _, ben = pair
    with one.sessions.begin() as session:
        session.add(Leash(animal_id=ben))
    one.edit(ben, put("dog", ben, age=50))
    assert one.held() == {("animal", ben), ("dog", ben)}
    with one.sessions() as session:
        assert session.get_one(Dog, ben).age == 4
    one.edit(ben, put("dog", ben, age=5))
    with one.sessions() as session:
        assert session.get_one(Dog, ben).age == 5
