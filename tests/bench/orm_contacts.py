"""The rows of the ORM benchmarks: a synced table of 6 columns, and a plain one beside it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from lichen_adapters.orm import Synced
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Both tables."""


class Contact(Synced, Base):
    """Six columns with the key."""

    __tablename__ = "contact"
    name: Mapped[str]
    email: Mapped[str]
    age: Mapped[int]
    weight: Mapped[float]
    active: Mapped[bool]


class Plain(Base):
    """The same, not synced."""

    __tablename__ = "plain"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str]
    email: Mapped[str]
    age: Mapped[int]
    weight: Mapped[float]
    active: Mapped[bool]


def contacts(model: type[Any], objects: int) -> Iterator[Any]:
    """New objects."""
    for number in range(objects):
        yield model(name=f"name {number}", email=f"{number}@example.org", age=number % 90, weight=60.5, active=True)
