"""The types of synced classes come through to type checkers."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from typing import Annotated, Any, assert_type

from lichen import Engine
from lichen_adapters.orm import (
    DocId,
    Sessions,
    Synced,
    SyncedDataclass,
    local_column,
    synced_association,
    synced_counter,
    synced_list,
    synced_set,
    synced_text,
)
from sqlalchemy import Column, ForeignKey, String, Table, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

name = Annotated[str, mapped_column(String(30))]


class Base(DeclarativeBase):
    pass


note_tag = synced_association(
    Table(
        "note_tag",
        Base.metadata,
        Column[DocId]("note_id", ForeignKey("note.id"), primary_key=True),
        Column[DocId]("tag_id", ForeignKey("tag.id"), primary_key=True),
    ),
    owner="note_id",
)


class Note(Synced, Base):
    __tablename__ = "note"
    title: Mapped[name]
    due: Mapped[datetime.date | None]
    body: Mapped[str | None] = synced_text()
    stars: Mapped[int] = synced_counter()
    words: Mapped[set[str]] = synced_set()
    steps: Mapped[list[Any]] = synced_list()
    scroll: Mapped[int | None] = local_column()
    lines: Mapped[list[Line]] = relationship(back_populates="note")
    tags: Mapped[list[Tag]] = relationship(secondary=note_tag)


class Line(Synced, Base, part_of="note_id"):
    __tablename__ = "line"
    note_id: Mapped[DocId] = mapped_column(ForeignKey("note.id"))
    note: Mapped[Note] = relationship(back_populates="lines")


class Tag(SyncedDataclass, Base):
    __tablename__ = "tag"
    label: Mapped[str]


def fields(note: Note, line: Line, tag: Tag) -> None:
    assert_type(note.id, uuid.UUID)
    assert_type(note.title, str)
    assert_type(note.due, datetime.date | None)
    assert_type(note.body, str | None)
    assert_type(note.stars, int)
    assert_type(note.words, set[str])
    assert_type(note.scroll, int | None)
    assert_type(note.lines, list[Line])
    assert_type(note.tags, list[Tag])
    assert_type(line.note, Note)
    assert_type(line.note_id, uuid.UUID)
    assert_type(tag.id, uuid.UUID)
    note.stars += 1
    note.stars = "many"  # type: ignore[assignment]


async def sessions() -> None:
    async with Engine.open("sqlite:///notes.db") as engine:
        made = Sessions(engine, Base)
        await asyncio.to_thread(made.prepare)
        space = await engine.create_space("Family")
        with made.begin(space) as session:
            assert_type(session, Session)
            session.add(Note(title="Groceries", tags=[Tag(label="todo")]))
            assert_type(session.scalars(select(Note)).one(), Note)
