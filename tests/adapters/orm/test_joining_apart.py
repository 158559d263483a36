"""`clash="join"`: a row is one of its own again, or gone, and what pointed at it goes where it belongs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lichen_adapters.orm import DocId, Joined, Synced, conflicts, synced_association
from orm_devices import SPACE, Device, exchange
from orm_models import Draft, Topic, User
from orm_topics import add, joined, level_pair, topics, users
from sqlalchemy import Column, ForeignKey, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    with level_pair(tmp_path) as both:
        yield both


def test_one_that_was_renamed_or_deleted_by_who_did_not_know_the_other_leaves_that_as_it_was(
    pair: tuple[Device, Device],
) -> None:
    one, other = pair
    first, second = add(one, "todo", "ann"), add(other, "todo", "ben")
    third, fourth = add(one, "b", "cid"), add(other, "b", "dan")
    with one.sessions.begin() as session:
        session.execute(update(User).where(User.name == "ann").values(fullname="Ann"))
    other.take_from(one)
    other.check()
    with one.sessions.begin() as session:
        session.execute(update(Topic).where(Topic.id == first).values(name="done"))
        session.execute(delete(Topic).where(Topic.id == third))
    exchange(one, other)
    for device in pair:
        assert topics(device) == {first: "done", second: "todo", fourth: "b"}
        found = users(device)
        assert found["ann"] == (first, [first])
        assert found["ben"] == (second, [second])
        assert found["dan"] == (fourth, [fourth])


def test_a_row_that_was_joined_can_be_made_one_of_its_own(pair: tuple[Device, Device]) -> None:
    seen, hidden = joined(pair)
    for device in pair:  # what points at the other in its document goes on doing so
        with device.sessions.begin() as session:
            session.execute(update(User).values(stars=User.stars + 1))
    exchange(*pair)
    before = users(pair[0])
    with pair[0].sessions.begin() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, Joined)
        with pytest.raises(IntegrityError), session.begin_nested():
            conflict.separate()
        assert conflict.separate(name="other").id == hidden
    exchange(*pair)
    for device in pair:
        assert topics(device) == {seen: "todo", hidden: "other"}
        after = users(device)
        assert after != before
        assert sorted(after.values()) == sorted([(seen, [seen]), (hidden, [hidden])])
        with device.sessions() as session:
            assert conflicts(session) == []


def test_what_is_made_its_own_can_be_pointed_at_at_once(pair: tuple[Device, Device]) -> None:
    seen, hidden = joined(pair)
    with pair[0].sessions.begin(SPACE) as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, Joined)
        topic = conflict.separate(name="other")
        for user in session.scalars(select(User)):
            user.topic, user.topics = topic, [topic]
        session.add(User(name="cid", topic=topic, topics=[topic]))
        session.get_one(Topic, seen).under = topic
    exchange(*pair)
    for device in pair:
        assert topics(device) == {seen: "todo", hidden: "other"}
        assert set(map(str, users(device).values())) == {str((hidden, [hidden]))}
        with device.sessions() as session:
            assert session.get_one(Topic, seen).under_id == hidden


def test_one_that_is_not_seen_is_deleted_by_who_did_not_know_the_other(pair: tuple[Device, Device]) -> None:
    one, other = pair
    first, second = add(one, "todo", "ann"), add(other, "todo", "ben")
    one.take_from(other)
    assert list(one.joined()) == [("topic", second)]
    with other.sessions.begin() as session:
        session.execute(delete(Topic))
    one.take_from(other)
    one.check()
    assert one.joined() == {}
    assert topics(one) == {first: "todo"}


def test_one_that_is_held_keeps_its_name_whatever_column_did_not_fit(pair: tuple[Device, Device]) -> None:
    one, other = pair
    topic = add(one, "todo", "ann")
    one.edit(topic, lambda document: document.update(pins=20))
    assert one.held() == {("topic", topic)}
    with pytest.raises(IntegrityError):
        add(one, "todo")
    later = add(other, "todo", "ben")
    exchange(one, other)
    for device in pair:
        assert topics(device) == {}
        assert device.joined() == {("topic", later): topic}


def test_one_cannot_be_made_its_own_under_the_name_of_one_that_is_held(pair: tuple[Device, Device]) -> None:
    seen, _ = joined(pair)
    pair[0].edit(seen, lambda document: document.update(pins=20))
    with pair[0].sessions() as session:
        (conflict,) = (one for one in conflicts(session) if isinstance(one, Joined))
        conflict.separate()
        with pytest.raises(IntegrityError, match=r"topic\.name"):
            session.commit()
    pair[0].check()


def test_one_that_gets_the_name_of_an_older_one_leaves_those_that_were_seen_as_it(tmp_path: Path) -> None:
    devices = [Device(tmp_path, str(number)) for number in range(3)]
    oldest, seen, hidden = add(devices[2], "b"), add(devices[0], "a", "ann"), add(devices[1], "a", "ben")
    exchange(*devices[:2])
    assert devices[0].joined() == {("topic", hidden): seen}
    devices[0].edit(seen, lambda document: document.update(name="b"))
    exchange(*devices)
    exchange(*devices)
    for device in devices:
        assert topics(device) == {oldest: "b", hidden: "a"}
        assert users(device) == {"ann": (oldest, [oldest]), "ben": (hidden, [hidden])}
        device.stop()


def test_rows_without_sync_that_cannot_follow_stop_no_merge(tmp_path: Path) -> None:
    devices = [Device(tmp_path, str(number)) for number in range(2)]
    one, other = devices
    first, second = add(one, "todo"), add(other, "todo")
    one.edit(first, lambda document: document.update(pins=20))  # it is held
    with other.sessions.begin(SPACE) as session:
        session.add(Draft(words="about", topic_id=second))
        session.add(User(name="ann"))
    other.take_from(one)
    one.take_from(other)
    assert list(users(one)) == ["ann"]
    assert other.joined() == {("topic", second): first}
    for device in devices:
        device.stop()


def test_one_that_must_stay_when_it_is_deleted_hides_no_other(tmp_path: Path) -> None:
    """A row without sync points at it: it is held, and has no key any more."""
    devices = [Device(tmp_path, str(number)) for number in range(3)]
    one, other, third = devices
    first = add(one, "todo", "ann")
    third.take_from(one)
    second = add(other, "todo", "ben")
    exchange(one, other)
    assert topics(one) == {first: "todo"}
    with one.sessions.begin() as session:
        session.add(Draft(words="about", topic_id=first))
    with third.sessions.begin() as session:
        session.execute(delete(Topic))
    one.take_from(third)
    other.take_from(third)
    other.check()
    assert one.held() == {("topic", first)}
    assert topics(one) == {first: "todo", second: "todo"}
    assert one.joined() == other.joined() == {}
    assert users(one)["ben"] == users(other)["ben"] == (second, [second])
    with pytest.raises(IntegrityError):
        add(one, "todo")
    third.edit(first, lambda document: document.__delitem__("@deleted"))
    one.take_from(third)
    one.check()
    assert topics(one) == {first: "todo"}
    for device in devices:
        device.stop()


def test_a_part_that_moves_still_points_at_what_it_was_made_to_point_at(tmp_path: Path) -> None:
    class Own(DeclarativeBase):
        pass

    class Label(Synced, Own, clash="join"):
        __tablename__ = "label"
        name: Mapped[str] = mapped_column(unique=True)

    class Page(Synced, Own):
        __tablename__ = "page"
        name: Mapped[str]

    class Line(Synced, Own, part_of="page_id"):
        __tablename__ = "line"
        page_id: Mapped[DocId] = mapped_column(ForeignKey("page.id", ondelete="CASCADE"))
        label_id: Mapped[DocId | None] = mapped_column(ForeignKey("label.id"))

    line_label = synced_association(
        Table(
            "line_label",
            Own.metadata,
            Column("line_id", ForeignKey("line.id", ondelete="CASCADE"), primary_key=True),
            Column("label_id", ForeignKey("label.id"), primary_key=True),
        ),
        owner="line_id",
    )
    one, other = devices = [Device(tmp_path, name, Own) for name in ("one", "other")]
    with one.sessions.begin(SPACE) as session:
        session.add(Label(name="todo"))
    with other.sessions.begin(SPACE) as session:
        page, to, label = Page(name="from"), Page(name="to"), Label(name="todo")
        session.add_all([page, to, label])
        session.flush()
        line = Line(page_id=page.id, label_id=label.id)
        session.add(line)
        session.flush()
        session.execute(insert(line_label).values(line_id=line.id, label_id=label.id))
        to_id, label_id = to.id, label.id
    exchange(*devices)
    assert other.joined().keys() == {("label", label_id)}
    with one.sessions.begin() as session:
        session.scalars(select(Line)).one().page_id = to_id
    exchange(*devices)
    with other.sessions.begin() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, Joined)
        conflict.separate(name="done")
    exchange(*devices)
    for device in devices:
        with device.sessions() as session:
            assert session.scalars(select(Line)).one().label_id == label_id
            assert session.scalars(select(line_label.c.label_id)).all() == [label_id]
        device.stop()
