"""The names of the indexes that keep unique keys: no two of a database are one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lichen_adapters.orm import MappingError, Synced
from lichen_adapters.orm.plan import Plan
from orm_devices import SPACE, Device
from sqlalchemy import Index, UniqueConstraint, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The models of these tests."""


class Note(Synced, Base):
    """Its unique keys have names that could be one, or longer than PostgreSQL's."""

    __tablename__ = "note"
    __table_args__ = (
        UniqueConstraint("a", "b"),
        UniqueConstraint("a", "b_clash"),
        UniqueConstraint("b_clash", "a_b", name="k" * 63),
    )
    a: Mapped[str]
    b: Mapped[str]
    a_b: Mapped[str] = mapped_column(unique=True)
    b_clash: Mapped[str] = mapped_column("b_clash", unique=True)
    long: Mapped[str] = mapped_column("l" * 60, unique=True)


def test_each_key_has_an_index_of_its_own(tmp_path: Path) -> None:
    indexes = sorted(Plan(Base.metadata).tables["note"].table.indexes, key=lambda index: str(index.name))
    keys = {str(index.name): [one.name for one in index.columns][1:] for index in indexes if index.unique}
    assert keys["uq_note_a_b"] == ["a_b"]
    assert keys["uq_note_a_b1"] == ["a", "b"]
    assert len(keys) == 6
    assert all(len(str(index.name)) <= 63 for index in indexes)
    device = Device(tmp_path, "device", Base)
    values = dict.fromkeys(("a", "b", "a_b", "b_clash", "long"), "x")
    with device.sessions.begin(SPACE) as session:
        session.add(Note(**values))
    for free in (("a_b", "b_clash", "long"), ("a", "b_clash", "long"), ("a", "a_b", "long"), ("a", "a_b", "b_clash")):
        with pytest.raises(IntegrityError), device.sessions.begin(SPACE) as session:
            session.add(Note(**values | dict.fromkeys(free, "y")))
    dialect: Any = postgresql if Device.server else sqlite
    with device.sessions.begin(SPACE) as session:  # an upsert finds the second by the name that the server gives it
        upsert = dialect.insert(Note).values(**values | dict.fromkeys(("a_b", "b_clash", "long"), "y"))
        if Device.server:
            upsert = upsert.on_conflict_do_update(constraint="note_a_b_key1", set_={"l" * 60: "z"})
        else:
            upsert = upsert.on_conflict_do_update(index_elements=["a", "b"], set_={"l" * 60: "z"})
        session.execute(upsert)
    with device.sessions() as session:
        assert session.scalars(select(Note.long)).all() == ["z"]
    device.stop()


def test_keys_of_two_tables_whose_indexes_have_one_name_are_refused(tmp_path: Path) -> None:
    class Models(DeclarativeBase):
        pass

    class Tag(Synced, Models):
        __tablename__ = "tag"
        __table_args__ = (UniqueConstraint("a", "b"),)
        a: Mapped[str]
        b: Mapped[str]

    class Other(Synced, Models):
        __tablename__ = "tag_a"
        b: Mapped[str] = mapped_column(unique=True)

    with pytest.raises(MappingError, match=r"uq_tag_a_b.* of table tag_a has one name with an index of table tag\n"):
        Device(tmp_path, "device", Models)


@pytest.mark.parametrize(
    "given",
    [
        (UniqueConstraint("a", name="Key"), UniqueConstraint("b", name="key")),
        (UniqueConstraint("a", name="key"), Index("KEY_clash", "b")),
        (UniqueConstraint("a", name="key"), UniqueConstraint("b", name="key_clash")),
    ],
)
def test_keys_of_one_table_that_are_given_one_name_are_refused(given: tuple[Any, ...]) -> None:
    class Models(DeclarativeBase):
        pass

    with pytest.raises(MappingError, match="has the name of another index"):
        type(
            "Tag",
            (Synced, Models),
            {
                "__tablename__": "tag",
                "__annotations__": {"a": Mapped[str], "b": Mapped[str]},
                "__table_args__": given,
            },
        )


def test_a_key_that_is_called_as_a_table_is_refused(tmp_path: Path) -> None:
    class Models(DeclarativeBase):
        pass

    class Tag(Synced, Models):
        __tablename__ = "tag"
        __table_args__ = (UniqueConstraint("a", name="Tag"),)
        a: Mapped[str]

    with pytest.raises(MappingError, match="has one name with table tag"):
        Device(tmp_path, "device", Models)
