"""Unique keys: refused on one device as ever; of rows that two devices gave one key, the one begun first stands."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lichen.ids import SpaceId
from lichen_adapters.orm import DocId, HeldRow, MappingError, Synced, conflicts, synced_text
from lichen_adapters.orm.plan import Plan
from lichen_adapters.orm.unique_keys import CLASH
from lichen_adapters.orm.unique_keys import SPACE as COLUMN_OF_SPACE
from lichen_adapters.orm.upserts import aimed
from orm_devices import OTHER_SPACE, SPACE, Device, exchange
from orm_models import Tag, Word
from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    one, other = Device(tmp_path, "one"), Device(tmp_path, "other")
    yield one, other
    for device in (one, other):
        device.check()
        device.stop()


def add(device: Device, name: str, *letters: str, space: SpaceId = SPACE, **values: Any) -> uuid.UUID:
    with device.sessions.begin(space) as session:
        tag = Tag(name=name, words=[Word(letters=one) for one in letters], **values)
        session.add(tag)
        session.flush()
        return tag.id


def standing(device: Device, space: SpaceId = SPACE) -> dict[str, uuid.UUID]:
    """The tags of a space that do not stand back."""
    table = Tag.__table__
    chosen = select(table).where(~table.c[CLASH], table.c[COLUMN_OF_SPACE] == space)
    with device.sessions() as session:
        return {row.name: row.id for row in session.execute(chosen)}


def names(device: Device) -> list[str]:
    with device.sessions() as session:
        return sorted(session.scalars(select(Tag.name)))


def test_a_second_value_on_one_device_is_refused_and_in_another_space_not(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    add(one, "todo", "a")
    with pytest.raises(IntegrityError):
        add(one, "todo")
    with pytest.raises(IntegrityError):
        add(one, "other", "a")
    add(one, "todo", "a", space=OTHER_SPACE)
    assert names(one) == ["todo", "todo"]
    assert one.flagged() == set()


def test_which_key_is_taken_is_said_in_words(pair: tuple[Device, Device]) -> None:
    add(pair[0], "a", colour="red", size=2)
    with pytest.raises(IntegrityError, match="another row of the same space has this name"):
        add(pair[0], "a")
    with pytest.raises(IntegrityError, match="another row of the same space has this colour and size"):
        add(pair[0], "b", colour="red", size=2)


def test_of_two_rows_with_one_key_the_one_that_was_begun_first_stands_on_both(pair: tuple[Device, Device]) -> None:
    one, other = pair
    elsewhere = add(one, "todo", space=OTHER_SPACE)
    first, second = add(one, "todo"), add(other, "todo")
    exchange(one, other)
    for device in pair:
        assert names(device) == ["todo", "todo", "todo"]
        assert elsewhere in standing(device, OTHER_SPACE).values()
        assert standing(device) == {"todo": min([first, second], key=lambda tag: (device.began["tag", tag], tag))}


def test_a_row_stands_again_when_the_one_in_its_way_is_renamed_or_deleted(pair: tuple[Device, Device]) -> None:
    one, other = pair
    add(one, "todo"), add(other, "todo"), add(one, "b"), add(other, "b")
    exchange(one, other)
    first = standing(one)
    with one.sessions.begin() as session:
        session.execute(update(Tag).where(Tag.id == first["todo"]).values(name="done"))
        session.execute(delete(Tag).where(Tag.id == first["b"]))
    assert one.flagged() == set()
    exchange(one, other)
    for device in pair:
        assert names(device) == ["b", "done", "todo"]
        assert device.flagged() == set()


@pytest.mark.parametrize("merged", [False, True])
def test_a_row_without_a_key_stands_back_for_nobody(tmp_path: Path, merged: bool) -> None:
    class Base(DeclarativeBase):
        pass

    class Book(Synced, Base):
        __tablename__ = "book"
        isbn: Mapped[str | None] = mapped_column(unique=True)

    one, other = (Device(tmp_path, name, Base) for name in ("one", "other"))
    for device in (one, other):
        with device.sessions.begin(SPACE) as session:
            session.add(Book(isbn="978"))
    exchange(one, other)
    ((_, back),) = one.flagged()
    with (other if merged else one).sessions.begin() as session:
        session.get_one(Book, back).isbn = None
    exchange(one, other)
    assert one.flagged() == other.flagged() == set()
    for device in (one, other):
        device.stop()


def test_a_row_that_is_held_keeps_its_key(pair: tuple[Device, Device]) -> None:
    one, other = pair
    first, second = add(one, "todo"), add(other, "todo")
    exchange(one, other)
    winner = standing(one)["todo"]
    one.edit(winner, lambda document: document.update(size=20))
    exchange(one, other)
    for device in pair:
        assert device.held() == {("tag", winner)}
        assert device.flagged() == {("tag", first if winner == second else second)}
        with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: tag\.name"):
            add(device, "todo")
    one.edit(winner, lambda document: document.update(name="done"))
    exchange(one, other)
    assert other.flagged() == set()
    one.edit(winner, lambda document: document.update(size=2))
    exchange(one, other)
    assert names(other) == ["done", "todo"]


def test_a_row_that_must_stay_when_it_is_deleted_has_no_key(tmp_path: Path) -> None:
    """A table without sync points at it, with a key that forbids to delete it."""

    class Own(DeclarativeBase):
        pass

    class Tag(Synced, Own):
        __tablename__ = "tag"
        name: Mapped[str] = mapped_column(unique=True)

    class Pin(Own):
        __tablename__ = "pin"
        tag_id: Mapped[DocId] = mapped_column(ForeignKey("tag.id"), primary_key=True)

    one, other, third = devices = [Device(tmp_path, name, Own) for name in ("one", "other", "third")]
    made = []
    for device in (one, other):
        with device.sessions.begin(SPACE) as session:
            tag = Tag(name="a")
            session.add(tag)
            session.flush()
            made.append(tag.id)
    third.take_from(one)
    exchange(one, other)
    assert one.flagged() == {("tag", made[1])}
    with one.sessions.begin() as session:
        session.add(Pin(tag_id=made[0]))
    with third.sessions.begin() as session:
        session.execute(delete(Tag))
    one.take_from(third)
    assert one.held() == {("tag", made[0])}
    assert one.flagged() == set()
    for device in devices:
        device.stop()


def test_keys_that_are_exchanged_on_one_device_are_exchanged_on_the_other(pair: tuple[Device, Device]) -> None:
    one, other = pair
    a, b = add(one, "a", "x", "y"), add(one, "b")
    exchange(one, other)
    for name, words in (("between", "-"), ("a", "x"), ("b", "y")):
        with one.sessions.begin() as session:
            if name == "between":
                session.execute(update(Tag).where(Tag.id == a).values(name=name))
                session.execute(update(Word).where(Word.letters == "x").values(letters=words))
            elif name == "a":
                session.execute(update(Tag).where(Tag.id == b).values(name="a"))
                session.execute(update(Word).where(Word.letters == "y").values(letters="x"))
            else:
                session.execute(update(Tag).where(Tag.id == a).values(name="b"))
                session.execute(update(Word).where(Word.letters == "-").values(letters="y"))
    exchange(one, other)
    assert standing(other) == {"a": b, "b": a}
    assert other.flagged() == set()


def test_an_upsert_finds_the_row_that_stands(pair: tuple[Device, Device]) -> None:
    one, other = pair
    add(one, "todo"), add(other, "todo")
    exchange(one, other)
    new = {"name": "todo", "size": 1}
    insert = sqlite.insert if one.sessions.database.dialect.name == "sqlite" else postgresql.insert
    for target in ("name", Tag.name, Tag.__table__.c.name):
        with one.sessions.begin(SPACE) as session:
            statement = (
                insert(Tag).values(new).on_conflict_do_update(index_elements=[target], set_={"size": Tag.size + 1})
            )
            session.execute(statement)
    if insert is postgresql.insert:
        for constraint in ("uq_tag_name", "tag_name_key"):  # our name, and the server's
            with one.sessions.begin(SPACE) as session:
                session.execute(insert(Tag).values(new).on_conflict_do_nothing(constraint=constraint))
    with one.sessions.begin(SPACE) as session:
        session.execute(insert(Tag).values(new).on_conflict_do_nothing(index_elements=["name"]))
        sizes = dict(session.execute(select(Tag.id, Tag.size)).all())
    assert sizes.pop(standing(one)["todo"]) == 3
    assert list(sizes.values()) == [0]
    exchange(one, other)


def test_an_upsert_at_a_constraint_of_another_name_is_left_to_the_server() -> None:
    class Own(DeclarativeBase):
        pass

    class Note(Synced, Own):
        __tablename__ = "note"
        a: Mapped[str]
        b: Mapped[str] = mapped_column(unique=True)
        __table_args__ = (UniqueConstraint("a", "b", name="pair"),)

    for name in ("note_b_key", "uq_note_b", "pair"):
        statement = postgresql.insert(Note).on_conflict_do_nothing(constraint=name)
        assert aimed(statement) is not statement
    for name in ("note_a_b_key", "pair_key", "note_b", "uq_note_b_clash", "b_key"):
        statement = postgresql.insert(Note).on_conflict_do_nothing(constraint=name)
        assert aimed(statement) is statement


def test_an_upsert_of_several_rows_finds_those_that_stand(pair: tuple[Device, Device]) -> None:
    """As SQLAlchemy's guide to the ORM has it: a list of values, columns that are named by attributes."""
    one, other = pair
    dialect = postgresql if Device.server is not None else sqlite
    with one.sessions.begin(SPACE) as session:
        for size in (1, 2):
            tags = dialect.insert(Tag).values([{"name": "a", "size": size}, {"name": "b", "size": size + 2}])
            whole = tags.on_conflict_do_update(index_elements=[Tag.name], set_={"size": tags.excluded.size})
            found = session.scalars(whole.returning(Tag), execution_options={"populate_existing": True}).all()
            assert sorted(tag.size for tag in found) == [size, size + 2]
        owner = found[0]
        for _ in range(2):
            words = dialect.insert(Word).values([{"letters": one, "tag_id": owner.id} for one in "xy"])
            session.execute(words.on_conflict_do_nothing(index_elements=[Word.letters]))
        assert sorted(session.scalars(select(Word.letters))) == ["x", "y"]
    other.take_from(one)
    assert other.rows() == one.rows()


