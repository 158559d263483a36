"""`clash="join"`: rows that several devices gave one natural key are one row, and what points at them points at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lichen_adapters.orm import AsyncSessions, Joined, conflicts, driver
from orm_devices import SPACE, Device, exchange
from orm_models import Draft, Topic, User, user_topic
from orm_topics import add, joined, level_pair, topics, users
from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    with level_pair(tmp_path) as both:
        yield both


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
