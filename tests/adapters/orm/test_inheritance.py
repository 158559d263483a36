"""Classes as SQLAlchemy's users write them: inheritance, composites, hybrids, dataclasses, names and defaults."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from lichen.errors import ConfigError
from lichen_adapters.orm import (
    Dispute,
    DocId,
    EditedDeletion,
    HeldRow,
    Kind,
    MappingError,
    Synced,
    SyncedDataclass,
    conflicts,
    synced_counter,
    synced_list,
    synced_set,
    synced_text,
)
from lichen_adapters.orm.plan import Plan
from orm_devices import SPACE, Device, exchange
from sqlalchemy import Column, Computed, ForeignKey, String, func, select, text, update
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    composite,
    mapped_column,
    relationship,
    selectin_polymorphic,
    synonym,
    with_polymorphic,
)
from sqlalchemy.types import UserDefinedType


class Coordinates(UserDefinedType[Any]):
    """A type of which nobody knows what Python makes of it."""


class Base(DeclarativeBase):
    """The models of these tests."""


class Stamped:
    """A mixin of the application."""

    changed: Mapped[int] = mapped_column(default=0, onupdate=lambda: 7)


class Party(Stamped, Synced, Base):
    """The base of a joined and a single-table hierarchy."""

    __tablename__ = "party"
    kind: Mapped[str]
    name: Mapped[str]
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "party"}


class Person(Party):
    """Has a table of its own, with a text that merges and a column of the name of one of its base's."""

    __tablename__ = "person"
    id: Mapped[DocId] = mapped_column(ForeignKey("party.id"), primary_key=True)
    bio: Mapped[str] = synced_text(default="")
    visits: Mapped[int] = synced_counter()
    chief_id: Mapped[DocId | None] = mapped_column(ForeignKey("person.id"))
    chief: Mapped[Person | None] = relationship(remote_side="Person.id", foreign_keys=chief_id, back_populates="staff")
    staff: Mapped[list[Person]] = relationship(back_populates="chief", foreign_keys=chief_id)
    notes: Mapped[list[Note]] = relationship(back_populates="person", cascade="all, delete-orphan")
    card: Mapped[Card | None] = relationship(back_populates="person", cascade="all, delete-orphan")
    __mapper_args__: ClassVar = {"polymorphic_identity": "person"}


class Card(Synced, Base, part_of="person_id"):
    """One of each person."""

    __tablename__ = "card"
    words: Mapped[str]
    person_id: Mapped[DocId] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    person: Mapped[Person] = relationship(back_populates="card")


class Doctor(Person):
    """In the table of its base."""

    field: Mapped[str | None]
    speciality: Mapped[str | None] = synonym("field")
    __mapper_args__: ClassVar = {"polymorphic_identity": "doctor"}


@dataclasses.dataclass
class Point:
    """Two columns as one value."""

    x: int
    y: int


title = Annotated[str, mapped_column(String(40))]


class Note(Synced, Base, part_of="person_id"):
    """A part of a row with a joined table; names that need quotes; a value of two columns; a computed column."""

    __tablename__ = "Note of a person"
    heading: Mapped[title] = mapped_column("the title")
    at: Mapped[Point] = composite(mapped_column("x"), mapped_column("y"))
    size: Mapped[int] = mapped_column(Computed('length("the title")', persisted=True))
    colour: Mapped[str] = mapped_column(server_default=text("'grey'"))
    body: Mapped[str] = synced_text(name="the body", default="")
    person_id: Mapped[DocId] = mapped_column("person", ForeignKey("person.id"))
    person: Mapped[Person] = relationship(back_populates="notes")
    type: Mapped[str] = mapped_column(default="note")
    __mapper_args__: ClassVar = {"polymorphic_on": "type", "polymorphic_identity": "note"}

    @hybrid_property
    def loud(self) -> bool:
        """Whether it shouts."""
        return self.heading == func.upper(self.heading) if isinstance(self, type) else self.heading.isupper()


