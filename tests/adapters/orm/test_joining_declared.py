"""`clash="join"` of a class that has not just one natural key, or whose key others depend on, is refused."""

from __future__ import annotations

import pytest
from lichen_adapters.orm import DocId, MappingError, Synced, synced_association
from lichen_adapters.orm.plan import Plan
from sqlalchemy import Column, ForeignKey, Table, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def test_what_cannot_be_joined_is_refused_when_the_class_is_made() -> None:
    class Base(DeclarativeBase):
        pass

    with pytest.raises(MappingError, match="it has 0"):

        class NoKey(Synced, Base, clash="join"):
            __tablename__ = "no_key"
            name: Mapped[str]

    with pytest.raises(MappingError, match="it has 2"):

        class TwoKeys(Synced, Base, clash="join"):
            __tablename__ = "two_keys"
            __table_args__ = (UniqueConstraint("name", "size"),)
            name: Mapped[str] = mapped_column(unique=True)
            size: Mapped[int]

    with pytest.raises(MappingError, match="fraction"):

        class Fraction(Synced, Base, clash="join"):
            __tablename__ = "fraction"
            size: Mapped[float] = mapped_column(unique=True)

    with pytest.raises(MappingError, match="neither"):

        class Other(Synced, Base, clash="merge"):  # type: ignore[arg-type]  # it is refused
            __tablename__ = "other"
            name: Mapped[str] = mapped_column(unique=True)

    class Tag(Synced, Base, clash="join"):
        __tablename__ = "tag"
        name: Mapped[str] = mapped_column(unique=True)

    with pytest.raises(MappingError, match="only documents"):

        class Part(Synced, Base, part_of="tag_id", clash="join"):
            __tablename__ = "part"
            name: Mapped[str] = mapped_column(unique=True)
            tag_id: Mapped[DocId] = mapped_column(ForeignKey("tag.id"))


def test_what_cannot_be_joined_is_refused_when_all_tables_are_known() -> None:
    class Base(DeclarativeBase):
        pass

    class Tag(Synced, Base, clash="join"):
        __tablename__ = "tag"
        name: Mapped[str] = mapped_column(unique=True)

    class Use(Synced, Base):
        __tablename__ = "use"
        __table_args__ = (UniqueConstraint("place", "tag_id"),)
        place: Mapped[str]
        tag_id: Mapped[DocId] = mapped_column(ForeignKey("tag.id"))

    with pytest.raises(MappingError, match="unique key of use"):
        Plan(Base.metadata)

    class Another(DeclarativeBase):
        pass

    class Label(Synced, Another, clash="join"):
        __tablename__ = "label"
        name: Mapped[str] = mapped_column(unique=True)

    synced_association(
        Table(
            "label_label",
            Another.metadata,
            Column("one_id", ForeignKey("label.id"), primary_key=True),
            Column("other_id", ForeignKey("label.id"), primary_key=True),
        ),
        owner="one_id",
    )
    with pytest.raises(MappingError, match="own others"):
        Plan(Another.metadata)
