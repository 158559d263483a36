"""Topics that several devices gave one name, and users that have them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orm_devices import SPACE, Device, exchange
from orm_models import Topic, User
from sqlalchemy import select


@contextmanager
def level_pair(folder: Path) -> Iterator[tuple[Device, Device]]:
    """Two devices, which come to the same rows at the end."""
    one, other = Device(folder, "one"), Device(folder, "other")
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
