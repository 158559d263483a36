"""Live queries of classes that load others along, or compute: of them too only changed rows are loaded again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from lichen_adapters.orm import DocId, Rows, Synced
from lichen_adapters.orm.feed import Changes
from orm_devices import SPACE, Device
from sqlalchemy import ForeignKey, Uuid, event, func, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship
from test_live import query


class Shelves(DeclarativeBase):
    """Classes that load others along, and compute."""


class Shelf(Synced, Shelves):
    __tablename__ = "shelf"
    name: Mapped[str]


class Book(Synced, Shelves):
    __tablename__ = "book"
    name: Mapped[str]
    pages: Mapped[int] = mapped_column(default=0)
    shelf_id: Mapped[DocId | None] = mapped_column(ForeignKey("shelf.id"))
    shelf: Mapped[Shelf | None] = relationship(lazy="selectin")


class Ranked(Book):
    __mapper_args__: ClassVar = {
        "properties": {"rank": column_property(func.row_number().over(order_by=Book.__table__.c.pages))}
    }


class Visit(Shelves):
    """Not synced, and its key is a text."""

    __tablename__ = "visit"
    id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True, default=lambda: str(uuid.uuid4()))
    why: Mapped[str]


@pytest.fixture
def shelves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    monkeypatch.setattr("lichen_adapters.orm.query.LEAST_KEPT", 1)
    made = Device(tmp_path, "shelves", Shelves)
    with made.sessions.begin(SPACE) as session:
        session.add_all([Book(name="a", pages=1), Book(name="b", pages=2), Shelf(name="old")])
    yield made
    made.stop()


def test_a_row_that_leads_to_another_table_only_later_is_level_with_that_too(shelves: Device) -> None:
    made = query(shelves, select(Book).order_by(Book.name))
    for work, shown in (
        (update(Book).where(Book.name == "a").values(shelf_id=select(Shelf.id).scalar_subquery()), "old"),
        (update(Shelf).values(name="new"), "new"),
    ):
        with shelves.sessions.begin() as session:
            session.execute(work)
        assert (made.next() or Rows())[0].shelf.name == shown


def test_a_class_that_computes_over_all_rows_is_loaded_with_all(shelves: Device) -> None:
    made = query(shelves, select(Ranked).order_by(Ranked.name))
    with shelves.sessions.begin() as session:
        session.execute(update(Book).where(Book.name == "a").values(pages=3))
    assert [book.rank for book in made.next() or ()] == [2, 1]


def test_keys_may_be_texts_of_uuids(shelves: Device) -> None:
    made = query(shelves, select(Visit).where(Visit.why < "c").order_by(Visit.why))
    for why, shown in (("b", ["b"]), ("d", None), ("a", ["a", "b"])):
        with shelves.sessions.begin() as session:
            session.add(Visit(why=why))
        rows = made.next()
        assert (rows and [visit.why for visit in rows]) == shown
    with shelves.sessions.begin() as session:
        session.execute(update(Visit).where(Visit.why == "b").values(why="c"))
    assert [visit.why for visit in made.next() or ()] == ["a"]


def test_what_was_not_told_yet_does_not_have_all_rows_loaded_from_then_on(
    shelves: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shelves.sessions.begin(SPACE) as session:
        session.add(Book(name="c"))
    made, untold = query(shelves, select(Book).order_by(Book.name)), list[Changes]()
    feed = shelves.sessions.feed

    def rename(before: str, after: str) -> list[str]:
        with shelves.sessions.begin() as session:
            session.execute(update(Book).where(Book.name == before).values(name=after))
        return [book.name for book in made.next() or ()]

    with monkeypatch.context() as patch:
        patch.setattr(feed, "tell", untold.append)
        assert rename("a", "x") == []
    assert rename("c", "d") == ["b", "d", "x"]
    feed.tell(untold[0])
    assert made.next() is None
    loaded: list[str] = []
    event.listen(Book, "load", lambda book, _: loaded.append(book.name))
    assert rename("b", "e") == ["d", "e", "x"]
    assert loaded == ["e"]