class Reminder(Note):
    """A part with a joined table."""

    __tablename__ = "reminder"
    id: Mapped[DocId] = mapped_column(ForeignKey("Note of a person.id"), primary_key=True)
    due: Mapped[datetime.datetime]
    __mapper_args__: ClassVar = {"polymorphic_identity": "reminder"}


class Box(SyncedDataclass, Base, kw_only=True):
    """A dataclass."""

    __tablename__ = "box"
    label: Mapped[str]
    items: Mapped[list[Item]] = relationship(default_factory=list, cascade="all, delete-orphan")
    count: Mapped[int] = synced_counter()
    colours: Mapped[set[str]] = synced_set(default_factory=set)
    steps: Mapped[list[Any]] = synced_list(default_factory=list)


class Item(SyncedDataclass, Base, part_of="box_id", kw_only=True):
    """A dataclass that is a part."""

    __tablename__ = "item"
    name: Mapped[str] = synced_text()
    box_id: Mapped[DocId] = mapped_column(ForeignKey("box.id"), init=False)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    one, other = Device(tmp_path, "one", Base), Device(tmp_path, "other", Base)
    yield one, other
    for device in (one, other):
        device.check()
        device.stop()


def fill(device: Device) -> None:
    with device.sessions.begin(SPACE) as session:
        chief = Doctor(name="Ida", field="moss", bio="old", card=Card(words="MD"))
        due = datetime.datetime(2030, 1, 1)  # noqa: DTZ001  # the column has no zone
        notes = [Note(heading="HEY", at=Point(1, 2)), Reminder(heading="go", at=Point(0, 0), due=due)]
        session.add_all([Party(name="Club"), Person(name="Max", chief=chief, notes=notes)])


def test_a_hierarchy_is_the_same_on_the_other_device(pair: tuple[Device, Device]) -> None:
    one, other = pair
    fill(one)
    other.take_from(one)
    assert other.rows() == one.rows()
    with other.sessions() as session:
        everyone = session.scalars(select(Party).order_by(Party.name)).all()
        assert [type(party).__name__ for party in everyone] == ["Party", "Doctor", "Person"]
        _, ida, max_ = everyone
        assert isinstance(ida, Doctor)
        assert isinstance(max_, Person)
        assert (ida.field, ida.staff, max_.chief) == ("moss", [max_], ida)
        assert ida.card is not None
        assert (ida.card.words, ida.card.person, max_.card) == ("MD", ida, None)
        whole = with_polymorphic(Party, "*")
        assert len(session.scalars(select(whole)).all()) == 3
        loaded = session.scalars(select(Party).options(selectin_polymorphic(Party, [Person, Doctor])))
        assert {party.name for party in loaded} == {"Club", "Ida", "Max"}
        notes = {note.heading: note for note in max_.notes}
        assert (notes["HEY"].at, notes["HEY"].size, notes["HEY"].colour) == (Point(1, 2), 3, "grey")
        assert notes["HEY"].loud
        assert session.scalars(select(Note.heading).where(Note.loud)).all() == ["HEY"]
        reminder = notes["go"]
        assert isinstance(reminder, Reminder)
        assert reminder.due.year == 2030


