"""Models that are declared after `Sessions` was made are refused where they would be written: nobody watches them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from lichen_adapters.orm import DocId, SessionMisuse, Synced, synced_association, synced_set
from orm_devices import SPACE, Device
from sqlalchemy import Column, ForeignKey, String, Table, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def a_document(base: Any, _note: Any) -> None:
    class Late(Synced, base):
        __tablename__ = "late"


def a_part(base: Any, note: Any) -> None:
    class Late(Synced, base, part_of="note_id"):
        __tablename__ = "late"
        note_id: Mapped[DocId] = mapped_column(ForeignKey(note.id))


def an_association(base: Any, note: Any) -> None:
    columns = [Column(name, ForeignKey(note.id), primary_key=True) for name in ("from_id", "to_id")]
    synced_association(Table("late", base.metadata, *columns), owner="from_id")


def a_column(_base: Any, note: Any) -> None:
    note.late = mapped_column(String, nullable=True)


@pytest.mark.parametrize("declare", [a_document, a_part, an_association, a_column])
def test_what_is_declared_after_sessions_were_made_is_not_written_until_they_are_made_anew(
    tmp_path: Path, database: str, declare: Callable[[Any, Any], None]
) -> None:
    class Base(DeclarativeBase):
        pass

    class Note(Synced, Base):
        __tablename__ = "note"
        title: Mapped[str]

    device = Device(tmp_path, "device", Base)
    with device.sessions.begin(SPACE) as session:
        session.add(Note(title="early"))
    declare(Base, Note)
    with (
        pytest.raises(SessionMisuse, match=r"table (late|note), or a column of it, was declared after `Sessions`"),
        device.sessions.begin() as session,
    ):
        session.execute(text("UPDATE note SET title = 'unseen'"))
    with device.sessions() as session:
        assert session.scalars(select(Note.__table__.c.title)).all() == ["early"]
    device.stop()
    if declare is not a_column:
        device.start()
        with device.sessions.begin(SPACE) as session:
            session.execute(update(Note).values(title="late"))
        device.check()
    device.stop()


def test_a_class_that_is_declared_later_in_the_table_of_another_knows_what_it_loaded(tmp_path: Path) -> None:
    class Base(DeclarativeBase):
        pass

    class Note(Synced, Base):
        __tablename__ = "note"
        kind: Mapped[str]
        words: Mapped[set[str]] = synced_set()
        __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_on": "kind", "polymorphic_identity": "note"}

    device = Device(tmp_path, "device", Base)

    class Recipe(Note):
        __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "recipe"}

    with device.sessions.begin(SPACE) as session:
        session.add(Recipe(words={"a"}))
    with device.sessions() as session:
        recipe = session.scalars(select(Recipe)).one()
        device.edit(recipe.id, lambda document: document.map("words").update({'"b"': True}))
        recipe.words.add("c")
        session.commit()
        assert recipe.words == {"a", "b", "c"}
    device.check()
    device.stop()
