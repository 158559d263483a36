"""An ordinary application with its ordinary tests: the same on plain SQLAlchemy and synced, and then on two devices.

No test names an id, so there is no literal integer id to except.
"""

from __future__ import annotations

import datetime
import difflib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tracker_plain
import tracker_synced
from orm_devices import SPACE, Device
from sqlalchemy import create_engine, delete, event, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload, selectinload, sessionmaker, subqueryload

Open = Callable[[], Session]


@pytest.fixture(params=["plain", "synced"])
def app(request: Any, tmp_path: Path) -> Iterator[tuple[Any, Open]]:
    """The models, and what makes sessions."""
    if request.param == "plain":
        engine = create_engine("sqlite://")
        event.listen(engine, "connect", lambda dbapi, _: dbapi.execute("PRAGMA foreign_keys=ON"))
        tracker_plain.Base.metadata.create_all(engine)
        yield tracker_plain, sessionmaker(engine)
        engine.dispose()
    else:
        device = Device(tmp_path, "device", tracker_synced.Base)
        yield tracker_synced, lambda: device.sessions(SPACE)
        device.check()
        device.stop()


def fill(m: Any, session: Session) -> Any:
    """A project with people, labels, a milestone and three issues."""
    ann, bob = m.User(email="ann@x", name="Ann"), m.User(email="bob@x", name="Bob")
    project = m.Project(key="MOSS", name="Moss", members=[m.Membership(user=ann, role="owner"), m.Membership(user=bob)])
    bug, idea = m.Label(name="bug", colour="#ff0000"), m.Label(name="idea")
    project.labels += [idea, bug]
    project.milestones.append(m.Milestone(title="1.0", due=datetime.date(2030, 1, 1)))
    first = m.Issue(title="It falls", author=ann, assignee=bob, labels=[bug], points=3, milestone=project.milestones[0])
    second = m.Issue(title="It flies", author=bob, labels=[bug, idea], watchers=[ann, bob], parent=first)
    third = m.Issue(title="It is", author=bob, state=m.State.DONE, points=5, assignee=bob)
    project.issues += [first, second, third]
    first.comments.append(m.Comment(body="why?", author=bob, reactions=[m.Reaction(emoji="+1", user=ann)]))
    first.votes += [m.Vote(user=ann), m.Vote(user=bob)]
    first.attachments.append(m.Attachment(name="shot.png", data=b"\x89PNG"))
    first.times.append(m.TimeEntry(spent=datetime.timedelta(hours=2), day=datetime.date(2026, 1, 2), user=bob))
    session.add(project)
    session.commit()
    return project


def issue(m: Any, session: Session, title: str) -> Any:
    return session.scalars(select(m.Issue).where(m.Issue.title == title)).one()


def test_a_project_is_read_back_with_all_its_relationships(app: tuple[Any, Open]) -> None:
    m, open_session = app
    with open_session() as session:
        fill(m, session)
    with open_session() as session:
        first = issue(m, session, "It falls")
        assert (first.author.name, first.assignee.name, first.milestone.title) == ("Ann", "Bob", "1.0")
        assert [one.title for one in first.children] == ["It flies"]
        assert [label.name for label in first.children[0].labels] == ["bug", "idea"]
        assert sorted(one.name for one in first.children[0].watchers) == ["Ann", "Bob"]
        assert first.comments[0].reactions[0].user.name == "Ann"
        assert (first.attachments[0].data, first.times[0].spent.seconds) == (b"\x89PNG", 7200)
        assert first.comment_count == 1
        assert {one.role for one in first.project.members} == {"owner", "member"}
        assert sorted(label.colour for label in first.project.labels) == ["#888888", "#ff0000"]


@pytest.mark.parametrize("load", [selectinload, joinedload, subqueryload])
def test_eager_loading_loads_at_once(app: tuple[Any, Open], load: Any) -> None:
    m, open_session = app
    with open_session() as session:
        fill(m, session)
        query = select(m.Issue).options(
            load(m.Issue.labels), load(m.Issue.comments).options(load(m.Comment.reactions)), load(m.Issue.author)
        )
        issues = session.scalars(query.order_by(m.Issue.title)).unique().all()
        session.expunge_all()
        assert [[one.name for one in found.labels] for found in issues] == [["bug"], ["bug", "idea"], []]
        assert [found.author.name for found in issues] == ["Ann", "Bob", "Bob"]
        assert [len(one.reactions) for found in issues for one in found.comments] == [1]


