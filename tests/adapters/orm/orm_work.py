"""Random work on several devices, as the rules of a state machine."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lichen.errors import NotFound
from lichen_adapters.orm import (
    AsyncSessions,
    Clash,
    Commit,
    Dispute,
    EditedDeletion,
    HeldRow,
    Joined,
    Misfit,
    conflicts,
    last_commit,
    undo,
)
from orm_devices import SPACE, Device
from orm_models import Address, Draft, Tag, Topic, User, Visit, Word, user_tag, user_topic
from orm_strategies import DEVICES, columns, names, which, who, words
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session


class Work(RuleBasedStateMachine):
    """What applications do with rows, on devices that now and then hear of each other."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.devices = [Device(self.folder, f"device{number}") for number in range(DEVICES)]
        self.commits: list[Commit] = []

    def teardown(self) -> None:
        for device in self.devices:
            device.stop()
        shutil.rmtree(self.folder)

    @contextlib.contextmanager
    def work(self, number: int) -> Iterator[Session]:
        """A transaction, which may break a constraint of the database and then is none."""
        with contextlib.suppress(IntegrityError):
            with self.devices[number].sessions.begin(SPACE) as session:
                yield session
            self.commits += [commit] if (commit := last_commit(session)) is not None else []

    def users(self, session: Session) -> list[User]:
        order = text("user_account.rowid") if Device.server is None else User.id
        return list(session.scalars(select(User).order_by(order)))

    def pick_tag(self, session: Session, number: int) -> Tag | None:
        tags = list(session.scalars(select(Tag).order_by(Tag.id)))
        return tags[number % len(tags)] if tags else None

    def pick(self, session: Session, number: int) -> User | None:
        users = self.users(session)
        return users[number % len(users)] if users else None

    @initialize(values=columns)
    def begin(self, values: dict[str, Any]) -> None:
        self.add(0, {"name": "first", **values}, ["a@b"], None)
        self.everyone_hears()

    @rule(number=who, values=columns, emails=st.lists(words, max_size=2), friend=st.none() | which)
    def add(self, number: int, values: dict[str, Any], emails: list[str], friend: int | None) -> None:
        with self.work(number) as session:
            other = None if friend is None else self.pick(session, friend)
            user = User(**{"name": "new", **values}, friend=other, addresses=[Address(email=one) for one in emails])
            session.add(user)

    @rule(number=who, which=st.integers(0, 20))
    def take_back(self, number: int, which: int) -> None:
        with contextlib.suppress(NotFound), self.work(number) as session:
            if self.commits:
                undo(session, self.commits[-1 - which % len(self.commits)])

    @rule(number=who, user=which, values=columns)
    def assign(self, number: int, user: int, values: dict[str, Any]) -> None:
        with self.work(number) as session:
            if (found := self.pick(session, user)) is not None:
                for name, value in values.items():
                    setattr(found, name, value)
                found.scroll = 7

    @rule(number=who, user=which, word=words, by=st.integers(-3, 3))
    def change_in_place(self, number: int, user: int, word: str, by: int) -> None:
        with self.work(number) as session:
            if (found := self.pick(session, user)) is not None:
                found.stars += by
                found.bio = word + (found.bio or "")
                found.tags.symmetric_difference_update({word})
                found.steps.append(word)
                session.flush()
                found.steps.insert(0, by)
                if found.addresses:
                    found.addresses[0].uses += by

    @rule(number=who, user=which, emails=st.lists(words, max_size=2))
    def change_addresses(self, number: int, user: int, emails: list[str]) -> None:
        with self.work(number) as session:
            if (found := self.pick(session, user)) is not None:
                found.addresses = [*found.addresses[1:], *(Address(email=one) for one in emails)]

    @rule(number=who, user=which, to=which)
    def move_address(self, number: int, user: int, to: int) -> None:
        with self.work(number) as session:
            one, other = self.pick(session, user), self.pick(session, to)
            if one is not None and other is not None and one.addresses:
                address = one.addresses[0]
                one.addresses.remove(address)
                session.add(Address(email=address.email, user=other))

    @rule(number=who, user=which, to=which, from_sql=st.booleans())
    def move_with_all_in_it(self, number: int, user: int, to: int, from_sql: bool) -> None:
        """An address goes to the document of another user, with its visits."""
        with self.work(number) as session:
            one, other = self.pick(session, user), self.pick(session, to)
            if one is not None and other is not None and one.addresses:
                address = one.addresses[0]
                if from_sql:
                    session.execute(update(Address).where(Address.id == address.id).values(user_id=other.id))
                else:
                    other.addresses.append(address)

    @rule(number=who, user=which, why=st.lists(words, max_size=2), by=st.integers(-1, 2), tag=which)
    def visit(self, number: int, user: int, why: list[str], by: int, tag: int) -> None:
        """Parts of a part come, go, change and have another owner."""
        with self.work(number) as session:
            addresses = [] if (found := self.pick(session, user)) is None else found.addresses
            if addresses:
                first, last = addresses[0], addresses[-1]
                marks = [one] if (one := self.pick_tag(session, tag)) is not None else []
                new = [Visit(why=one, marks=marks) for one in why]
                for visit in first.visits[1:]:
                    visit.count += by
                    visit.marks = marks
                first.visits = [*first.visits[1:], *new]
                if first is not last and first.visits and by > 0:
                    session.flush()
                    first.visits[0].address = last

    @rule(number=who, user=which, tag=which, kind=st.integers(0, 3))
    def mark(self, number: int, user: int, tag: int, kind: int) -> None:
        """An association comes or goes, from either end."""
        with self.work(number) as session:
            one, other = self.pick(session, user), self.pick_tag(session, tag)
            if one is None or other is None:
                return
            match kind:
                case 0:
                    one.marks = [] if other in one.marks else [other]
                case 1:
                    other.users = [] if one in other.users else [one]
                case 2:
                    session.execute(user_tag.delete().where(user_tag.c.tag_id == other.id))
                case 3:
                    session.execute(update(user_tag).values(tag_id=other.id))

    @rule(number=who, user=which, core=st.booleans())
    def remove(self, number: int, user: int, core: bool) -> None:
        with self.work(number) as session:
            if (found := self.pick(session, user)) is not None:
                if core:
                    session.execute(delete(User).where(User.id == found.id))
                else:
                    session.delete(found)

    @rule(number=who, tag=which, name=names, colour=st.none() | names, size=st.integers(0, 12), new=st.booleans())
    def name_tag(self, number: int, tag: int, name: str, colour: str | None, size: int, new: bool) -> None:
        """Give a new tag, or one that is there, unique keys, which may be taken."""
        with self.work(number) as session:
            found = None if new else self.pick_tag(session, tag)
            if found is None:
                session.add(Tag(name=name, colour=colour, size=size % 9, words=[Word(letters=name + "!")]))
            else:
                found.name, found.colour, found.size = name, colour, size % 9

    @rule(number=who, tag=which, other=which, letters=names)
    def exchange(self, number: int, tag: int, other: int, letters: str) -> None:
        """Two tags exchange their names, by way of a third, and one gets another word."""
        with self.work(number) as session:
            one, two = self.pick_tag(session, tag), self.pick_tag(session, other)
            if one is not None and two is not None and one is not two:
                name, one.name = one.name, "between"
                session.flush()
                two.name, name = name, two.name
                session.flush()
                one.name = name
                two.words = [Word(letters=letters), *two.words[1:]]

    @rule(number=who, tag=which, core=st.booleans())
    def remove_tag(self, number: int, tag: int, core: bool) -> None:
        with self.work(number) as session:
            if (found := self.pick_tag(session, tag)) is not None:
                session.execute(delete(Tag).where(Tag.id == found.id)) if core else session.delete(found)

    def pick_topic(self, session: Session, number: int) -> Topic | None:
        topics = list(session.scalars(select(Topic).order_by(Topic.id)))
        return topics[number % len(topics)] if topics else None

    @rule(number=who, topic=which, name=st.none() | names, hue=st.none() | names, under=which, kind=st.integers(0, 4))
    def name_topic(self, number: int, topic: int, name: str | None, hue: str | None, under: int, kind: int) -> None:
        """Give a new topic, or one that is there, a name, which may be taken here, or elsewhere."""
        with self.work(number) as session:
            found, above = self.pick_topic(session, topic), self.pick_topic(session, under)
            match kind:
                case 0 | 1:
                    session.add(Topic(name=name, hue=hue, under=above))
                case 2 if found is not None:
                    found.name, found.hue = name, hue
                case 3 if found is not None:
                    found.hue, found.under = hue, None if above is found else above
                case 4:
                    session.execute(insert(Topic).values(name=name, hue=hue))

    @rule(number=who, topic=which, user=which, kind=st.integers(0, 6))
    def point_at_a_topic(self, number: int, topic: int, user: int, kind: int) -> None:
        with self.work(number) as session:
            found, one = self.pick_topic(session, topic), self.pick(session, user)
            if found is None or one is None:
                return
            match kind:
                case 0:
                    one.topic = found
                case 1:
                    one.topics = [found] if found not in one.topics else []
                case 2:
                    one.topic, one.topics = found, [*one.topics, *([] if found in one.topics else [found])]
                case 3:
                    session.execute(update(User).values(topic_id=found.id))
                case 4:
                    session.add(Draft(words="about", topic_id=found.id))
                case 5:
                    session.execute(user_topic.delete().where(user_topic.c.topic_id == found.id))
                case 6:
                    session.delete(found)

    @rule(number=who, topic=which, pins=st.integers(0, 12))
    def pin_past_the_checks(self, number: int, topic: int, pins: int) -> None:
        device = self.devices[number]
        with device.sessions() as session:
            found = self.pick_topic(session, topic)
        if found is not None:
            device.edit(found.id, lambda document: document.update({"pins": pins}))

    @rule(number=who, tag=which, size=st.integers(0, 12))
    def write_past_the_checks(self, number: int, tag: int, size: int) -> None:
        """Another program writes a size, which the table may not take: then the tag is held, and keeps its name."""
        device = self.devices[number]
        with device.sessions() as session:
            found = self.pick_tag(session, tag)
        if found is not None:
            device.edit(found.id, lambda document: document.update({"size": size}))

    @rule(number=who, by=st.integers(-2, 2), kind=st.integers(0, 6), word=words)
    def bulk(self, number: int, by: int, kind: int, word: str) -> None:
        with self.work(number) as session:
            match kind:
                case 0:
                    session.execute(update(User).values(stars=User.stars + by, fullname=word))
                case 1:
                    session.execute(insert(User), [{"name": word}, {"name": "x", "tags": {word}}])
                case 2:
                    session.execute(text("UPDATE user_account SET name = :w || substr(name, 1, 3)"), {"w": word})
                case 3:
                    session.execute(text("DELETE FROM address WHERE email = :w"), {"w": word})
                case 4:
                    session.add(Draft(words=word))
                case 5:
                    session.execute(insert(User).from_select(["name"], select(Draft.words).limit(3)))
                case 6:
                    few = select(User.name, User.id).order_by(User.id).limit(3)
                    session.execute(insert(Address).from_select(["email", "user_id"], few))

    @rule(number=who, user=which, word=words, whole=st.booleans(), again=st.booleans())
    def roll_back(self, number: int, user: int, word: str, whole: bool, again: bool) -> None:
        with self.devices[number].sessions(SPACE) as session:
            if (found := self.pick(session, user)) is not None:
                found.name = "kept"
                session.flush()
                nested = session.begin_nested()
                found.bio, found.stars = word, found.stars + 1
                session.add(other := User(name="other"))
                session.flush()
                nested.rollback()
                if whole:
                    session.rollback()
                session.add_all([other] if again else [])
                session.commit()

    @rule(number=who, user=which, values=columns)
    def fail(self, number: int, user: int, values: dict[str, Any]) -> None:
        """A commit of which one document can take its part, and another cannot."""
        device = self.devices[number]
        before = device.rows()
        with device.sessions(SPACE) as session:
            users = self.users(session)
            for one in users:
                one.name = "changed"
            session.add(User(name="bad", settings={"bad": 1 << 64}))
            with pytest.raises(Misfit):
                session.commit()
        assert device.rows() == before

    @rule(number=who, user=which, other=which, word=words, by=st.integers(-3, 3))
    def write_what_was_loaded(self, number: int, user: int, other: int, word: str, by: int) -> None:
        """A session that read before other changes came, and writes after."""
        device = self.devices[number]
        with device.sessions(SPACE) as session:
            found = self.pick(session, user)
            if found is None:
                return
            found.addresses  # noqa: B018  # is loaded
            tags = set(found.tags)
            marks = list(found.marks)
            tag = self.pick_tag(session, other)
            name = found.id
            self.change_in_place(number, user, word, by)
            self.mark(number, user, other, 0)
            self.hear(number, other)
            now = device.rows().get(("user_account", name))
            if now is None:
                return
            found.stars += by
            found.tags.add("late")
            found.bio = (found.bio or "") + "z"
            if tag is not None and ("tag", tag.id) in device.rows():
                found.marks = [one for one in marks if one is not tag] if tag in marks else [*marks, tag]
            session.commit()
            wrote = device.rows()["user_account", name]
            assert wrote["stars"] == now["stars"] + by
            assert wrote["tags"] == now["tags"] | ({"late"} - tags)  # what was there when it was read was not added
            if now["bio"] is not None:
                assert sorted(wrote["bio"]) == sorted(now["bio"] + "z")

    @rule(number=who, user=which, by=st.integers(1, 3), on_a_loop=st.booleans())
    def change_at_once(self, number: int, user: int, by: int, on_a_loop: bool) -> None:
        """Two threads, or two tasks of an event loop, change one row."""
        device = self.devices[number]
        with device.sessions() as session:
            if (found := self.pick(session, user)) is None:
                return
            name, stars, steps = found.id, found.stars, len(found.steps)
        if on_a_loop:
            asyncio.run(change_in_tasks(device, name, by))
        else:
            with ThreadPoolExecutor(2) as threads:
                list(threads.map(lambda _: change(device, name, by), range(2)))
        now = device.rows()["user_account", name]
        assert (now["stars"], len(now["steps"])) == (stars + 2 * by, steps + 2)

    @rule(one=who, other=which)
    def hear(self, one: int, other: int) -> None:
        if one != other % DEVICES:
            self.devices[one].take_from(self.devices[other % DEVICES])

    @rule(number=who)
    def forget(self, number: int) -> None:
        """No document is in memory any more."""
        self.devices[number].sessions.memory.let_go()

    @rule(number=who, which=which, back=st.booleans())
    def settle(self, number: int, which: int, back: bool) -> None:
        """Settle one of the conflicts."""
        with self.work(number) as session:
            found = conflicts(session)
            match found[which % len(found)] if found else None:
                case Clash() | HeldRow() as conflict:
                    if not back:
                        conflict.remove()
                    elif isinstance(conflict, Clash):
                        conflict.resolve(**{conflict.columns[0]: None if conflict.columns[0] == "colour" else "free"})
                    else:
                        fits: dict[type, dict[str, Any]] = {Tag: {"size": 1}, Topic: {"pins": 1}}
                        conflict.resolve(**fits.get(conflict.cls, {"active": True, "age": None}))
                case Joined() as conflict if back:
                    conflict.separate(name="free")
                case Dispute() as conflict:
                    conflict.resolve(conflict.sides[0 if back else -1].value)
                case EditedDeletion() as conflict:
                    conflict.restore() if back else conflict.remove()

    @rule(number=who, user=which)
    def restart(self, number: int, user: int) -> None:
        """In the midst of a transaction."""
        device = self.devices[number]
        before = device.rows()
        session = device.sessions(SPACE)
        if (found := self.pick(session, user)) is not None:
            found.name = "lost"
            session.flush()
        device.stop()
        session.close()
        device.start()
        assert device.rows() == before

    @invariant()
    def rows_are_what_documents_say(self) -> None:
        for device in self.devices:
            device.check()

    @rule()
    def everyone_hears(self) -> None:
        for _ in range(2):
            for one in self.devices:
                for other in self.devices:
                    if one is not other:
                        one.take_from(other)
        assert all(device.rows() == self.devices[0].rows() for device in self.devices)


def change(device: Device, name: uuid.UUID, by: int) -> None:
    with device.sessions.begin() as session:
        user = session.get_one(User, name)
        user.stars += by
        user.steps.append(by)


async def change_in_tasks(device: Device, name: uuid.UUID, by: int) -> None:
    sessions = AsyncSessions(device.sessions)

    async def one() -> None:
        async with sessions.begin() as session:
            user = await session.get_one(User, name)
            user.stars += by
            user.steps.append(by)

    await asyncio.gather(one(), one())
    await sessions.close()