def test_a_row_that_a_plain_statement_wrote_has_its_key_from_the_commit_on(pair: tuple[Device, Device]) -> None:
    one, other = pair
    tag = add(one, "todo", "a")
    statement = text("INSERT INTO word (id, letters, tag_id) VALUES (:id, :letters, :tag)")

    def write(letters: str) -> None:
        with one.sessions.begin() as session:
            session.execute(statement, {"id": uuid.uuid4().hex, "letters": letters, "tag": tag.hex})

    write("b")
    for taken in ("a", "b"):
        with pytest.raises(IntegrityError):
            write(taken)
    with pytest.raises(IntegrityError):
        add(one, "other", "b")
    exchange(one, other)
    with other.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Word)) == 2


def test_a_copy_of_a_part_that_two_devices_moved_apart_is_removed(pair: tuple[Device, Device]) -> None:
    one, other = pair
    for name, letters in (("a", ["x"]), ("b", []), ("c", [])):
        add(one, name, *letters)
    other.take_from(one)
    for device, name in ((one, "b"), (other, "c")):
        with device.sessions.begin() as session:
            tag = session.scalars(select(Tag).where(Tag.name == name)).one()
            session.scalars(select(Word)).one().tag = tag
    exchange(one, other)
    with one.sessions.begin() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, HeldRow)
        conflict.remove()
    other.take_from(one)
    for device in pair:
        assert device.held() == set()
        assert [row["letters"] for (table, _), row in device.rows().items() if table == "word"] == ["x"]


