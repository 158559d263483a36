"""Types of an application around those of SQLAlchemy: documents have what the database has."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lichen_adapters.orm import MappingError, Synced, local_column
from lichen_adapters.orm.restoring import read_document
from orm_devices import SPACE, Device
from sqlalchemy import CHAR, DateTime, Dialect, PickleType, String, TypeDecorator, select
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Utc(TypeDecorator[datetime.datetime]):
    """Times with a zone in a column without."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        return None if value is None else value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        return None if value is None else value.replace(tzinfo=datetime.UTC)


class Written(TypeDecorator[Any]):
    """Any data, as text."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Guid(TypeDecorator[uuid.UUID]):
    """SQLAlchemy's recipe for ids: another type on each database."""

    impl = CHAR
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(UUID(as_uuid=False) if dialect.name == "postgresql" else CHAR(32))

    def process_bind_param(self, value: uuid.UUID | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value) if dialect.name == "postgresql" else value.hex

    def process_result_value(self, value: str | None, dialect: Dialect) -> uuid.UUID | None:
        return None if value is None else uuid.UUID(value)


class Short(TypeDecorator[str]):
    """Only a name."""

    impl = String(8)
    cache_ok = True


class Numbers(list[int]):
    """As arrays of numbers are, which are neither equal nor not."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("which of them?")

    __hash__ = None  # type: ignore[assignment]  # as of any list


class Array(TypeDecorator[Numbers]):
    """Numbers, as text."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Numbers | None, dialect: Dialect) -> str | None:
        return None if value is None else " ".join(map(str, value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Numbers | None:
        return None if value is None else Numbers(map(int, value.split()))

    def compare_values(self, x: Any, y: Any) -> bool:
        return x is y


class Base(DeclarativeBase):
    """The models of these tests."""


class Event(Synced, Base):
    """One of each."""

    __tablename__ = "event"
    due: Mapped[datetime.datetime | None] = mapped_column(Utc)
    data: Mapped[Any] = mapped_column(Written, nullable=True)
    other: Mapped[uuid.UUID] = mapped_column(Guid, unique=True)
    name: Mapped[str] = mapped_column(Short, default="")
    array: Mapped[Numbers | None] = mapped_column(Array)
    seen: Mapped[Any] = local_column(type_=PickleType, nullable=True)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    one, other = Device(tmp_path, "one", Base), Device(tmp_path, "other", Base)
    yield one, other
    for device in (one, other):
        device.check()
        device.stop()


def test_they_reach_the_other_device_as_they_were_and_are_written_there(pair: tuple[Device, Device]) -> None:
    one, other = pair
    due = datetime.datetime(2026, 3, 4, 5, 6, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    with one.sessions.begin(SPACE) as session:
        session.add(Event(due=due, data={"a": [1, None]}, other=uuid.UUID(int=7), name="x", seen={1, 2}))
    other.take_from(one)
    with other.sessions.begin() as session:
        event = session.scalars(select(Event).where(Event.other == uuid.UUID(int=7))).one()
        assert (event.due, event.data, event.name, event.seen) == (due, {"a": [1, None]}, "x", None)
        event.data, event.due = [2], None
    one.take_from(other)
    with one.sessions() as session:
        event = session.scalars(select(Event)).one()
        assert (event.due, event.data, event.other, event.seen) == (None, [2], uuid.UUID(int=7), {1, 2})
        assert read_document(session.connection(), event.id)["data"] == "[2]"


def test_what_another_program_wrote_and_they_do_not_read_holds_the_row(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    with one.sessions.begin(SPACE) as session:
        event = Event(other=uuid.uuid4())
        session.add(event)
        session.flush()
        name = event.id
    for wrong in ("{", 7):
        one.edit(name, lambda document, wrong=wrong: document.update(data=wrong))
        assert one.held() == {("event", name)}
    one.edit(name, lambda document: document.update(data="{}"))
    assert one.held() == set()


def test_values_that_cannot_be_compared_are_written(tmp_path: Path) -> None:
    device = Device(tmp_path, "arrays", Base)
    with device.sessions(SPACE, expire_on_commit=False) as session:
        session.add(event := Event(other=uuid.UUID(int=7), array=Numbers([1, 2])))
        session.commit()
        event.array = Numbers([3])
        session.commit()
        assert read_document(session.connection(), event.id)["array"] == "3"
    device.stop()


def test_pickles_are_refused() -> None:
    class Other(DeclarativeBase):
        pass

    with pytest.raises(MappingError, match=r"column note\.data of type PickleType\(\) cannot merge"):

        class Note(Synced, Other):
            __tablename__ = "note"
            data: Mapped[Any] = mapped_column(PickleType)
