"""What cannot be synced is refused when its class is made, and says what to do."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from lichen_adapters.orm import (
    DocId,
    MappingError,
    Sessions,
    Synced,
    local_column,
    synced_association,
    synced_counter,
    synced_text,
)
from lichen_adapters.orm.plan import Plan
from sqlalchemy import (
    Column,
    FetchedValue,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Integer,
    Interval,
    LargeBinary,
    String,
    Table,
    create_engine,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import UserDefinedType


class Coordinates(UserDefinedType[Any]):
    """A type of which nobody knows what Python makes of it."""


@pytest.fixture
def base() -> type[DeclarativeBase]:
    class Base(DeclarativeBase):
        pass

    return Base


def test_a_number_as_key_is_refused(base: Any) -> None:
    with pytest.raises(MappingError, match="the key of the synced class Note is id, not the `id` of the mixin"):

        class Note(Synced, base):
            __tablename__ = "note"
            id: Mapped[int] = mapped_column(primary_key=True)


def test_a_reference_that_is_declared_as_a_number_is_refused(base: Any) -> None:
    class Note(Synced, base):
        __tablename__ = "note"
        next_id: Mapped[DocId | None] = mapped_column(ForeignKey("note.id"))

    with pytest.raises(MappingError, match=r"Item\.note_id points at the id of a synced class") as refused:

        class Item(Synced, base):
            __tablename__ = "item"
            note_id: Mapped[int] = mapped_column(ForeignKey("note.id"))

    assert "Mapped[DocId]" in str(refused.value.hint)

    with pytest.raises(MappingError, match=r"Draft\.note_id points"):

        class Draft(Synced, base):
            __tablename__ = "draft"
            note_id: Mapped[Any] = mapped_column(Integer, ForeignKey("note.id"))

    with pytest.raises(MappingError, match=r"Page\.next_id points"):

        class Page(Synced, base):
            __tablename__ = "page"
            next_id: Mapped[int | None] = mapped_column(ForeignKey("page.id"))


def test_a_reference_to_a_class_that_comes_later_is_refused_when_sessions_are_made(base: Any) -> None:
    class Draft(base):
        __tablename__ = "draft"
        id: Mapped[int] = mapped_column(primary_key=True)
        note_id: Mapped[int | None] = mapped_column(ForeignKey("note.id"))

    class Note(Synced, base):
        __tablename__ = "note"

    with pytest.raises(MappingError, match=r"Draft\.note_id points"):
        Sessions(None, base)  # type: ignore[arg-type]  # the class is looked at first


def test_a_reference_of_a_table_without_sync_to_anything_but_an_id_is_refused(base: Any) -> None:
    class Tag(Synced, base):
        __tablename__ = "tag"
        name: Mapped[str] = mapped_column(unique=True)

    class Draft(base):  # type: ignore[misc]  # a fixture's class
        __tablename__ = "draft"
        id: Mapped[int] = mapped_column(primary_key=True)
        about: Mapped[str] = mapped_column(ForeignKey("tag.name"))

    with pytest.raises(MappingError, match=r"draft\.about points at other columns of the synced table tag than its id"):
        Plan(base.metadata)


def test_a_key_of_two_columns_is_refused(base: Any) -> None:
    with pytest.raises(MappingError, match="is id, place"):

        class Note(Synced, base):
            __tablename__ = "note"
            place: Mapped[int] = mapped_column(primary_key=True)


def test_a_key_that_is_no_document_id_is_refused(base: Any) -> None:
    with pytest.raises(MappingError, match="not the `id` of the mixin"):

        class Note(Synced, base):
            __tablename__ = "note"
            id: Mapped[uuid.UUID] = mapped_column(primary_key=True)


def test_an_id_that_the_class_makes_itself_is_refused(base: Any) -> None:
    with pytest.raises(MappingError, match="the key of the synced class Note is id, not the `id` of the mixin"):

        class Note(Synced, base):
            __tablename__ = "note"
            id: Mapped[DocId] = mapped_column(primary_key=True, default=uuid.uuid4)


def test_a_counter_of_anything_but_whole_numbers_is_refused(base: Any) -> None:
    with pytest.raises(MappingError, match=r"column note\.stars is a counter of type Double\(\)"):

        class Note(Synced, base):
            __tablename__ = "note"
            stars: Mapped[float] = synced_counter()


def test_a_type_that_cannot_merge_is_refused_unless_it_stays_here(base: Any) -> None:
    with pytest.raises(MappingError, match=r"note\.place of type .* cannot merge"):

        class Note(Synced, base):
            __tablename__ = "note"
            place: Mapped[Any] = mapped_column(Coordinates())

    class Local(Synced, base):
        __tablename__ = "local"
        place: Mapped[Any] = local_column(type_=Coordinates())

    assert not Plan(base.metadata).tables["local"].columns


@pytest.mark.parametrize("part_of", ["owner", "title", "nothing", "other_id"])
def test_a_part_names_the_column_of_its_owner(base: Any, part_of: str) -> None:
    with pytest.raises(MappingError, match=f"part_of='{part_of}' of table part is no column with a foreign key"):

        class Part(Synced, base, part_of=part_of):
            __tablename__ = "part"
            __table_args__ = (ForeignKeyConstraint(["other_id", "title"], ["note.id", "note.title"]),)
            title: Mapped[str]
            owner_id: Mapped[DocId] = mapped_column(ForeignKey("note.id"))
            other_id: Mapped[DocId]


def test_a_column_that_would_pass_for_something_else_in_documents_is_refused(base: Any) -> None:
    with pytest.raises(MappingError, match="begins with @"):

        class Note(Synced, base):
            __tablename__ = "note"
            mark: Mapped[str] = mapped_column("@deleted", String)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schema": "other"}, r"table other\.note has a schema"),
        ({"prefixes": ["TEMPORARY"]}, "table note has the prefix TEMPORARY"),
        ({"sqlite_strict": True}, "table note is sqlite_strict"),
    ],
)
def test_a_table_that_cannot_hold_rows_of_documents_is_refused(base: Any, options: Any, message: str) -> None:
    with pytest.raises(MappingError, match=message):

        class Note(Synced, base):
            __tablename__ = "note"
            __table_args__ = options

    ends = (Column(name, ForeignKey("note.id"), primary_key=True) for name in ("left_id", "right_id"))
    with pytest.raises(MappingError, match=message.replace("note", "pair")):
        synced_association(Table("pair", base.metadata, *ends, **options), owner="left_id")


@pytest.mark.parametrize("column", ["lichen_space", "lichen_begun", "Lichen_Clash"])
def test_a_column_with_a_name_of_ours_is_refused(base: Any, column: str) -> None:
    with pytest.raises(MappingError, match=f"column note.{column} has the name of a column that synced tables get"):

        class Note(Synced, base):
            __tablename__ = "note"
            title: Mapped[str] = mapped_column(unique=True)
            mark: Mapped[str] = mapped_column(column, String)


def test_a_table_with_a_name_of_ours_is_refused(base: Any) -> None:
    with pytest.raises(MappingError, match="lichen_held_rows begins as those of the tables that lichen makes"):

        class Note(Synced, base):
            __tablename__ = "lichen_held_rows"


def test_a_name_with_a_dot_is_one_like_others(base: Any) -> None:
    class Note(Synced, base):
        __tablename__ = "my.note"

    class Item(Synced, base, part_of="note_id"):
        __tablename__ = "my.item"
        note_id: Mapped[DocId] = mapped_column(ForeignKey(Note.id))

    assert Plan(base.metadata).mark(sqlite.dialect())


def test_an_exclusion_constraint_is_refused(base: Any) -> None:
    with pytest.raises(MappingError, match="table booking has an exclusion constraint, which two devices can break"):

        class Booking(Synced, base):
            __tablename__ = "booking"
            __table_args__ = (ExcludeConstraint(("room", "=")),)
            room: Mapped[str]


def test_a_column_of_the_server_is_refused(base: Any) -> None:
    with pytest.raises(MappingError, match="server keeps for itself"):

        class Note(Synced, base):
            __tablename__ = "note"
            version: Mapped[int] = mapped_column("xmin", system=True, server_default=FetchedValue())


def test_an_identity_that_the_database_always_gives_is_refused_unless_it_stays_here(base: Any) -> None:
    with pytest.raises(MappingError, match=r"note\.number is an identity that the database always gives"):

        class Note(Synced, base):
            __tablename__ = "note"
            number: Mapped[int] = mapped_column(Identity(always=True))

    class Item(Synced, base):
        __tablename__ = "item"
        number: Mapped[int] = mapped_column(Identity())
        here: Mapped[int] = local_column(server_default=Identity(always=True))


def test_tables_whose_names_are_one_in_sqlite_are_refused(base: Any) -> None:
    class Note(Synced, base):
        __tablename__ = "note"

    with pytest.raises(MappingError, match="tables note and Note have one name in SQLite"):

        class Other(Synced, base):
            __tablename__ = "Note"


def test_tables_without_sync_whose_names_are_one_in_sqlite_are_refused_when_sessions_are_made(base: Any) -> None:
    class Note(Synced, base):
        __tablename__ = "note"

    Table("NOTE", base.metadata, Column("id", Integer, primary_key=True))
    with pytest.raises(MappingError, match="tables note and NOTE have one name in SQLite"):
        Plan(base.metadata)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"rank": synced_text(search=True)}, "a column called rank cannot be searched"),
        (
            {"one": synced_text(search=True), "other": synced_text(search="trigram")},
            "texts of the table odd are searched in different ways",
        ),
        ({"one": synced_text(search=True), "RowID": mapped_column(String)}, "has a column called RowID"),
        (
            {"one": synced_text(search=True), "__table_args__": {"sqlite_with_rowid": False}},
            "without the row numbers that SQLite's index needs",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_when_the_class_is_made(
    base: Any, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(MappingError, match=message):
        type("Odd", (Synced, base), {"__tablename__": "odd", **columns})


def test_a_foreign_key_between_documents_has_no_ddl_and_the_others_have(base: Any) -> None:
    class Note(Synced, base):
        __tablename__ = "note"
        about_id: Mapped[DocId | None] = mapped_column(ForeignKey("note.id"))
        body: Mapped[str] = synced_text()
        data: Mapped[bytes] = mapped_column(LargeBinary)
        takes: Mapped[Any] = mapped_column(Interval)

    class Part(Synced, base, part_of="note_id"):
        __tablename__ = "part"
        note_id: Mapped[DocId] = mapped_column(ForeignKey("note.id"))
        about_id: Mapped[DocId | None] = mapped_column(ForeignKey("note.id"))

    class Plain(base):  # type: ignore[misc]  # a fixture's class
        __tablename__ = "plain"
        id: Mapped[int] = mapped_column(Integer, primary_key=True)
        note_id: Mapped[DocId] = mapped_column(ForeignKey("note.id"))

    engine = create_engine("sqlite://")
    base.metadata.create_all(engine)
    with engine.connect() as conn:
        keys = {
            table: [row[3] for row in conn.exec_driver_sql(f"PRAGMA foreign_key_list({table})")]
            for table in ("note", "part", "plain")
        }
    engine.dispose()
    assert keys == {"note": [], "part": ["note_id"], "plain": ["note_id"]}