def test_the_flags_are_the_same_after_a_restart(pair: tuple[Device, Device]) -> None:
    one, other = pair
    add(one, "todo", "a"), add(other, "todo", "a")
    exchange(one, other)
    flagged = one.flagged()
    assert len(flagged) == 2
    one.stop()
    one.start()
    assert one.flagged() == flagged


@pytest.mark.parametrize(
    "kind", ["text", "collation", "expression", "condition", "set", "deferrable", "nulls", "conflict", "column"]
)
def test_a_unique_key_that_cannot_be_decided_after_a_merge_is_refused(kind: str) -> None:
    class Base(DeclarativeBase):
        pass

    with pytest.raises(MappingError, match="unique"):

        class Note(Synced, Base):
            __tablename__ = "note"
            body: Mapped[str] = synced_text(unique=kind == "text")
            name: Mapped[str] = mapped_column(String(collation="NOCASE"), unique=kind == "collation")
            word: Mapped[str] = mapped_column(
                unique=kind == "column", sqlite_on_conflict_unique="IGNORE" if kind == "column" else None
            )
            __table_args__ = {
                "expression": (Index("ix", func.lower("word"), unique=True),),
                "condition": (Index("ix", "word", unique=True, sqlite_where=text("word > 'b'")),),
                "set": (UniqueConstraint("body", "word"),),
                "deferrable": (UniqueConstraint("word", deferrable=True),),
                "nulls": (UniqueConstraint("word", postgresql_nulls_not_distinct=True),),
                "conflict": (UniqueConstraint("word", sqlite_on_conflict="REPLACE"),),
            }.get(kind, ())


def test_a_unique_key_that_is_declared_after_its_class_is_refused() -> None:
    class Base(DeclarativeBase):
        pass

    class Note(Synced, Base):
        __tablename__ = "note"
        title: Mapped[str]

    Plan(Base.metadata)
    Index("titles", Note.title, unique=True)
    with pytest.raises(MappingError, match="the unique key titles of table note was declared after its class"):
        Plan(Base.metadata)