def test_reports_count_and_sum(app: tuple[Any, Open]) -> None:
    m, open_session = app
    with open_session() as session:
        fill(m, session)
        by_label = select(m.Label.name, func.count()).join(m.Label.issues).group_by(m.Label.name)
        assert set(map(tuple, session.execute(by_label))) == {("bug", 2), ("idea", 1)}
        points = select(func.sum(m.Issue.points)).where(m.Issue.is_open)
        assert session.scalar(points) == 3
        busy = select(m.User.name).join(m.User.assigned).group_by(m.User.id).having(func.count() > 1)
        assert session.scalars(busy).all() == ["Bob"]
        unwatched = select(m.Issue.title).where(~m.Issue.watchers.any()).order_by(m.Issue.title)
        assert session.scalars(unwatched).all() == ["It falls", "It is"]


def test_an_issue_goes_with_all_that_is_its_own(app: tuple[Any, Open]) -> None:
    m, open_session = app
    with open_session() as session:
        fill(m, session)
        second = issue(m, session, "It flies")
        second.parent = None
        session.delete(issue(m, session, "It falls"))
        session.commit()
        for gone in (m.Comment, m.Reaction, m.Attachment, m.Vote, m.TimeEntry):
            assert session.scalar(select(func.count()).select_from(gone)) == 0
        assert session.scalar(select(func.count()).select_from(m.issue_label)) == 2


def test_a_label_that_is_deleted_is_on_no_issue(app: tuple[Any, Open]) -> None:
    m, open_session = app
    with open_session() as session:
        project = fill(m, session)
        project.labels.remove(next(label for label in project.labels if label.name == "bug"))
        session.commit()
        assert [label.name for label in issue(m, session, "It flies").labels] == ["idea"]
        assert issue(m, session, "It falls").labels == []


def test_who_votes_twice_is_refused(app: tuple[Any, Open]) -> None:
    m, open_session = app
    with open_session() as session:
        fill(m, session)
        first = issue(m, session, "It falls")
        first.votes.append(m.Vote(user=first.author))
        with pytest.raises(IntegrityError):
            session.commit()
        session.rollback()
        assert len(issue(m, session, "It falls").votes) == 2


def test_a_second_project_of_one_key_and_negative_points_are_refused(app: tuple[Any, Open]) -> None:
    m, open_session = app
    with open_session() as session:
        fill(m, session)
        for wrong in (m.Project(key="MOSS", name="Other"), m.User(email="ann@x", name="Other")):
            session.add(wrong)
            with pytest.raises(IntegrityError):
                session.flush()
            session.rollback()
        issue(m, session, "It is").points = -1
        with pytest.raises(IntegrityError):
            session.commit()


def test_many_issues_are_closed_by_one_statement(app: tuple[Any, Open]) -> None:
    m, open_session = app
    with open_session() as session:
        fill(m, session)
        session.execute(update(m.Issue).where(m.Issue.points.is_(None)).values(state=m.State.DONE, points=1))
        session.commit()
        assert [one.title for one in session.scalars(select(m.Issue).where(m.Issue.is_open))] == ["It falls"]
        session.execute(delete(m.Comment).where(m.Comment.author.has(name="Bob")))
        session.commit()
        assert issue(m, session, "It falls").comments == []


def test_a_savepoint_takes_its_part_back(app: tuple[Any, Open]) -> None:
    m, open_session = app
    with open_session() as session:
        project = fill(m, session)
        with session.begin_nested() as nested:
            project.name = "Other"
            session.flush()
            nested.rollback()
        project.about = "Small plants"
        session.commit()
    with open_session() as session:
        found = session.scalars(select(m.Project)).one()
        assert (found.name, found.about) == ("Moss", "Small plants")


def test_a_comment_goes_to_another_issue_with_its_reactions(app: tuple[Any, Open]) -> None:
    m, open_session = app
    with open_session() as session:
        fill(m, session)
        first, third = issue(m, session, "It falls"), issue(m, session, "It is")
        third.comments.append(first.comments[0])
        session.commit()
        assert [one.body for one in third.comments] == ["why?"]
        assert [one.emoji for one in third.comments[0].reactions] == ["+1"]
        assert issue(m, session, "It falls").comments == []


def test_a_detached_object_is_merged(app: tuple[Any, Open]) -> None:
    m, open_session = app
    with open_session() as session:
        fill(m, session)
        first = issue(m, session, "It falls")
    first.title = "It stands"
    with open_session() as session:
        session.merge(first)
        session.commit()
        assert issue(m, session, "It stands").points == 3


