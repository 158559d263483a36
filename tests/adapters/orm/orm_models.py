"""A model with a column of every kind, a part, references and a table that is not synced."""

from __future__ import annotations

import datetime
import decimal
import enum
from typing import Any

from lichen_adapters.orm import (
    DocId,
    Synced,
    local_column,
    synced_association,
    synced_counter,
    synced_list,
    synced_set,
    synced_text,
)
from sqlalchemy import JSON, CheckConstraint, Column, ForeignKey, String, Table, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The models of these tests."""


class Mood(enum.Enum):
    """A column of names."""

    GLAD = 1
    SAD = 2


user_tag = synced_association(
    Table(
        "user_tag",
        Base.metadata,
        Column("user_id", ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True),
        Column("tag_id", ForeignKey("tag.id"), primary_key=True),
    ),
    owner="user_id",
)
visit_tag = synced_association(
    Table(
        "visit_tag",
        Base.metadata,
        Column("tag_id", ForeignKey("tag.id"), primary_key=True),
        Column("visit_id", ForeignKey("visit.id", ondelete="CASCADE"), primary_key=True),
    ),
    owner="visit_id",
)

user_topic = synced_association(
    Table(
        "user_topic",
        Base.metadata,
        Column("user_id", ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True),
        Column("topic_id", ForeignKey("topic.id"), primary_key=True),
    ),
    owner="user_id",
)


class User(Synced, Base):
    """A document of its own."""

    __tablename__ = "user_account"
    __table_args__ = (CheckConstraint("age IS NULL OR active"),)
    name: Mapped[str] = mapped_column(String(30))
    fullname: Mapped[str | None]
    born: Mapped[datetime.date | None]
    balance: Mapped[decimal.Decimal | None]
    mood: Mapped[Mood | None]
    photo: Mapped[bytes | None]
    active: Mapped[bool] = mapped_column(default=True)
    age: Mapped[int | None] = mapped_column(CheckConstraint("age < 150"))
    bio: Mapped[str | None] = synced_text(search=True)
    stars: Mapped[int] = synced_counter()
    tags: Mapped[set[str]] = synced_set()
    steps: Mapped[list[Any]] = synced_list()
    settings: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    scroll: Mapped[int | None] = local_column()
    friend_id: Mapped[DocId | None] = mapped_column(ForeignKey("user_account.id"))
    friend: Mapped[User | None] = relationship(remote_side="User.id")
    topic_id: Mapped[DocId | None] = mapped_column(ForeignKey("topic.id"))
    topic: Mapped[Topic | None] = relationship()
    topics: Mapped[list[Topic]] = relationship(secondary=user_topic)
    addresses: Mapped[list[Address]] = relationship(back_populates="user", cascade="all, delete-orphan")
    marks: Mapped[list[Tag]] = relationship(secondary=user_tag, back_populates="users")


class Address(Synced, Base, part_of="user_id"):
    """Lies in its user's document."""

    __tablename__ = "address"
    email: Mapped[str]
    uses: Mapped[int] = synced_counter()
    user_id: Mapped[DocId] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    user: Mapped[User] = relationship(back_populates="addresses")
    visits: Mapped[list[Visit]] = relationship(back_populates="address", cascade="all, delete-orphan")


class Visit(Synced, Base, part_of="address_id"):
    """A part of a part: lies in the document of its address's user."""

    __tablename__ = "visit"
    why: Mapped[str]
    count: Mapped[int] = synced_counter()
    address_id: Mapped[DocId] = mapped_column(ForeignKey("address.id", ondelete="CASCADE"))
    address: Mapped[Address] = relationship(back_populates="visits")
    marks: Mapped[list[Tag]] = relationship(secondary=visit_tag)


class Tag(Synced, Base):
    """A document with two unique keys."""

    __tablename__ = "tag"
    __table_args__ = (UniqueConstraint("colour", "size"),)
    name: Mapped[str] = mapped_column(unique=True)
    colour: Mapped[str | None]
    size: Mapped[int] = mapped_column(CheckConstraint("size < 9"), default=0)
    words: Mapped[list[Word]] = relationship(back_populates="tag", cascade="all, delete-orphan")
    users: Mapped[list[User]] = relationship(secondary=user_tag, back_populates="marks")


class Word(Synced, Base, part_of="tag_id"):
    """Lies in its tag's document, with a unique key that reaches over documents."""

    __tablename__ = "word"
    letters: Mapped[str] = mapped_column(index=True, unique=True)
    tag_id: Mapped[DocId] = mapped_column(ForeignKey("tag.id", ondelete="CASCADE"))
    tag: Mapped[Tag] = relationship(back_populates="words")


class Topic(Synced, Base, clash="join"):
    """Rows of one name are one."""

    __tablename__ = "topic"
    name: Mapped[str | None] = mapped_column(unique=True)
    hue: Mapped[str | None]
    pins: Mapped[int] = mapped_column(CheckConstraint("pins < 9"), default=0)
    under_id: Mapped[DocId | None] = mapped_column(ForeignKey("topic.id"))
    under: Mapped[Topic | None] = relationship(remote_side="Topic.id")


class Draft(Base):
    """Not synced."""

    __tablename__ = "draft"
    id: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[str]
    user_id: Mapped[DocId | None] = mapped_column(ForeignKey("user_account.id"))
    topic_id: Mapped[DocId | None] = mapped_column(ForeignKey("topic.id"))
