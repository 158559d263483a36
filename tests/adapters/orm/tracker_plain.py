"""An issue tracker as ordinary SQLAlchemy classes: thirteen tables that know nothing of lichen."""

from __future__ import annotations

import datetime
import enum

from sqlalchemy import CheckConstraint, Column, ForeignKey, String, Table, Text, UniqueConstraint, func, select
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship


class Base(DeclarativeBase):
    """The tables of the tracker."""


class State(enum.Enum):
    """Where an issue is."""

    OPEN = "open"
    DOING = "doing"
    DONE = "done"


issue_label = Table(
    "issue_label",
    Base.metadata,
    Column("issue_id", ForeignKey("issue.id", ondelete="CASCADE"), primary_key=True),
    Column("label_id", ForeignKey("label.id", ondelete="CASCADE"), primary_key=True),
)

issue_watcher = Table(
    "issue_watcher",
    Base.metadata,
    Column("issue_id", ForeignKey("issue.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ForeignKey("user.id", ondelete="CASCADE"), primary_key=True),
)


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(120), unique=True)
    name: Mapped[str] = mapped_column(String(60))
    memberships: Mapped[list[Membership]] = relationship(back_populates="user")
    assigned: Mapped[list[Issue]] = relationship(back_populates="assignee", foreign_keys="Issue.assignee_id")
    watching: Mapped[list[Issue]] = relationship(secondary=issue_watcher, back_populates="watchers")


class Project(Base):
    __tablename__ = "project"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(8), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    about: Mapped[str | None] = mapped_column(Text)
    members: Mapped[list[Membership]] = relationship(back_populates="project", cascade="all, delete-orphan")
    milestones: Mapped[list[Milestone]] = relationship(back_populates="project", cascade="all, delete-orphan")
    labels: Mapped[list[Label]] = relationship(back_populates="project", cascade="all, delete-orphan")
    issues: Mapped[list[Issue]] = relationship(back_populates="project", cascade="all, delete-orphan")


class Membership(Base):
    __tablename__ = "membership"
    __table_args__ = (UniqueConstraint("project_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(20), default="member")
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    project: Mapped[Project] = relationship(back_populates="members")
    user: Mapped[User] = relationship(back_populates="memberships")


class Milestone(Base):
    __tablename__ = "milestone"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    due: Mapped[datetime.date | None]
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    project: Mapped[Project] = relationship(back_populates="milestones")
    issues: Mapped[list[Issue]] = relationship(back_populates="milestone")


class Label(Base):
    __tablename__ = "label"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    colour: Mapped[str] = mapped_column(String(7), server_default="#888888")
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    project: Mapped[Project] = relationship(back_populates="labels")
    issues: Mapped[list[Issue]] = relationship(secondary=issue_label, back_populates="labels")


class Issue(Base):
    __tablename__ = "issue"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[State] = mapped_column(default=State.OPEN)
    points: Mapped[int | None] = mapped_column(CheckConstraint("points >= 0"))
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    milestone_id: Mapped[int | None] = mapped_column(ForeignKey("milestone.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("issue.id"))
    project: Mapped[Project] = relationship(back_populates="issues")
    author: Mapped[User] = relationship(foreign_keys=author_id)
    assignee: Mapped[User | None] = relationship(back_populates="assigned", foreign_keys=assignee_id)
    milestone: Mapped[Milestone | None] = relationship(back_populates="issues")
    parent: Mapped[Issue | None] = relationship(back_populates="children", remote_side="Issue.id")
    children: Mapped[list[Issue]] = relationship(back_populates="parent")
    labels: Mapped[list[Label]] = relationship(secondary=issue_label, back_populates="issues", order_by="Label.name")
    watchers: Mapped[list[User]] = relationship(secondary=issue_watcher, back_populates="watching")
    comments: Mapped[list[Comment]] = relationship(back_populates="issue", cascade="all, delete-orphan")
    attachments: Mapped[list[Attachment]] = relationship(back_populates="issue", cascade="all, delete-orphan")
    votes: Mapped[list[Vote]] = relationship(back_populates="issue", cascade="all, delete-orphan")
    times: Mapped[list[TimeEntry]] = relationship(back_populates="issue", cascade="all, delete-orphan")

    @hybrid_property
    def is_open(self) -> bool:
        """Whether there is something to do."""
        return self.state != State.DONE


class Comment(Base):
    __tablename__ = "comment"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(Text)
    issue_id: Mapped[int] = mapped_column(ForeignKey("issue.id", ondelete="CASCADE"), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    issue: Mapped[Issue] = relationship(back_populates="comments")
    author: Mapped[User] = relationship()
    reactions: Mapped[list[Reaction]] = relationship(back_populates="comment", cascade="all, delete-orphan")


class Reaction(Base):
    __tablename__ = "reaction"
    __table_args__ = (UniqueConstraint("comment_id", "user_id", "emoji"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    emoji: Mapped[str] = mapped_column(String(8))
    comment_id: Mapped[int] = mapped_column(ForeignKey("comment.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    comment: Mapped[Comment] = relationship(back_populates="reactions")
    user: Mapped[User] = relationship()


class Attachment(Base):
    __tablename__ = "attachment"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    data: Mapped[bytes]
    issue_id: Mapped[int] = mapped_column(ForeignKey("issue.id", ondelete="CASCADE"))
    issue: Mapped[Issue] = relationship(back_populates="attachments")


class Vote(Base):
    __tablename__ = "vote"
    __table_args__ = (UniqueConstraint("issue_id", "user_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    issue_id: Mapped[int] = mapped_column(ForeignKey("issue.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    issue: Mapped[Issue] = relationship(back_populates="votes")
    user: Mapped[User] = relationship()


class TimeEntry(Base):
    __tablename__ = "time_entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    spent: Mapped[datetime.timedelta]
    day: Mapped[datetime.date]
    issue_id: Mapped[int] = mapped_column(ForeignKey("issue.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    issue: Mapped[Issue] = relationship(back_populates="times")
    user: Mapped[User] = relationship()


Issue.comment_count = column_property(
    select(func.count(Comment.id)).where(Comment.issue_id == Issue.id).correlate_except(Comment).scalar_subquery()
)
