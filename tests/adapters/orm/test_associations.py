"""Rows of many-to-many relationships are keys of their owner's document; an addition wins over a removal."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lichen_adapters.orm import DocId, MappingError, Synced, local_association, synced_association
from lichen_adapters.orm.plan import Plan
from orm_devices import SPACE, Device
from orm_models import Tag, User, user_tag
from sqlalchemy import Column, ForeignKey, Integer, String, Table, delete, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    """Two devices with a user and a tag that are associated."""
    one, other = Device(tmp_path, "one"), Device(tmp_path, "other")
    with one.sessions.begin(SPACE) as session:
        session.add(User(name="ann", marks=[Tag(name="todo")]))
    other.take_from(one)
    yield one, other
    for device in (one, other):
        device.check()
        device.stop()


def marks(device: Device) -> list[str]:
    with device.sessions() as session:
        return sorted(tag.name for tag in session.scalars(select(User)).one().marks)


def exchange(one: Device, other: Device) -> None:
    one.take_from(other)
    other.take_from(one)


def test_an_association_reaches_the_other_device_and_goes_again(pair: tuple[Device, Device]) -> None:
    one, other = pair
    assert marks(other) == ["todo"]
    with other.sessions.begin() as session:
        tag = session.scalars(select(Tag)).one()
        tag.users.clear()
    one.take_from(other)
    assert marks(one) == []


def test_what_two_devices_add_at_the_same_time_is_all_there(pair: tuple[Device, Device]) -> None:
    one, other = pair
    for device, name in ((one, "a"), (other, "b")):
        with device.sessions.begin(SPACE) as session:
            user = session.scalars(select(User)).one()
            user.marks.append(Tag(name=name))
    exchange(one, other)
    assert marks(one) == marks(other) == ["a", "b", "todo"]


def test_an_addition_wins_over_a_removal_at_the_same_time(pair: tuple[Device, Device]) -> None:
    one, other = pair
    with one.sessions.begin() as session:
        session.execute(delete(user_tag))
    with other.sessions.begin() as session:
        rows = session.execute(select(user_tag)).mappings().all()
        session.execute(delete(user_tag))
        session.commit()
    with other.sessions.begin() as session:
        session.execute(insert(user_tag), [dict(row) for row in rows])
    exchange(one, other)
    assert marks(one) == marks(other) == ["todo"]


def test_a_tag_that_is_not_here_yet_is_one_that_is_not_shown(pair: tuple[Device, Device], tmp_path: Path) -> None:
    one, _ = pair
    third = Device(tmp_path, "third")
    user = one.rows().keys() - {("tag", key) for _, key in one.rows()}
    doc = next(key for table, key in user if table == "user_account")
    third.take_from(one, only=doc)
    assert marks(third) == []
    with third.sessions() as session:
        assert len(session.execute(select(user_tag)).all()) == 1
    third.check()
    third.take_from(one)
    assert marks(third) == ["todo"]
    third.stop()


@pytest.mark.parametrize("adds", [True, False])
def test_a_session_that_does_what_another_device_did_meanwhile_commits(pair: tuple[Device, Device], adds: bool) -> None:
    one, other = pair
    if adds:
        with one.sessions.begin() as session:
            session.execute(delete(user_tag))
        other.take_from(one)
    with one.sessions() as session:
        user, tag = session.scalars(select(User)).one(), session.scalars(select(Tag)).one()
        before = list(user.marks)
        with other.sessions.begin() as elsewhere:
            there = elsewhere.scalars(select(User)).one()
            there.marks = elsewhere.scalars(select(Tag)).all() if adds else []  # type: ignore[assignment]  # any sequence does
        session.commit()
        user.marks  # noqa: B018  # is loaded again
        assert list(user.marks) == before
        one.take_from(other)
        user.marks = [tag] if adds else []
        session.commit()
    assert marks(one) == (["todo"] if adds else [])


def test_a_user_that_is_deleted_takes_its_associations_along(pair: tuple[Device, Device]) -> None:
    one, other = pair
    with one.sessions.begin() as session:
        session.execute(text("DELETE FROM user_account"))
    other.take_from(one)
    assert [table for table, _ in other.rows()] == ["tag"]


def test_a_session_that_deletes_a_user_whose_association_went_elsewhere_commits(pair: tuple[Device, Device]) -> None:
    one, other = pair
    with other.sessions.begin() as session:
        session.execute(delete(user_tag))
    with one.sessions() as session:
        user = session.scalars(select(User)).one()
        assert len(user.marks) == 1
        one.take_from(other)
        session.delete(user)
        session.commit()
    assert [table for table, _ in one.rows()] == ["tag"]


def _table(base: Any, *columns: Column[Any]) -> Table:
    return Table("note_tag", base.metadata, *columns)


def _base() -> type[DeclarativeBase]:
    class Base(DeclarativeBase):
        pass

    class Note(Synced, Base):
        __tablename__ = "note"

    class Plain(Base):
        __tablename__ = "plain"
        id: Mapped[int] = mapped_column(primary_key=True)
        note_id: Mapped[DocId] = mapped_column(ForeignKey("note.id"))

    return Base


def _key(name: str, to: str, **options: Any) -> Column[uuid.UUID]:
    return Column(name, ForeignKey(to), **{"primary_key": True, **options})


def test_other_columns_need_a_class() -> None:
    table = _table(_base(), _key("a", "note.id"), _key("b", "note.id"), Column("since", String))
    with pytest.raises(MappingError, match="other columns than two foreign keys") as refused:
        synced_association(table, owner="a")
    assert "map it to a synced class" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("columns", "owner", "words"),
    [
        ((_key("a", "note.id"), _key("b", "note.id", primary_key=False)), "a", "are not its primary key"),
        ((_key("a", "note.id"), Column("b", Integer, primary_key=True)), "a", "other columns than"),
        ((_key("a", "note.id"), _key("b", "note.id")), "c", "owner='c' is no column"),
    ],
)
def test_what_is_no_association_is_refused(columns: tuple[Column[Any], ...], owner: str, words: str) -> None:
    table = _table(_base(), *columns)
    with pytest.raises(MappingError, match=words):
        synced_association(table, owner=owner)


def test_an_association_with_what_is_not_synced_is_refused() -> None:
    base = _base()
    synced_association(_table(base, _key("a", "note.id"), _key("b", "plain.id")), owner="a")
    with pytest.raises(MappingError, match=r"note_tag\.b does not point at the id of a synced class"):
        Plan(base.metadata)


def test_a_table_that_is_not_declared_synced_stays_here() -> None:
    base = _base()
    _table(base, _key("a", "note.id"), _key("b", "note.id"))
    assert list(Plan(base.metadata).tables) == ["note"]


@pytest.mark.parametrize("said", [None, "local", "synced"])
def test_pairs_that_would_stay_on_the_device_unsaid_are_refused(tmp_path: Path, said: str | None) -> None:
    class Own(DeclarativeBase):
        pass

    columns = (Column(f"{name}_id", ForeignKey(f"{name}.id"), primary_key=True) for name in ("note", "sign"))
    note_sign = Table("note_sign", Own.metadata, *columns)

    class Note(Synced, Own):
        __tablename__ = "note"
        signs: Mapped[list[Any]] = relationship("Sign", secondary=note_sign)

    class Sign(Synced, Own):
        __tablename__ = "sign"

    if said is None:
        with pytest.raises(MappingError, match=r"rows of note_sign, which Note\.signs writes") as refused:
            Device(tmp_path, "one", Own)
        assert "synced_association(note_sign" in str(refused.value.hint)
        return
    if said == "local":
        local_association(note_sign)
    else:
        synced_association(note_sign, owner="note_id")
    one, other = Device(tmp_path, "one", Own), Device(tmp_path, "other", Own)
    with one.sessions.begin(SPACE) as session:
        session.add(Note(signs=[Sign()]))
    other.take_from(one)
    with other.sessions() as session:
        assert len(session.scalars(select(Note)).one().signs) == (said == "synced")
    for device in (one, other):
        device.stop()
