"""Rows that tests of several toolkits show: tasks in an order."""

from __future__ import annotations

from collections.abc import Callable

from lichen_adapters.orm import Sessions, Synced
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Task(Synced, Base):
    __tablename__ = "task"
    title: Mapped[str]
    rank: Mapped[int]
    done: Mapped[bool] = mapped_column(default=False)


TASKS = select(Task).order_by(Task.rank, Task.title)


def write(sessions: Sessions, work: Callable[[dict[str, Task]], list[Task]]) -> None:
    """Change the tasks of before, by title, and add those that come back."""
    with sessions.begin(sessions._engine.spaces[0]) as session:
        session.add_all(work({task.title: task for task in session.scalars(select(Task))}))
