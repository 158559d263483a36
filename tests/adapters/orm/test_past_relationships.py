"""What was related to a row as it was: by the condition of the relationship, all of it, or told that it cannot be."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from lichen_adapters.orm import DocId, SessionMisuse, Synced, at, history, local_column, standing
from lichen_crdt import ReadOnly
from orm_devices import SPACE, Device
from sqlalchemy import ForeignKey, and_, func, not_, or_, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, remote


class Base(DeclarativeBase):
    """The models of these tests."""


class Line(Synced, Base, part_of="note_id"):
    """A part of several kinds."""

    __tablename__ = "line"
    kind: Mapped[str]
    words: Mapped[str]
    size: Mapped[int | None]
    day: Mapped[datetime.datetime | None]
    here: Mapped[int | None] = local_column()
    note_id: Mapped[DocId] = mapped_column(ForeignKey("note.id"))
    note: Mapped[Note] = relationship(foreign_keys=note_id)
    under_id: Mapped[DocId | None] = mapped_column(ForeignKey("line.id"))
    long_under: Mapped[Line | None] = relationship(
        primaryjoin=lambda: and_(Line.under_id == remote(Line.id), remote(Line.size) > Line.size), viewonly=True
    )
    under: Mapped[Line | None] = relationship(foreign_keys=under_id, remote_side="Line.id")
    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "line"}


class Task(Line):
    """In the table of its base."""

    __mapper_args__: ClassVar = {"polymorphic_identity": "task"}


class Seal(Synced, Base, part_of="note_id"):
    """One of each note."""

    __tablename__ = "seal"
    words: Mapped[str]
    note_id: Mapped[DocId] = mapped_column(ForeignKey("note.id"), unique=True)


class Note(Synced, Base):
    """Related to its lines in many ways."""

    __tablename__ = "note"
    title: Mapped[str]
    least: Mapped[int] = mapped_column(default=2)
    lines: Mapped[list[Line]] = relationship(order_by=Line.words, viewonly=True)
    tasks: Mapped[list[Task]] = relationship(order_by=Line.words, viewonly=True)
    open: Mapped[list[Line]] = relationship(
        primaryjoin=lambda: and_(Line.note_id == Note.id, Line.kind == "task"), order_by=Line.words, viewonly=True
    )
    long: Mapped[list[Line]] = relationship(
        primaryjoin=lambda: and_(Line.note_id == Note.id, Line.size >= Note.least), viewonly=True
    )
    short: Mapped[list[Line]] = relationship(
        primaryjoin=lambda: and_(Line.note_id == Note.id, not_(Line.size >= Note.least)), viewonly=True
    )
    others: Mapped[list[Line]] = relationship(
        primaryjoin=lambda: and_(
            Note.id == Line.note_id, or_(Line.size.is_(None), Line.words.in_(["b", "x"]), Line.words == Note.title)
        ),
        order_by=Line.words,
        viewonly=True,
    )
    named: Mapped[list[Line]] = relationship(
        primaryjoin=lambda: and_(Note.id == Line.note_id, Line.words == Note.title), viewonly=True
    )
    seals: Mapped[list[Seal]] = relationship(
        primaryjoin=lambda: and_(Seal.note_id == Note.id, standing(Seal)), viewonly=True
    )
    loud: Mapped[list[Line]] = relationship(
        primaryjoin=lambda: and_(Line.note_id == Note.id, func.upper(Line.words) == "A"), viewonly=True
    )
    early: Mapped[list[Line]] = relationship(
        primaryjoin=lambda: and_(Line.note_id == Note.id, Line.words < "b"), viewonly=True
    )
    mine: Mapped[list[Line]] = relationship(
        primaryjoin=lambda: and_(Line.note_id == Note.id, Line.here == 1), viewonly=True
    )
    any: Mapped[list[Line]] = relationship(
        primaryjoin=lambda: or_(Line.note_id == Note.id, Line.words == "a"), viewonly=True
    )


TOLD = ("lines", "tasks", "open", "long", "short", "others", "named")
UNTOLD = ("loud", "early", "mine", "any")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """A note with lines of each kind."""
    made = Device(tmp_path, "device", Base)
    with made.sessions.begin(SPACE) as session:
        note = Note(title="c")
        session.add(note)
        session.flush()
        one = Line(note_id=note.id, words="a", size=1)
        two = Task(note_id=note.id, words="b", size=2)
        session.add_all([one, two, Line(note_id=note.id, words="c"), Task(note_id=note.id, words="d", size=3)])
        session.flush()
        one.under_id, two.under_id = two.id, one.id
    yield made
    made.stop()


def test_what_was_related_is_what_the_database_says_is(device: Device) -> None:
    with device.sessions() as session:
        note = session.scalars(select(Note)).one()
        then = at(session, note, history(session, note)[0].heads)
        for name in TOLD:
            assert {one.id for one in getattr(then, name)} == {one.id for one in getattr(note, name)}, name
        assert [one.words for one in then.open] == ["b", "d"]
        assert [one.words for one in then.short] == ["a"]
        assert [one.words for one in then.others] == ["b", "c"]
        for line in session.scalars(select(Line)):
            was = next(one for one in then.lines if one.id == line.id)
            for name in ("long_under", "under", "note"):
                assert getattr(getattr(was, name), "id", None) == getattr(getattr(line, name), "id", None), name


@pytest.mark.parametrize("name", UNTOLD)
def test_what_only_the_database_knows_is_said_to_be_so(device: Device, name: str) -> None:
    with device.sessions() as session:
        note = session.scalars(select(Note)).one()
        then = at(session, note, history(session, note)[0].heads)
        with pytest.raises(SessionMisuse, match=rf"what Note\.{name} was cannot be told"):
            getattr(then, name)
        with pytest.raises(ReadOnly):
            setattr(then, name, [])
        assert then.title == "c"


def test_of_two_that_have_one_key_the_one_that_stood_is_related(device: Device, tmp_path: Path) -> None:
    other = Device(tmp_path, "other", Base)
    other.take_from(device)
    for one, words in ((device, "first"), (other, "second")):
        with one.sessions.begin(SPACE) as session:
            session.add(Seal(words=words, note_id=session.scalars(select(Note.id)).one()))
    other.take_from(device)
    with other.sessions() as session:
        note = session.scalars(select(Note)).one()
        then = at(session, note, datetime.datetime.now(datetime.UTC))
        assert [one.words for one in note.seals] == ["first"]
        assert [one.words for one in then.seals] == ["first"]
    other.stop()