def test_an_object_over_two_tables_is_one_document(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    fill(one)
    assert len(one.told[-1]) == 3
    with one.sessions.begin() as session:
        for note in session.scalars(select(Note)):
            note.heading, note.at = "new", Point(9, 9)
    assert len(one.told[-1]) == 1


def test_columns_of_both_tables_merge_also_into_what_was_loaded(pair: tuple[Device, Device]) -> None:
    one, other = pair
    fill(one)
    other.take_from(one)
    with one.sessions() as session:
        ida = session.scalars(select(Person).where(Person.name == "Ida")).one()
        note = session.scalars(select(Note).where(Note.heading == "HEY")).one()
        session.commit()
        assert (ida.bio, ida.visits, note.body) == ("old", 0, "")
        with other.sessions.begin() as there:
            her = there.scalars(select(Person).where(Person.name == "Ida")).one()
            her.bio, her.visits = "so old", 3
            there.execute(update(Note).values({Note.body: "b"}))
        one.take_from(other)
        ida.bio, ida.visits, note.body = "old moss", 2, "a"
        session.commit()
        assert (ida.bio, ida.visits) == ("so old moss", 5)
        assert sorted(note.body) == ["a", "b"]
    exchange(one, other)
    assert one.rows() == other.rows()


def test_what_the_application_stamps_is_not_stamped_by_a_merge(pair: tuple[Device, Device]) -> None:
    one, other = pair
    fill(one)
    other.take_from(one)
    with one.sessions.begin() as session:
        session.execute(text("UPDATE party SET name = 'Circle' WHERE kind = 'party'"))
    exchange(one, other)
    assert {row["changed"] for (table, _), row in other.rows().items() if table == "party"} == {0}
    with one.sessions.begin() as session:
        session.scalars(select(Party).where(Party.kind == "party")).one().name = "Ring"
    exchange(one, other)
    assert {row["changed"] for (table, _), row in other.rows().items() if table == "party"} == {0, 7}


def test_an_object_over_two_tables_goes_from_both(pair: tuple[Device, Device]) -> None:
    one, other = pair
    fill(one)
    other.take_from(one)
    with other.sessions.begin() as session:
        for party in session.scalars(select(Party).where(Party.kind == "person")):
            session.delete(party)
    exchange(one, other)
    assert sorted(table for table, _ in one.rows()) == ["card", "party", "party", "person"]


def test_dataclasses_are_dataclasses(pair: tuple[Device, Device]) -> None:
    one, other = pair
    box = Box(label="a", items=[Item(name="nail")])
    assert (box.id, box.count, box.items[0].name) == (None, 0, "nail")
    with one.sessions.begin(SPACE) as session:
        session.add(box)
    other.take_from(one)
    with other.sessions() as session:
        found = session.scalars(select(Box)).one()
        assert (found.label, [item.name for item in found.items]) == ("a", ["nail"])


def _base() -> Any:
    class Fresh(DeclarativeBase):
        pass

    return Fresh


def _party(base: Any) -> Any:
    class Thing(Synced, base):
        __tablename__ = "thing"
        kind: Mapped[str]
        __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "thing"}

    return Thing


def test_every_kind_of_column_is_found_in_a_base_of_the_application() -> None:
    class Everything(Synced, DeclarativeBase):
        pass

    class Titled(Everything):
        __abstract__ = True
        title: Mapped[str] = synced_text()

    class Page(Titled):
        __tablename__ = "page"

    assert {name: one.kind for name, one in Plan(Everything.metadata).tables["page"].columns.items()} == {
        "title": Kind.TEXT
    }
    assert Page.__table__.info["lichen.synced"] == "Page"


def test_concrete_inheritance_is_refused() -> None:
    thing = _party(_base())
    with pytest.raises(MappingError, match="concrete") as refused:

        class Stone(thing):  # type: ignore[misc]  # a class that a function made
            __tablename__ = "stone"
            id: Mapped[DocId] = mapped_column(primary_key=True)
            __mapper_args__: ClassVar = {"concrete": True, "polymorphic_identity": "stone"}

    assert "abstract" in str(refused.value.hint)


def test_a_subclass_lies_where_its_base_lies() -> None:
    thing = _party(_base())
    with pytest.raises(MappingError, match="lie where those of its base do"):

        class Stone(thing, part_of="thing_id"):  # type: ignore[misc]  # a class that a function made
            thing_id: Mapped[DocId | None] = mapped_column(ForeignKey("thing.id"))
            __mapper_args__: ClassVar = {"polymorphic_identity": "stone"}


def test_a_joined_table_is_one_with_the_id_of_its_base() -> None:
    thing = _party(_base())
    with pytest.raises(MappingError, match="the key of the synced class Stone is number"):

        class Stone(thing):  # type: ignore[misc]  # a class that a function made
            __tablename__ = "stone"
            number: Mapped[DocId] = mapped_column(ForeignKey("thing.id"), primary_key=True)
            __mapper_args__: ClassVar = {"polymorphic_identity": "stone"}


