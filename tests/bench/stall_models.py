"""The rows of the benchmark of stalls, as both of its processes declare them."""

from __future__ import annotations

from lichen_adapters.orm import Synced
from sqlalchemy.orm import DeclarativeBase, Mapped


class Base(DeclarativeBase):
    """One table."""


class Line(Synced, Base):
    """A row at a place in a list."""

    __tablename__ = "line"
    text: Mapped[str]
    place: Mapped[int]
