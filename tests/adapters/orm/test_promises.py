"""What SQL promises and a merge cannot: each line of the table in `docs/explanation/rows.md`, on two devices."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lichen_adapters.orm import (
    Clash,
    Conflict,
    DocId,
    EditedDeletion,
    HeldRow,
    Joined,
    Repaired,
    Synced,
    check,
    conflicts,
    standing,
)
from orm_devices import SPACE, Device
from sqlalchemy import CheckConstraint, ForeignKey, and_, delete, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

DOC = Path(__file__).parents[3] / "docs" / "explanation" / "rows.md"


class Base(DeclarativeBase):
    """The models of these tests."""


class Page(Synced, Base):
    __tablename__ = "page"
    slug: Mapped[str] = mapped_column(unique=True)
    author_id: Mapped[DocId | None] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author | None] = relationship()
    tag_id: Mapped[DocId | None] = mapped_column(ForeignKey("tag.id"))
    tag: Mapped[Tag | None] = relationship()


class Author(Synced, Base):
    __tablename__ = "author"
    __table_args__ = (CheckConstraint("born < died"),)
    name: Mapped[str]
    born: Mapped[int] = mapped_column(default=1)
    died: Mapped[int] = mapped_column(default=9)
    card: Mapped[Card | None] = relationship(
        primaryjoin=lambda: and_(Card.author_id == Author.id, standing(Card)), cascade="all", passive_deletes=True
    )


class Card(Synced, Base, part_of="author_id"):
    __tablename__ = "card"
    words: Mapped[str]
    author_id: Mapped[DocId] = mapped_column(ForeignKey("author.id", ondelete="CASCADE"), unique=True)


class Tag(Synced, Base, clash="join"):
    __tablename__ = "tag"
    name: Mapped[str] = mapped_column(unique=True)


def in_order(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"ends": max(values["begins"], values["ends"])}


class Meeting(Synced, Base, repair=in_order):
    __tablename__ = "meeting"
    __table_args__ = (CheckConstraint("begins <= ends"),)
    begins: Mapped[int]
    ends: Mapped[int]


Pair = tuple[Device, Device]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    one, other = Device(tmp_path, "one", Base), Device(tmp_path, "other", Base)
    yield one, other
    hear(one, other)
    assert one.rows() == other.rows()
    for device in (one, other):
        assert check(device.sessions).ok
        device.stop()


def hear(one: Device, other: Device) -> None:
    one.take_from(other)
    other.take_from(one)


def add(device: Device, *rows: Synced) -> uuid.UUID:
    with device.sessions.begin(SPACE) as session:
        session.add_all(rows)
        session.flush()
        return rows[0].id


def write(device: Device, statement: Any) -> None:
    with device.sessions.begin(SPACE) as session:
        session.execute(statement)


def found(device: Device) -> list[Conflict]:
    with device.sessions() as session:
        return conflicts(session)


def one_key(pair: Pair) -> None:
    ids = {add(device, Page(slug="home")) for device in pair}
    hear(*pair)
    for device in pair:
        with device.sessions() as session:
            assert {*session.scalars(select(Page.id))} == ids
            (stands,) = session.scalars(select(Page).where(standing(Page)))
            (clash,) = conflicts(session)
            assert isinstance(clash, Clash)
            assert (clash.standing, {clash.row.id, stands.id}) == (stands, ids)
    write(pair[0], delete(Page).where(standing(Page)))
    hear(*pair)
    assert (found(pair[1]), pair[1].flagged()) == ([], set())


def one_row_each(pair: Pair) -> None:
    add(pair[0], Author(name="Ann"))
    hear(*pair)
    for device in pair:
        with device.sessions.begin() as session:
            session.scalars(select(Author)).one().card = Card(words="card")
    hear(*pair)
    shown = set()
    for device in pair:
        with device.sessions() as session:
            card = session.scalars(select(Author)).one().card
            assert card is not None
            shown.add(card.id)
            assert [type(one) for one in conflicts(session)] == [Clash]
    assert len(shown) == 1


def one_natural_key(pair: Pair) -> None:
    for device in pair:
        tag = Tag(name="todo")
        add(device, Page(slug=str(device is pair[0]), tag=tag), tag)
    hear(*pair)
    for device in pair:
        with device.sessions() as session:
            (tag,) = session.scalars(select(Tag))
            assert [page.tag for page in session.scalars(select(Page))] == [tag, tag]
            assert [type(one) for one in conflicts(session)] == [Joined]


def broken_check(pair: Pair) -> None:
    add(pair[0], Author(name="Ann", born=2, died=5))
    hear(*pair)
    write(pair[0], update(Author).values(born=4))
    write(pair[1], update(Author).values(died=3))
    hear(*pair)
    for device in pair:
        (held,) = found(device)
        assert isinstance(held, HeldRow)
        assert (held.values["born"], held.values["died"]) == (4, 3)
        with device.sessions() as session:
            assert session.scalars(select(Author)).all() == []
    pair[0].edit(held.id, lambda document: document.update(died=8))
    hear(*pair)
    with pair[1].sessions() as session:
        assert session.scalars(select(Author.died)).one() == 8


def repaired_check(pair: Pair) -> None:
    add(pair[0], Meeting(begins=2, ends=5))
    hear(*pair)
    write(pair[0], update(Meeting).values(begins=4))
    write(pair[1], update(Meeting).values(ends=3))
    hear(*pair)
    for device in pair:
        (repaired,) = found(device)
        assert isinstance(repaired, Repaired)
        assert repaired.values["ends"] == 3
        with device.sessions() as session:
            assert session.execute(select(Meeting.begins, Meeting.ends)).one() == (4, 4)


def deleted_and_edited(pair: Pair) -> None:
    add(pair[0], Author(name="Ann"))
    hear(*pair)
    write(pair[0], delete(Author))
    write(pair[1], update(Author).values(name="Eve"))
    hear(*pair)
    for device in pair:
        with device.sessions() as session:
            assert session.scalars(select(Author)).all() == []
            assert [type(one) for one in conflicts(session)] == [EditedDeletion]
    with pair[0].sessions.begin() as session:
        (edited,) = conflicts(session)
        assert isinstance(edited, EditedDeletion)
        assert edited.restore().name == "Eve"


def missing_target(pair: Pair) -> None:
    author = Author(name="Ann")
    page = add(pair[0], Page(slug="home", author=author), author)
    (ann,) = (key for table, key in pair[0].rows() if table == "author")
    pair[1].take_from(pair[0], only=page)  # the author has not come yet
    for away in (True, False):
        with pair[1].sessions() as session:
            shown = session.scalars(select(Page)).one()
            assert shown.author_id is not None
            assert (shown.author is None) == away
        pair[1].take_from(pair[0])
    write(pair[1], delete(Author))
    hear(*pair)
    for device in pair:
        with device.sessions() as session:
            shown = session.scalars(select(Page)).one()
            assert (shown.author_id, shown.author) == (ann, None)
            assert conflicts(session) == []


LINES: dict[tuple[str, str], Callable[[Pair], None]] = {
    ("`UNIQUE`, over plain columns", "gave one key to two rows"): one_key,
    ("a relationship of one row, over a unique foreign key", "gave each a row to one owner"): one_row_each,
    ('`UNIQUE`, in a class with `clash="join"`', "made two rows of one key"): one_natural_key,
    ("`CHECK`, `NOT NULL`", "broke it"): broken_check,
    ("the same, in a class with `repair=`", "broke it"): repaired_check,
    ("a row is deleted", "deleted it and edited it"): deleted_and_edited,
    ("a foreign key to another document", "deleted the target, or it has not come yet"): missing_target,
}


@pytest.mark.parametrize("line", LINES, ids=lambda line: LINES[line].__name__)
def test_the_line_is_kept(pair: Pair, line: tuple[str, str]) -> None:
    LINES[line](pair)


def test_every_line_of_the_table_has_its_test() -> None:
    _, _, section = DOC.read_text().partition("## What SQL promises and a merge cannot\n")
    _, *lines = (line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|"))
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[1:]]
    assert [(says, together) for says, together, _ in cells] == [*LINES]
