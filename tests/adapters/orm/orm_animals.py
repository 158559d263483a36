"""Classes over one, two and three joined tables, with parts, and a table without sync that points at them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from lichen_adapters.orm import DocId, Synced, check, rebuild
from lichen_crdt import Document
from orm_devices import SPACE, Device
from sqlalchemy import CheckConstraint, ForeignKey, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, object_mapper, relationship


class Base(DeclarativeBase):
    """The models of these tests."""


class Animal(Synced, Base):
    """The base, with parts and a unique key."""

    __tablename__ = "animal"
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    visits: Mapped[list[Visit]] = relationship(back_populates="animal", cascade="all, delete-orphan")
    toys: Mapped[list[Toy]] = relationship(cascade="all, delete-orphan")
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}


class Visit(Synced, Base, part_of="animal_id"):
    """A part, and itself a base. Its table comes before those of the subclasses."""

    __tablename__ = "a_visit"
    day: Mapped[int]
    kind: Mapped[str]
    animal_id: Mapped[DocId] = mapped_column(ForeignKey("animal.id"))
    animal: Mapped[Animal] = relationship(back_populates="visits")
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "visit"}


class Toy(Synced, Base, part_of="animal_id"):
    """A part that owns nothing. Its table too comes before those of the subclasses."""

    __tablename__ = "a_toy"
    what: Mapped[str]
    animal_id: Mapped[DocId] = mapped_column(ForeignKey("animal.id"))


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
    """Without sync: it points at rows of animals, and lets the database delete none."""

    __tablename__ = "leash"
    id: Mapped[int] = mapped_column(primary_key=True)
    animal_id: Mapped[DocId | None] = mapped_column(ForeignKey("animal.id"))
    dog_id: Mapped[DocId | None] = mapped_column(ForeignKey("dog.id"))
    guide_id: Mapped[DocId | None] = mapped_column(ForeignKey("guide.id"))


Animals = tuple[Device, Device, uuid.UUID, uuid.UUID]
"""Two devices, and the ids of a guide and a dog."""


@contextmanager
def pair(folder: Path) -> Iterator[Animals]:
    """Two devices with a guide that was operated, and a dog. In the end their rows are what documents say."""
    one, other = Device(folder, "one", Base), Device(folder, "other", Base)
    with one.sessions.begin(SPACE) as session:
        rex = Guide(name="rex", tricks="sit", age=3, of="ann", visits=[Visit(day=1), Operation(day=2, hours=3)])
        rex.toys = [Toy(what="ball")]
        ben = Dog(name="ben", tricks="roll", age=4, toys=[Toy(what="bone")])
        session.add_all([rex, ben])
        session.flush()
        names = rex.id, ben.id
    other.take_from(one)
    yield one, other, *names
    for device in (one, other):
        assert check(device.sessions).ok
        device.check()
        read(device)
        held = device.held()
        assert rebuild(device.sessions, Animal).wrong == 0
        assert device.held() == held
        device.stop()


def read(device: Device) -> None:
    """Every object that is shown can be read, whichever class it is asked for by."""
    for cls in (Animal, Dog, Guide, Visit, Operation):
        with device.sessions() as session:
            for one in session.scalars(select(cls)):
                for attribute in object_mapper(one).attrs:
                    getattr(one, attribute.key)


def put(table: str, key: uuid.UUID, **values: object) -> Callable[[Document], Any]:
    return lambda document: document.map(f"@{table}/{key.hex}").update(values)
