"""Rows that the database does not take are put right by what their class declares, the same on every device."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lichen_adapters.orm import DocId, HeldRow, MappingError, Repaired, Synced, check, conflicts, synced_text
from orm_devices import SPACE, Device
from sqlalchemy import CheckConstraint, ForeignKey, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The models of these tests."""


def in_order(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """What begins late ends then."""
    begins, ends = values["begins"] or 0, values["ends"] or 0
    return {"begins": begins, "ends": max(begins, ends)}


def fail(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Not every repair is good."""
    return {"nothing": values["minutes"]}


class Meeting(Synced, Base, repair=in_order):
    """Begins before it ends."""

    __tablename__ = "meeting"
    __table_args__ = (CheckConstraint("begins <= last"),)
    name: Mapped[str] = mapped_column(unique=True)
    begins: Mapped[int]
    ends: Mapped[int] = mapped_column("last")
    notes: Mapped[str] = synced_text(default="")
    points: Mapped[list[Point]] = relationship(back_populates="meeting", cascade="all, delete-orphan")


class Point(Synced, Base, part_of="meeting_id", repair=fail):
    """A part, whose repair fails."""

    __tablename__ = "point"
    minutes: Mapped[int] = mapped_column(CheckConstraint("minutes < 60"))
    meeting_id: Mapped[DocId] = mapped_column(ForeignKey("meeting.id", ondelete="CASCADE"))
    meeting: Mapped[Meeting] = relationship(back_populates="points")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device, uuid.UUID]]:
    """Two devices with a meeting that each has moved: together it ends before it begins."""
    one, other = Device(tmp_path, "one", Base), Device(tmp_path, "other", Base)
    with one.sessions.begin(SPACE) as session:
        meeting = Meeting(name="plan", begins=3, ends=9, points=[Point(minutes=5)])
        session.add(meeting)
        session.flush()
        name = meeting.id
    other.take_from(one)
    with one.sessions.begin() as session:
        session.execute(update(Meeting).values(begins=8))
    with other.sessions.begin() as session:
        session.execute(update(Meeting).values(ends=4))
    one.take_from(other)
    other.take_from(one)
    yield one, other, name
    for device in (one, other):
        assert check(device.sessions).ok
        device.stop()


def shown(device: Device) -> list[tuple[str, int, int, int]]:
    with device.sessions() as session:
        return [(one.name, one.begins, one.ends, len(one.points)) for one in session.scalars(select(Meeting))]


def test_a_row_is_put_right_the_same_on_every_device_and_shown_with_its_parts(
    pair: tuple[Device, Device, uuid.UUID],
) -> None:
    for device in pair[:2]:
        assert shown(device) == [("plan", 8, 8, 1)]
        assert device.held() == set()
        device.stop()
        device.start()
        assert shown(device) == [("plan", 8, 8, 1)]
        with device.sessions() as session:
            (conflict,) = conflicts(session)
            assert isinstance(conflict, Repaired)
            assert "check" in conflict.reason.lower()
            assert (conflict.row.ends, conflict.values["begins"], conflict.values["ends"]) == (8, 8, 4)


def test_it_is_worked_out_anew_with_every_change_of_the_document(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, other, name = pair
    one.edit(name, lambda document: document.update(begins=6))
    assert shown(one) == [("plan", 6, 6, 1)]
    one.edit(name, lambda document: document.update(begins=2))  # the document's own fits
    assert shown(one) == [("plan", 2, 4, 1)]
    one.edit(name, lambda document: document.update(last="soon"))
    assert shown(one) == [("plan", 2, 2, 1)]
    other.take_from(one)
    assert shown(other) == shown(one)
    with other.sessions() as session:
        assert len(conflicts(session)) == 1
    one.edit(name, lambda document: document.update(last=7))
    other.take_from(one)
    for device in (one, other):
        assert shown(device) == [("plan", 2, 7, 1)]
        with device.sessions() as session:
            assert conflicts(session) == []


@pytest.mark.parametrize("how", ["as it is shown", "otherwise", "by the way", "by going"])
def test_it_is_settled_by_whoever_writes_it(pair: tuple[Device, Device, uuid.UUID], how: str) -> None:
    one, other, name = pair
    with one.sessions.begin() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, Repaired)
        match how:
            case "as it is shown":
                conflict.resolve()
            case "otherwise":
                conflict.resolve(ends=11)
            case "by the way":
                session.get_one(Meeting, name).notes = "late"
            case _:
                conflict.remove()
    other.take_from(one)
    wanted = {"otherwise": [("plan", 8, 11, 1)], "by going": []}.get(how, [("plan", 8, 8, 1)])
    for device in (one, other):
        assert shown(device) == wanted
        with device.sessions() as session:
            assert conflicts(session) == []


def test_where_the_repair_fails_or_does_not_fit_either_the_row_is_held(
    pair: tuple[Device, Device, uuid.UUID], caplog: pytest.LogCaptureFixture
) -> None:
    one, other, name = pair
    with one.sessions() as session:
        point = session.scalars(select(Point)).one()
    one.edit(name, lambda document: document.map(f"@point/{point.id.hex}").update(minutes=99))
    assert "the repair of a row of point failed" in caplog.text
    one.edit(name, lambda document: document.update(begins="soon", last="later", name=None))
    other.take_from(one)
    for device in (one, other):
        assert device.held() == {("meeting", name), ("point", point.id)}
        with device.sessions() as session:
            (conflict,) = conflicts(session)
            assert isinstance(conflict, HeldRow)


def test_what_is_no_repair_is_refused() -> None:
    class Other(DeclarativeBase):
        pass

    with pytest.raises(MappingError, match="is no function"):

        class Note(Synced, Other, repair="clamp"):  # type: ignore[arg-type]  # which is the test
            __tablename__ = "note"

    class Party(Synced, Other):
        __tablename__ = "party"
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "party"}  # noqa: RUF012  # SQLAlchemy's way

    with pytest.raises(MappingError, match="in the table of its base, has a repair"):

        class Guest(Party, repair=in_order):
            __mapper_args__ = {"polymorphic_identity": "guest"}  # noqa: RUF012  # as above
