"""A model of parts three levels deep, with what may stand in the way of a move: a unique key, an association."""

from __future__ import annotations

from lichen_adapters.orm import DocId, Synced, synced_association, synced_counter
from sqlalchemy import CheckConstraint, Column, ForeignKey, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The models of what is moved."""


tray_label = synced_association(
    Table(
        "tray_label",
        Base.metadata,
        Column("tray_id", ForeignKey("tray.id", ondelete="CASCADE"), primary_key=True),
        Column("label_id", ForeignKey("label.id"), primary_key=True),
    ),
    owner="tray_id",
)


class Shelf(Synced, Base):
    """A document, in which boxes lie."""

    __tablename__ = "shelf"
    name: Mapped[str]
    boxes: Mapped[list[Box]] = relationship(back_populates="shelf", cascade="all, delete-orphan")


class Box(Synced, Base, part_of="shelf_id"):
    """A part."""

    __tablename__ = "box"
    name: Mapped[str]
    uses: Mapped[int] = synced_counter()
    shelf_id: Mapped[DocId] = mapped_column(ForeignKey("shelf.id", ondelete="CASCADE"))
    shelf: Mapped[Shelf] = relationship(back_populates="boxes")
    trays: Mapped[list[Tray]] = relationship(back_populates="box", cascade="all, delete-orphan")


class Tray(Synced, Base, part_of="box_id"):
    """A part of a part."""

    __tablename__ = "tray"
    name: Mapped[str]
    uses: Mapped[int] = synced_counter()
    box_id: Mapped[DocId] = mapped_column(ForeignKey("box.id", ondelete="CASCADE"))
    box: Mapped[Box] = relationship(back_populates="trays")
    coins: Mapped[list[Coin]] = relationship(back_populates="tray", cascade="all, delete-orphan")
    labels: Mapped[list[Label]] = relationship(secondary=tray_label)


class Coin(Synced, Base, part_of="tray_id"):
    """A part of a part of a part, with a unique key that reaches over documents, and what may be held."""

    __tablename__ = "coin"
    name: Mapped[str]
    uses: Mapped[int] = synced_counter()
    mint: Mapped[str | None] = mapped_column(unique=True)
    worth: Mapped[int] = mapped_column(CheckConstraint("worth < 9"), default=0)
    tray_id: Mapped[DocId] = mapped_column(ForeignKey("tray.id", ondelete="CASCADE"))
    tray: Mapped[Tray] = relationship(back_populates="coins")


class Label(Synced, Base):
    """What trays have."""

    __tablename__ = "label"
    name: Mapped[str]
