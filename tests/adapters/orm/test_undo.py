"""Commits taken back: what each wrote goes, and what was written since stays."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lichen.errors import NotFound
from lichen_adapters.orm import AsyncSessions, Commit, SessionMisuse, history, last_commit, undo
from orm_commits import commit, take_back
from orm_devices import Device
from orm_models import Address, Mood, Tag, User, Visit, user_tag
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    """Two devices with one user, who has an address."""
    one, other = Device(tmp_path, "one"), Device(tmp_path, "other")
    commit(one, lambda session: session.add(User(name="ann", bio="hello", addresses=[Address(email="a@b")])))
    other.take_from(one)
    yield one, other
    for device in (one, other):
        device.check()
        device.stop()


def user_of(session: Session) -> User:
    return session.scalars(select(User)).one()


def assign(**values: Any) -> Callable[[Session], None]:
    def work(session: Session) -> None:
        for name, value in values.items():
            setattr(user_of(session), name, value)

    return work


def shown(device: Device, *names: str) -> Any:
    with device.sessions() as session:
        user = user_of(session)
        return tuple(getattr(user, name) for name in names)


CHANGES = [
    ("name", "ann", "bob", "cid", "cid"),
    ("mood", None, Mood.GLAD, Mood.SAD, Mood.SAD),
    ("bio", "hello", "hello world", "oh, hello world", "oh, hello"),
    ("bio", "hello", "heo", "heo!", "hello!"),
    ("bio", "hello", None, "other", "other"),
    ("stars", 0, 5, 7, 2),
    ("tags", set(), {"a", "b"}, {"a", "b", "c"}, {"c"}),
    ("steps", [], [1, 2], [0, 1, 2], [0]),
    ("settings", None, {"a": 1}, {"a": 2}, {"a": 2}),
]


@pytest.mark.parametrize(("name", "was", "made", "later", "left"), CHANGES)
def test_a_value_is_what_it_was_and_later_writing_stays(
    pair: tuple[Device, Device], name: str, was: Any, made: Any, later: Any, left: Any
) -> None:
    one, other = pair
    first = commit(one, assign(**{name: made}))
    assert take_back(one, first)
    assert shown(one, name) == (was,)
    again = commit(one, assign(**{name: made}))
    other.take_from(one)
    commit(other, assign(**{name: later}))
    one.take_from(other)
    take_back(one, again)
    assert shown(one, name) == (left,)
    other.take_from(one)
    assert shown(other, name) == (left,)


def test_it_is_taken_back_once_on_every_device(pair: tuple[Device, Device]) -> None:
    one, other = pair
    made = commit(one, assign(stars=5, bio="hello world"))
    assert take_back(one, made)
    other.take_from(one)
    for device in pair:
        assert not take_back(device, made)
        device.stop()
        device.start()
        assert not take_back(device, made)
    assert shown(one, "stars", "bio") == (0, "hello")


def test_an_undo_is_a_commit_that_can_be_taken_back(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    made = commit(one, assign(stars=5, bio="hello world", name="bob"))
    commit(one, assign(stars=6))
    undone = commit(one, lambda session: undo(session, made))
    assert shown(one, "stars", "bio", "name") == (1, "hello", "ann")
    redone = commit(one, lambda session: undo(session, undone))
    assert shown(one, "stars", "bio", "name") == (6, "hello world", "bob")
    assert not take_back(one, undone)
    assert take_back(one, made)  # it is there again
    assert shown(one, "stars", "bio", "name") == (1, "hello", "ann")
    assert not take_back(one, redone)


def test_all_documents_of_a_commit_are_taken_back(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    commit(one, lambda session: session.add_all([User(name="x"), User(name="y")]))

    def rename(session: Session) -> None:
        for user in session.scalars(select(User)):
            user.name += "!"
        session.add(Tag(name="red"))

    made = commit(one, rename)
    assert len(made.changes) == 4
    assert take_back(one, made)
    with one.sessions() as session:
        assert sorted(session.scalars(select(User.name))) == ["ann", "x", "y"]
        assert session.scalars(select(Tag)).all() == []


def test_an_edit_of_the_history_is_taken_back_in_its_document(pair: tuple[Device, Device]) -> None:
    one, other = pair
    commit(one, assign(name="bob"))
    commit(one, assign(name="cid", stars=1))
    other.take_from(one)
    with other.sessions.begin() as session:
        edit = history(session, user_of(session), "name")[0]
        assert undo(session, edit.commit)
        assert user_of(session).name == "bob"
    assert shown(other, "name", "stars") == ("bob", 0)


def test_what_a_commit_made_goes_unless_somebody_wrote_into_it(pair: tuple[Device, Device]) -> None:
    one, other = pair

    def add(session: Session) -> None:
        user = user_of(session)
        user.addresses.append(Address(email="c@d", visits=[Visit(why="tea")]))

    kept, gone = commit(one, add), commit(one, add)
    other.take_from(one)
    with other.sessions.begin() as session:
        made = session.scalars(select(Visit)).all()
        mine = next(visit for visit in made if history(session, visit, most=1)[0].commit != gone)
        mine.count += 1
    one.take_from(other)
    assert not take_back(one, kept)
    assert take_back(one, gone)
    with one.sessions() as session:
        assert sorted(session.scalars(select(Address.email))) == ["a@b", "c@d"]
        assert session.scalars(select(Visit.count)).all() == [1]


def test_what_a_commit_made_with_a_row_stays_with_it(pair: tuple[Device, Device]) -> None:
    one, _ = pair

    def add(session: Session) -> None:
        visits = [Visit(why="tea")]
        session.add(User(name="bob", addresses=[Address(email="b@b", visits=visits)], marks=[Tag(name="red")]))

    made = commit(one, add)
    commit(one, lambda session: setattr(session.scalars(select(User).where(User.name == "bob")).one(), "age", 3))
    with one.sessions.begin() as session:
        undo(session, made)  # the tag, a document of its own, goes
        bob = session.scalars(select(User).where(User.name == "bob")).one()
        assert [(address.email, len(address.visits)) for address in bob.addresses] == [("b@b", 1)]
        assert len(session.execute(select(user_tag)).all()) == 1
        session.rollback()


def test_a_row_that_lies_elsewhere_by_now_stays_as_it_is(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    changed = commit(one, lambda session: setattr(session.scalars(select(Address)).one(), "email", "c@d"))

    def move(session: Session) -> None:
        session.scalars(select(Address)).one().user = User(name="bob")

    commit(one, move)
    assert not take_back(one, changed)
    with one.sessions() as session:
        assert session.scalars(select(Address.email)).one() == "c@d"


@pytest.mark.parametrize("marked", [True, False])
def test_associations_of_a_part_that_another_moved_elsewhere_stay_as_they_are(
    pair: tuple[Device, Device], marked: bool
) -> None:
    one, other = pair

    def add(session: Session) -> None:
        address, tag = session.scalars(select(Address)).one(), Tag(name="red")
        session.add_all([User(name="bob"), tag])
        address.visits.append(Visit(why="tea", marks=[] if marked else [tag]))

    def mark(session: Session) -> None:
        session.scalars(select(Visit)).one().marks = list(session.scalars(select(Tag))) if marked else []

    def move(session: Session) -> None:
        session.scalars(select(Address)).one().user = session.scalars(select(User).where(User.name == "bob")).one()

    commit(one, add)
    marks = commit(one, mark)
    other.take_from(one)
    commit(other, move)
    one.take_from(other)
    assert not take_back(one, marks)
    with one.sessions() as session:
        assert [tag.name for tag in session.scalars(select(Visit)).one().marks] == (["red"] if marked else [])


def test_associations_of_a_row_that_is_deleted_by_now_are_not_taken_back(pair: tuple[Device, Device]) -> None:
    one, other = pair
    commit(one, lambda session: setattr(user_of(session), "marks", [Tag(name="red")]))
    unmarked = commit(one, lambda session: setattr(user_of(session), "marks", []))
    other.take_from(one)
    commit(other, lambda session: session.delete(user_of(session)))
    one.take_from(other)
    assert not take_back(one, unmarked)


def test_what_was_merged_since_the_session_began_is_there_too(pair: tuple[Device, Device]) -> None:
    one, other = pair
    made = commit(one, assign(bio="hello world"))
    commit(other, assign(bio="oh, hello"))
    with one.sessions.begin() as session:
        assert user_of(session).bio == "hello world"
        one.take_from(other)
        assert undo(session, made)
        assert user_of(session).bio == "oh, hello"


def test_what_a_commit_deleted_is_there_again_with_the_edits_of_others(pair: tuple[Device, Device]) -> None:
    one, other = pair
    commit(other, assign(bio="hello world"))
    gone = commit(one, lambda session: session.delete(user_of(session)))
    one.take_from(other)
    assert take_back(one, gone)
    assert shown(one, "name", "bio") == ("ann", "hello world")
    with one.sessions() as session:
        assert session.scalars(select(Address.email)).all() == ["a@b"]
    assert not take_back(one, gone)


def test_what_others_put_into_a_row_that_a_commit_deleted_comes_with_it(pair: tuple[Device, Device]) -> None:
    one, other = pair
    commit(other, lambda session: session.add(Visit(why="tea", address=session.scalars(select(Address)).one())))
    gone = commit(one, lambda session: session.delete(session.scalars(select(Address)).one()))
    one.take_from(other)
    assert take_back(one, gone)
    with one.sessions() as session:
        assert [visit.why for visit in session.scalars(select(Address)).one().visits] == ["tea"]


def test_associations_are_what_they_were(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    commit(one, lambda session: session.add_all([Tag(name="red"), Tag(name="blue")]))

    def mark(*names: str) -> Callable[[Session], None]:
        def work(session: Session) -> None:
            user_of(session).marks = list(session.scalars(select(Tag).where(Tag.name.in_(names))))

        return work

    first, second = commit(one, mark("red")), commit(one, mark("blue"))
    assert take_back(one, second)
    assert [tag.name for tag in shown(one, "marks")[0]] == ["red"]
    assert take_back(one, first)
    with one.sessions() as session:
        assert session.execute(select(user_tag)).all() == []
    assert not take_back(one, first)


def test_a_part_that_was_moved_goes_back(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    commit(one, lambda session: session.add(User(name="bob")))

    def move(session: Session) -> None:
        session.scalars(select(Address)).one().user = session.scalars(select(User).where(User.name == "bob")).one()

    moved = commit(one, move)
    one.check()
    assert take_back(one, moved)
    with one.sessions() as session:
        assert session.scalars(select(Address)).one().user.name == "ann"


def test_it_is_done_in_the_session_and_rolled_back_with_it(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    made = commit(one, assign(name="bob"))
    with one.sessions() as session:
        user = user_of(session)
        assert undo(session, made)
        assert user.name == "ann"
        session.rollback()
        assert user.name == "bob"
    assert take_back(one, made)


def test_a_row_that_does_not_fit_any_more_is_an_integrity_error(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    commit(one, lambda session: session.add(Tag(name="red")))
    tag = select(Tag).order_by(Tag.name)
    renamed = commit(one, lambda session: setattr(session.scalars(tag).one(), "name", "blue"))
    commit(one, lambda session: session.add(Tag(name="red")))
    with pytest.raises(IntegrityError):
        take_back(one, renamed)
    with one.sessions() as session:
        assert [one.name for one in session.scalars(tag)] == ["blue", "red"]


def test_what_cannot_be_taken_back_is_refused(pair: tuple[Device, Device]) -> None:
    one, other = pair
    made = commit(one, assign(name="bob"))
    with pytest.raises(NotFound, match="no such changes on this device"):
        take_back(other, made)
    with pytest.raises(NotFound, match="is not on this device"):
        take_back(other, Commit(((uuid.uuid4(), (bytes(32),)),)))
    with one.sessions.begin() as session, session.begin_nested(), pytest.raises(SessionMisuse, match="savepoint"):
        undo(session, made)
    assert not take_back(one, Commit(()))


def test_only_what_was_committed_is_a_commit(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    with one.sessions() as session:
        assert last_commit(session) is None
        user_of(session).name = "bob"
        session.flush()
        session.rollback()
        assert last_commit(session) is None
        user_of(session).name = "cid"
        session.commit()
        made = last_commit(session)
        assert made is not None
        session.execute(text("SELECT 1"))
        session.commit()
        assert last_commit(session) == made


async def test_async_sessions_take_back_too(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    sessions = AsyncSessions(one.sessions)
    async with sessions.begin() as session:
        (await session.scalars(select(User))).one().name = "bob"
    made = last_commit(session.sync_session)
    assert made is not None
    async with sessions.begin() as session:
        assert await session.run_sync(undo, made)
    await sessions.close()
    assert shown(one, "name") == ("ann",)