def test_a_unique_key_of_a_subclass_in_the_table_of_its_base_is_refused() -> None:
    thing = _party(_base())
    with pytest.raises(MappingError, match="unique key"):

        class Stone(thing):  # type: ignore[misc]  # a class that a function made
            weight: Mapped[int | None] = mapped_column(unique=True)
            __mapper_args__: ClassVar = {"polymorphic_identity": "stone"}


def test_a_type_that_cannot_merge_is_refused_in_a_subclass_too() -> None:
    thing = _party(_base())
    with pytest.raises(MappingError, match="cannot merge"):

        class Stone(thing):  # type: ignore[misc]  # a class that a function made
            weight: Mapped[Any] = mapped_column(Coordinates())
            __mapper_args__: ClassVar = {"polymorphic_identity": "stone"}


@pytest.mark.parametrize(
    ("column", "options", "words"),
    [
        (Column("a", String, key="b"), {}, "has another key"),
        (Column("a", String), {"schema": "elsewhere"}, "schema"),
    ],
)
def test_names_that_documents_cannot_have_are_refused(column: Column[Any], options: Any, words: str) -> None:
    base = _base()
    with pytest.raises(MappingError, match=words):
        type("Odd", (Synced, base), {"__tablename__": "odd", "__table_args__": options, "a": column})


def test_an_object_over_joined_tables_that_one_deleted_and_another_edited_returns(
    pair: tuple[Device, Device],
) -> None:
    one, other = pair
    with one.sessions.begin(SPACE) as session:
        due = datetime.datetime(2026, 1, 1)  # noqa: DTZ001  # as above
        session.add(Doctor(name="ann", field="eyes", notes=[Reminder(heading="x", at=Point(1, 2), due=due)]))
    other.take_from(one)
    with one.sessions.begin() as session:
        session.scalars(select(Doctor)).one().bio = "hello"
    with other.sessions.begin() as session:
        session.delete(session.scalars(select(Doctor)).one())
    one.take_from(other)
    other.take_from(one)
    for device in pair:
        device.check()
    with other.sessions.begin(SPACE) as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, EditedDeletion)
        doctor = conflict.restore()
        assert (type(doctor), doctor.field, doctor.bio) == (Doctor, "eyes", "hello")
    one.take_from(other)
    for device in pair:
        device.check()
        with device.sessions() as session:
            assert conflicts(session) == []
            (note,) = session.scalars(select(Doctor)).one().notes
            assert (type(note), note.due) == (Reminder, due)


def test_columns_of_a_subclass_in_the_table_of_its_base_are_named_in_conflicts(pair: tuple[Device, Device]) -> None:
    one, other = pair
    with one.sessions.begin(SPACE) as session:
        doctor = Doctor(name="ann", field="eyes")
        session.add(doctor)
        session.flush()
        name = doctor.id
    other.take_from(one)
    for device, field in ((one, "ears"), (other, "feet")):
        with device.sessions.begin() as session:
            session.get_one(Doctor, name).field = field
    other.take_from(one)
    with other.sessions.begin() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, Dispute)
        assert (conflict.column, {side.value for side in conflict.sides}) == ("field", {"ears", "feet"})
        conflict.resolve("hands")
    other.edit(name, lambda document: document.map(f"@person/{name.hex}").update(visits="many"))
    with other.sessions.begin() as session:
        (held,) = conflicts(session)
        assert isinstance(held, HeldRow)
        assert held.values["field"] == "hands"
        with pytest.raises(ConfigError, match="Doctor has no column 'fields'") as raised:
            held.resolve(fields="x")
        assert "bio, visits" in str(raised.value.hint)
        held.resolve(speciality="skin", visits=2)
    one.take_from(other)
    for device in pair:
        with device.sessions() as session:
            found = session.get_one(Doctor, name)
            assert (found.field, found.visits) == ("skin", 2)
