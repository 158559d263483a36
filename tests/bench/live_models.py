"""The rows of the benchmark of live queries, as both of its processes declare them."""

from __future__ import annotations

from typing import Any

from lichen_adapters.orm import Synced
from sqlalchemy import Index, Select, select
from sqlalchemy.orm import DeclarativeBase, Mapped

SHOWN = 50
"""Rows of a result, and rows that both devices have."""
MODES = ("indexed", "unindexed", "hundred")


class Base(DeclarativeBase):
    """One table."""


class Score(Synced, Base):
    """A row with the same numbers in columns with and without an index."""

    __tablename__ = "score"
    __table_args__ = (Index("ix_score", "game", "points"),)
    name: Mapped[str]
    game: Mapped[int]
    points: Mapped[int]
    other_game: Mapped[int]
    other_points: Mapped[int]


def best(game: int, *, indexed: bool) -> Select[Any]:
    """The best of a game."""
    where, order = (Score.game, Score.points) if indexed else (Score.other_game, Score.other_points)
    return select(Score).where(where == game).order_by(order.desc(), Score.id).limit(SHOWN)


def row(number: int, game: int, points: int) -> Score:
    """A row."""
    return Score(name=f"player {number}", game=game, points=points, other_game=game, other_points=points)
