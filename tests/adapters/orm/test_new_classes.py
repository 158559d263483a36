"""Rows of classes that only a newer version of the application has: they are held until this one has them too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from lichen.store import Store
from lichen_adapters.orm import DocId, HeldRow, Misfit, SessionMisuse, Sessions, Synced, check, conflicts
from orm_devices import KEY, SPACE, Device
from sqlalchemy import ForeignKey, insert, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Old(DeclarativeBase):
    """The models of an application."""


class OldAnimal(Synced, Old):
    __tablename__ = "animal"
    name: Mapped[str]
    kind: Mapped[str]
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}


class New(DeclarativeBase):
    """The models of its next version."""


class Animal(Synced, New):
    __tablename__ = "animal"
    name: Mapped[str]
    kind: Mapped[str]
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}


class Cat(Animal):
    """In the table of its base."""

    __mapper_args__: ClassVar = {"polymorphic_identity": "cat"}


class Dog(Animal):
    """In a table of its own."""

    __tablename__ = "dog"
    id: Mapped[DocId] = mapped_column(ForeignKey("animal.id", ondelete="CASCADE"), primary_key=True)
    tricks: Mapped[str]
    __mapper_args__: ClassVar = {"polymorphic_identity": "dog"}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    """One with the old version and one with the new, which has one animal of each class."""
    old, new = Device(tmp_path, "old", Old), Device(tmp_path, "new", New)
    with new.sessions.begin(SPACE) as session:
        session.add_all([Animal(name="a"), Cat(name="c"), Dog(name="d", tricks="sit")])
    old.take_from(new)
    yield old, new
    for device in (old, new):
        assert check(device.sessions).ok
        device.stop()


def test_rows_of_unknown_classes_are_held_and_those_of_known_ones_shown(pair: tuple[Device, Device]) -> None:
    old, new = pair
    with old.sessions.begin() as session:
        assert [one.name for one in session.scalars(select(OldAnimal))] == ["a"]
        for held in conflicts(session):
            assert isinstance(held, HeldRow)
            assert "is no class that this version" in held.reason
            if held.values["name"] == "c":
                held.resolve(kind="animal")
    new.take_from(old)
    with new.sessions() as session:
        kinds = {one.name: type(one) for one in session.scalars(select(Animal))}
    assert kinds == {"a": Animal, "c": Animal, "d": Dog}


def test_they_come_back_with_the_version_that_has_their_classes(pair: tuple[Device, Device]) -> None:
    old, _ = pair
    old.stop()
    old.store, old._base = Store.open(old._path, KEY), New
    old.sessions = Sessions(old, New)
    old.sessions.prepare()
    with old.sessions() as session:
        kinds = {one.name: type(one) for one in session.scalars(select(Animal))}
        assert kinds == {"a": Animal, "c": Cat, "d": Dog}
        assert session.scalars(select(Dog)).one().tricks == "sit"
        assert conflicts(session) == []


def test_a_session_writes_no_class_that_there_is_not(pair: tuple[Device, Device]) -> None:
    old, _ = pair
    for write in (insert(OldAnimal).values(name="e", kind="eel"), update(OldAnimal).values(kind="eel")):
        with pytest.raises(Misfit, match="kind: 'eel' is no class"), old.sessions.begin(SPACE) as session:
            session.execute(write)


class Next(DeclarativeBase):
    """Models for which a store must be migrated first."""


class NextAnimal(Synced, Next):
    __tablename__ = "animal"
    name: Mapped[str]
    kind: Mapped[str]
    legs: Mapped[int | None]


class Bare(DeclarativeBase):
    """Models that have lost a column."""


class BareAnimal(Synced, Bare):
    __tablename__ = "animal"
    name: Mapped[str]


class Moved(DeclarativeBase):
    """Models of which the application's migrations have made nothing yet."""


class MovedAnimal(Synced, Moved):
    __tablename__ = "moved_animal"
    name: Mapped[str]


@pytest.mark.parametrize(
    ("models", "reason"),
    [
        (Next, "table animal of this store has no column legs, as its class has"),
        (Bare, "table animal of this store has a column kind that must not be empty, and its class has none"),
        (Moved, "table moved_animal of this store is not there"),
    ],
)
def test_a_store_whose_tables_are_of_another_version_is_refused(
    pair: tuple[Device, Device], models: type[DeclarativeBase], reason: str
) -> None:
    old, _ = pair
    before = old.rows()
    old.stop()
    old.store = Store.open(old._path, KEY)
    sessions = Sessions(old, models)
    with pytest.raises(SessionMisuse, match=reason):
        sessions.prepare(create=models is not Moved)
    sessions.close()
    old.sessions = Sessions(old, Old)
    old.sessions.prepare()
    assert old.rows() == before