def test_only_these_lines_differ_between_the_plain_and_the_synced_models() -> None:
    def lines(module: ModuleType) -> list[str]:
        return Path(str(module.__file__)).read_text().splitlines()[1:]

    changes = list(difflib.ndiff(lines(tracker_plain), lines(tracker_synced)))
    new = [line[2:] for line in changes if line.startswith("+ ")]
    kinds = {
        "class": [line for line in new if line.startswith("class ")],
        "key": [line for line in new if "_id: Mapped[DocId" in line],
        "text": [line for line in new if "body: Mapped[str] = synced_text(" in line],
        "association": [line for line in new if line.startswith("synced_association(")],
        "import": [line for line in new if line.startswith("from lichen_adapters.orm import")],
    }
    assert {kind: len(found) for kind, found in kinds.items()} == {
        "class": 11,
        "key": 18,
        "text": 2,
        "association": 2,
        "import": 1,
    }
    assert len(new) == sum(map(len, kinds.values()))
    gone = [line[2:] for line in changes if line.startswith("- ")]
    assert len([line for line in gone if line == "    id: Mapped[int] = mapped_column(primary_key=True)"]) == 11
    assert len(gone) == 11 + 11 + 18 + 2  # ids, class lines, foreign keys, texts


def edit(rng: random.Random, session: Session) -> None:
    """One thing that somebody does in the tracker."""
    m = tracker_synced
    user = rng.choice(session.scalars(select(m.User)).all())
    issues, comments = session.scalars(select(m.Issue)).all(), session.scalars(select(m.Comment)).all()
    if not issues or rng.random() < 0.1:
        project = session.scalars(select(m.Project)).one()
        session.add(m.Issue(title="new", author=user, project=project, labels=project.labels[:1]))
    elif not comments or rng.random() < 0.6:
        edit_issue(rng, session, rng.choice(issues), rng.choice(issues), user)
    else:
        edit_comment(rng, session, rng.choice(comments), rng.choice(issues), user)


def edit_issue(rng: random.Random, session: Session, issue: Any, other: Any, user: Any) -> None:
    m = tracker_synced
    match rng.randrange(8):
        case 0:
            issue.comments.append(m.Comment(body="hm", author=user, reactions=[m.Reaction(emoji="+1", user=user)]))
        case 1:
            labels = issue.project.labels
            issue.labels = rng.sample(labels, rng.randint(0, len(labels)))
        case 2:
            users = session.scalars(select(m.User)).all()
            issue.watchers = rng.sample(list(users), rng.randint(0, len(users)))
        case 3:
            issue.body += rng.choice("abc")
        case 4:
            issue.votes.append(m.Vote(user=user))
        case 5:
            issue.state, issue.assignee, issue.points = rng.choice(list(m.State)), user, rng.randint(0, 5)
        case 6:
            issue.parent = None if issue is other else other
        case 7 if rng.random() < 0.4:
            issue.children.clear()
            session.delete(issue)


def edit_comment(rng: random.Random, session: Session, comment: Any, issue: Any, user: Any) -> None:
    m = tracker_synced
    match rng.randrange(4):
        case 0:
            issue.comments.append(comment)
        case 1:
            comment.reactions.append(m.Reaction(emoji=rng.choice("xyz"), user=user))
        case 2:
            comment.body = rng.choice("abc") + comment.body
        case 3:
            session.delete(comment)


@pytest.mark.parametrize("seed", range(4))
def test_two_devices_work_at_once_and_end_with_the_same_rows(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    pair = [Device(tmp_path, name, tracker_synced.Base) for name in ("one", "other")]
    with pair[0].sessions(SPACE) as session:
        fill(tracker_synced, session)
    pair[1].take_from(pair[0])
    for _ in range(60):
        device = rng.choice(pair)
        if rng.random() < 0.15:
            device.take_from(pair[1] if device is pair[0] else pair[0])
        else:
            with device.sessions(SPACE) as session:
                try:
                    edit(rng, session)
                    session.commit()
                except IntegrityError:  # somebody has voted already
                    session.rollback()
        device.check()
    for device, other in (pair, reversed(pair)):
        device.take_from(other)
    for device in pair:
        device.check()
    assert pair[0].rows() == pair[1].rows()
    for device in pair:
        device.stop()
