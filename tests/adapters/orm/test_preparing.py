"""`prepare()` goes through the documents that changed while nobody followed, or through all where tables differ."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
from lichen.errors import ConfigError
from lichen.store import following
from lichen_adapters.orm import DocId, SessionMisuse, Sessions, Synced
from lichen_adapters.orm.plan import Plan
from lichen_adapters.orm.projector import Projector
from orm_devices import SPACE, Device
from sqlalchemy import CheckConstraint, Connection, ForeignKey, insert, inspect, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """As the application was."""


class Note(Synced, Base):
    """A note."""

    __tablename__ = "note"
    title: Mapped[str]


class Plain(Synced, Base):
    """Something else."""

    __tablename__ = "plain"
    title: Mapped[str]


@pytest.fixture
def rebuilt(monkeypatch: pytest.MonkeyPatch) -> list[uuid.UUID]:
    """The documents that are gone through."""
    found: list[uuid.UUID] = []
    rebuild = Projector.rebuild

    def note(self: Projector, conn: object, doc: uuid.UUID) -> bool:
        found.append(doc)
        return rebuild(self, conn, doc)  # type: ignore[arg-type]  # it is one

    monkeypatch.setattr(Projector, "rebuild", note)
    return found


def add(device: Device, *titles: str) -> list[uuid.UUID]:
    with device.sessions.begin(SPACE) as session:
        notes = [Note(title=title) for title in titles]
        session.add_all(notes)
        session.flush()
        return [note.id for note in notes]


def titles(device: Device) -> list[str]:
    with device.sessions() as session:
        return sorted(session.scalars(select(Note.title)))


def drop_notes(device: Device) -> None:
    """Drop the table past sessions, which refuse it."""
    device.store.write(Note.__table__.drop).result(9)  # type: ignore[attr-defined]  # a table has it


def test_what_was_followed_is_not_gone_through_again(device: Device, rebuilt: list[uuid.UUID]) -> None:
    add(device, "one", "two")
    device.stop()
    device.start()
    assert rebuilt == []
    assert titles(device) == ["one", "two"]


def test_what_changed_while_nobody_followed_is(device: Device, rebuilt: list[uuid.UUID]) -> None:
    one, _ = add(device, "one", "two")
    device.sessions.close()
    device.edit(one, lambda document: document.update(title="changed"))
    device.stop()
    device.start()
    assert rebuilt == [one]
    assert titles(device) == ["changed", "two"]
    device.stop()
    device.start()
    assert rebuilt == [one]


def test_everything_is_where_a_table_is_gone(device: Device, rebuilt: list[uuid.UUID]) -> None:
    both = add(device, "one", "two")
    drop_notes(device)
    device.stop()
    device.start()
    assert sorted(rebuilt) == sorted(both)
    assert titles(device) == ["one", "two"]


def test_a_crash_after_tables_were_made_leaves_none_empty(
    device: Device, rebuilt: list[uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(device, "one", "two")
    drop_notes(device)

    def failing(*_: object) -> None:
        raise OSError("no power")

    device.stop()
    with monkeypatch.context() as patched:
        patched.setattr(Projector, "rebuild", failing)
        with pytest.raises(OSError, match="no power"):
            device.start()
    device.stop()
    device.start()
    assert titles(device) == ["one", "two"]


def test_a_second_base_in_one_store_is_refused_and_changes_nothing(device: Device) -> None:
    class Another(DeclarativeBase):
        pass

    class Thing(Synced, Another):
        __tablename__ = "thing"
        name: Mapped[str]

    second = Sessions(device, Another)
    with pytest.raises(ConfigError, match="made of this store's documents already"):
        second.prepare()
    assert "thing" not in inspect(device.sessions.database).get_table_names()
    second.close()


def test_a_foreign_key_that_is_new_is_seen_though_it_has_no_constraint() -> None:
    def plan(*keys: ForeignKey) -> Plan:
        class One(DeclarativeBase):
            pass

        class Tag(Synced, One, clash="join"):
            __tablename__ = "tag"
            name: Mapped[str] = mapped_column(unique=True)

        class Use(Synced, One):
            __tablename__ = "use"
            tag_id: Mapped[DocId] = mapped_column(*keys)

        return Plan(One.metadata)

    assert plan().mark(sqlite.dialect()) == plan().mark(sqlite.dialect())
    assert plan().mark(sqlite.dialect()) != plan(ForeignKey("tag.id")).mark(sqlite.dialect())


def test_everything_is_where_a_table_is_another(device: Device, rebuilt: list[uuid.UUID]) -> None:
    class Later(DeclarativeBase):
        pass

    class Other(Synced, Later):
        __tablename__ = "note"
        title: Mapped[str] = mapped_column(CheckConstraint("length(title) < 9"))

    both = add(device, "one", "two")
    for times in (1, 1, 2):
        device.sessions.close()
        device.sessions = Sessions(device, Later if times == 1 else Base)
        device.sessions.prepare()
        assert sorted(rebuilt) == sorted(both * times)


def test_what_is_noted_of_rows_goes_with_their_class_and_with_their_joining(tmp_path: Path) -> None:
    def base(clash: Literal["flag", "join"], *, gone: bool = False) -> type[DeclarativeBase]:
        class One(DeclarativeBase):
            pass

        class Tag(Synced, One, clash=clash):
            __tablename__ = "tag"
            name: Mapped[str] = mapped_column(unique=True)

        if not gone:

            class Sign(Synced, One):
                __tablename__ = "sign"
                words: Mapped[str]

        return One

    def noted(device: Device) -> tuple[int, int, int]:
        return len(device.joined()), len(device.held()), len(device.disputed())

    one, other = Device(tmp_path, "one", base("join")), Device(tmp_path, "other", base("join"))
    for device in (one, other):
        tag, sign = (device.sessions.plan.tables[name] for name in ("tag", "sign"))
        with device.sessions.begin(SPACE) as session:
            session.execute(insert(tag.table).values(name="todo"))
            session.execute(insert(sign.table), [{"words": "a"}, {"words": "b"}])
    held, written = (key for table, key in one.rows() if table == "sign")
    one.edit(held, lambda document: document.update(words=5))
    other.take_from(one)
    one.edit(written, lambda document: document.update(words="c"))
    other.edit(written, lambda document: document.update(words="d"))
    one.take_from(other)
    assert noted(one) == (1, 1, 1)
    one.stop()
    one._base = base("flag", gone=True)
    one.start()
    assert noted(one) == (0, 0, 0)
    assert len(one.flagged()) == 1
    one.check()
    one.stop()
    one._base = base("join")
    one.start()
    assert noted(one) == (1, 1, 1)
    one.check()
    for device in (one, other):
        device.stop()


def test_a_crash_while_it_goes_through_everything_loses_only_the_last_of_it(
    device: Device, rebuilt: list[uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lichen_adapters.orm.sessions.TOGETHER", 2)
    made = add(device, "one", "two", "three", "four", "five")
    drop_notes(device)
    device.stop()
    caught_up = following.caught_up

    def failing(conn: Connection, docs: Sequence[bytes]) -> None:
        if len(rebuilt) == 4:
            raise OSError("the disk is full")
        caught_up(conn, docs)

    with monkeypatch.context() as patched:
        patched.setattr("lichen.store.following.caught_up", failing)
        with pytest.raises(OSError, match="full"):
            device.start()
        with pytest.raises(SessionMisuse):
            titles(device)
    device.stop()
    device.start()
    assert len(rebuilt) == 4 + 3
    assert set(rebuilt) == set(made)
    assert titles(device) == ["five", "four", "one", "three", "two"]
    device.check()
