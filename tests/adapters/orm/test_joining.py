"""`clash="join"`: rows that several devices gave one natural key are one row, and what points at them points at it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lichen_adapters.orm import (
    AsyncSessions,
    DocId,
    Joined,
    MappingError,
    Synced,
    conflicts,
    driver,
    synced_association,
)
from lichen_adapters.orm.plan import Plan
from orm_devices import SPACE, Device, exchange
from orm_models import Draft, Topic, User, user_topic
from sqlalchemy import Column, ForeignKey, Table, UniqueConstraint, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    one, other = Device(tmp_path, "one"), Device(tmp_path, "other")
    yield one, other
    exchange(one, other)
    assert one.rows() == other.rows()
    for device in (one, other):
        device.stop()


def add(device: Device, name: str, *users: str, hue: str | None = None) -> uuid.UUID:
    """A topic, with users that have it in both ways."""
    with device.sessions.begin(SPACE) as session:
        topic = Topic(name=name, hue=hue)
        session.add(topic)
        session.add_all(User(name=user, topic=topic, topics=[topic]) for user in users)
        session.flush()
        return topic.id


def topics(device: Device) -> dict[uuid.UUID, str | None]:
    with device.sessions() as session:
        return {topic.id: topic.name for topic in session.scalars(select(Topic))}


def users(device: Device) -> dict[str, tuple[uuid.UUID | None, list[uuid.UUID]]]:
    """What users point at, by their names."""
    with device.sessions() as session:
        found = session.scalars(select(User))
        return {user.name: (user.topic_id, [one.id for one in user.topics]) for user in found}


def joined(pair: tuple[Device, Device]) -> tuple[uuid.UUID, uuid.UUID]:
    """Two topics of one name, on both devices: the one that is seen, and the other."""
    one, other = pair
    both = {add(one, "todo", "ann", hue="red"), add(other, "todo", "ben", hue="blue")}
    exchange(one, other)
    (seen,) = topics(one)
    (hidden,) = both - {seen}
    return seen, hidden


def test_two_rows_of_one_name_are_one_and_what_points_at_either_points_at_it(pair: tuple[Device, Device]) -> None:
    seen, hidden = joined(pair)
    for device in pair:
        assert topics(device) == {seen: "todo"}
        assert users(device) == {"ann": (seen, [seen]), "ben": (seen, [seen])}
        with device.sessions() as session:
            assert {user.name for user in session.scalars(select(User).join(User.topic).where(Topic.name == "todo"))}
            (found,) = conflicts(session)
            assert isinstance(found, Joined)
            assert (found.id, found.row.id, found.cls) == (hidden, seen, Topic)
            assert found.values["name"] == "todo"
            assert found.values["hue"] in ("red", "blue")
            assert found.values["hue"] != found.row.hue


def test_the_name_is_taken_on_each_device_as_ever(pair: tuple[Device, Device]) -> None:
    joined(pair)
    for device in pair:
        with pytest.raises(IntegrityError):
            add(device, "todo")


def test_a_new_name_is_that_of_all_that_are_one(pair: tuple[Device, Device]) -> None:
    seen, _ = joined(pair)
    with pair[1].sessions.begin() as session:
        session.scalars(select(Topic)).one().name = "done"
    exchange(*pair)
    for device in pair:
        assert topics(device) == {seen: "done"}
        assert users(device) == {"ann": (seen, [seen]), "ben": (seen, [seen])}


@pytest.mark.parametrize("core", [False, True])
def test_what_is_deleted_is_all_that_are_one(pair: tuple[Device, Device], core: bool) -> None:
    joined(pair)
    with pair[0].sessions.begin() as session:
        if core:
            session.execute(delete(Topic))
        else:
            session.delete(session.scalars(select(Topic)).one())
    exchange(*pair)
    for device in pair:
        assert topics(device) == {}
        assert device.joined() == {}


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


def test_an_association_is_taken_out_whichever_of_them_it_was_made_with(pair: tuple[Device, Device]) -> None:
    seen, hidden = joined(pair)
    for device in pair:
        with device.sessions.begin() as session:
            for user in session.scalars(select(User)):
                (topic,) = user.topics
                user.topics.remove(topic)
                user.topic = None
        exchange(*pair)
        with device.sessions.begin() as session:
            for user in session.scalars(select(User)):
                user.topic = session.get(Topic, seen)
                user.topics.append(user.topic)
        exchange(*pair)
        assert users(device) == {"ann": (seen, [seen]), "ben": (seen, [seen])}
    with pair[0].sessions.begin() as session:
        session.execute(update(User).values(topic_id=None))
    exchange(*pair)
    with pair[0].sessions.begin() as session:  # somebody kept the other's id
        session.execute(update(User).where(User.name == "ann").values(topic_id=hidden))
        session.execute(delete(user_topic))
        ann = session.scalars(select(User.id).where(User.name == "ann")).one()
        session.execute(insert(user_topic).values(user_id=ann, topic_id=hidden))
    exchange(*pair)
    assert users(pair[1])["ann"] == (seen, [seen])


def test_upserts_and_many_at_once_find_the_one_that_is_seen(pair: tuple[Device, Device]) -> None:
    seen, hidden = joined(pair)
    one, other = pair
    upsert: Any = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[one.sessions.database.dialect.name]
    with one.sessions.begin(SPACE) as session:
        many = upsert(Topic).on_conflict_do_nothing(index_elements=["name"])
        session.execute(many, [{"name": "todo"}, {"name": "new"}, {"name": "new"}])
        green = upsert(Topic).values(name="todo")
        green = green.on_conflict_do_update(index_elements=[Topic.name], set_={"hue": "green"})
        assert session.scalars(green.returning(Topic.id)).one() == seen
    with other.sessions(SPACE) as session, pytest.raises(IntegrityError):
        session.execute(insert(Topic), [{"name": "more"}, {"name": "todo"}])
    exchange(*pair)
    for device in pair:
        assert sorted(map(str, topics(device).values())) == ["new", "todo"]
    with other.sessions.begin(SPACE) as session:
        named = upsert(Topic).values(name="todo")
        session.execute(named.on_conflict_do_update(index_elements=["name"], set_={"name": "done"}))
    exchange(*pair)
    with one.sessions() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, Joined)
        assert (conflict.id, conflict.values["name"], conflict.row.hue) == (hidden, "done", "green")


async def test_sessions_on_an_event_loop_write_what_is_seen(pair: tuple[Device, Device]) -> None:
    seen, hidden = joined(pair)
    sessions = AsyncSessions(pair[0].sessions)
    async with sessions.begin(SPACE) as session:
        await session.execute(insert(User), [{"name": name, "topic_id": hidden} for name in ("cid", "dan")])
        session.add(User(name="eve", topics=[await session.get_one(Topic, seen)]))
    async with sessions(SPACE) as session:
        session.add(Topic(name="todo"))
        with pytest.raises(IntegrityError):
            await session.commit()
    async with sessions.begin() as session:
        for conflict in await session.run_sync(conflicts):
            assert isinstance(conflict, Joined)
            await session.run_sync(lambda _, one=conflict: one.separate(name="own"))
    await sessions.close()
    exchange(*pair)
    found = users(pair[1])
    assert topics(pair[1]) == {seen: "todo", hidden: "own"}
    assert (found["cid"][0], found["dan"][0], found["eve"][1]) == (seen, seen, [seen])


def test_what_has_both_has_one(pair: tuple[Device, Device]) -> None:
    one, other = pair
    with one.sessions.begin(SPACE) as session:
        session.add(User(name="ann"))
    other.take_from(one)
    for device in pair:
        topic = add(device, "todo")
        with device.sessions.begin() as session:
            user = session.scalars(select(User)).one()
            user.topics.append(session.get_one(Topic, topic))
            ann = user.id
    for device, peer in ((one, other), (other, one)):  # before the other's topic
        device.take_from(peer, only=ann)
    exchange(one, other)
    (seen,) = topics(one)
    for device in pair:
        assert users(device) == {"ann": (None, [seen])}


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


def test_a_commit_that_fails_joins_and_parts_nothing(
    pair: tuple[Device, Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, hidden = joined(pair)

    def failing(_conn: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched, pair[0].sessions() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, Joined)
        conflict.separate(name="other")
        patched.setattr(driver, "commit", failing)
        with pytest.raises(OSError, match="full"):
            session.commit()
    pair[0].check()
    with pair[0].sessions.begin() as session:
        session.execute(update(User).values(topic_id=hidden))
    assert {topic for topic, _ in users(pair[0]).values()} == {seen}


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


def test_rows_without_sync_follow_too(pair: tuple[Device, Device]) -> None:
    one, other = pair
    for device in pair:
        topic = add(device, "todo")
        with device.sessions.begin() as session:
            session.add(Draft(words="about", topic_id=topic))
    exchange(one, other)
    (seen,) = topics(one)
    for device in pair:
        with device.sessions() as session:
            assert [draft.topic_id for draft in session.scalars(select(Draft))] == [seen]


def test_three_of_one_name_are_one_whichever_comes_first(tmp_path: Path) -> None:
    devices = [Device(tmp_path, str(number)) for number in range(3)]
    ids = [add(device, "todo", str(number)) for number, device in enumerate(devices)]
    devices[2].take_from(devices[1])
    devices[2].check()
    devices[0].take_from(devices[2])
    devices[0].check()
    exchange(*devices)
    exchange(*devices)
    seen = min(ids, key=lambda topic: (devices[0].began["topic", topic], topic))
    for device in devices:
        assert topics(device) == {seen: "todo"}
        assert users(device) == {name: (seen, [seen]) for name in "012"}
        device.stop()


def test_what_was_joined_is_so_after_a_restart(pair: tuple[Device, Device]) -> None:
    seen, hidden = joined(pair)
    pair[0].stop()
    pair[0].start()
    pair[0].check()
    assert pair[0].joined() == {("topic", hidden): seen}


def test_what_cannot_be_joined_is_refused_when_the_class_is_made() -> None:
    class Base(DeclarativeBase):
        pass

    with pytest.raises(MappingError, match="it has 0"):

        class NoKey(Synced, Base, clash="join"):
            __tablename__ = "no_key"
            name: Mapped[str]

    with pytest.raises(MappingError, match="it has 2"):

        class TwoKeys(Synced, Base, clash="join"):
            __tablename__ = "two_keys"
            __table_args__ = (UniqueConstraint("name", "size"),)
            name: Mapped[str] = mapped_column(unique=True)
            size: Mapped[int]

    with pytest.raises(MappingError, match="fraction"):

        class Fraction(Synced, Base, clash="join"):
            __tablename__ = "fraction"
            size: Mapped[float] = mapped_column(unique=True)

    with pytest.raises(MappingError, match="neither"):

        class Other(Synced, Base, clash="merge"):  # type: ignore[arg-type]  # it is refused
            __tablename__ = "other"
            name: Mapped[str] = mapped_column(unique=True)

    class Tag(Synced, Base, clash="join"):
        __tablename__ = "tag"
        name: Mapped[str] = mapped_column(unique=True)

    with pytest.raises(MappingError, match="only documents"):

        class Part(Synced, Base, part_of="tag_id", clash="join"):
            __tablename__ = "part"
            name: Mapped[str] = mapped_column(unique=True)
            tag_id: Mapped[DocId] = mapped_column(ForeignKey("tag.id"))


def test_what_cannot_be_joined_is_refused_when_all_tables_are_known() -> None:
    class Base(DeclarativeBase):
        pass

    class Tag(Synced, Base, clash="join"):
        __tablename__ = "tag"
        name: Mapped[str] = mapped_column(unique=True)

    class Use(Synced, Base):
        __tablename__ = "use"
        __table_args__ = (UniqueConstraint("place", "tag_id"),)
        place: Mapped[str]
        tag_id: Mapped[DocId] = mapped_column(ForeignKey("tag.id"))

    with pytest.raises(MappingError, match="unique key of use"):
        Plan(Base.metadata)

    class Another(DeclarativeBase):
        pass

    class Label(Synced, Another, clash="join"):
        __tablename__ = "label"
        name: Mapped[str] = mapped_column(unique=True)

    synced_association(
        Table(
            "label_label",
            Another.metadata,
            Column("one_id", ForeignKey("label.id"), primary_key=True),
            Column("other_id", ForeignKey("label.id"), primary_key=True),
        ),
        owner="one_id",
    )
    with pytest.raises(MappingError, match="own others"):
        Plan(Another.metadata)
