"""Rows as they were."""

from __future__ import annotations

import copy
import datetime
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lichen.errors import ConfigError, NotFound
from lichen_adapters.orm import DocId, Edit, Synced, at, history
from lichen_adapters.orm.past import version
from lichen_crdt import Document, ReadOnly
from orm_devices import SPACE, Device
from orm_models import Address, Mood, Tag, User, Visit
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import DeclarativeBase, Mapped, attribute_keyed_dict, mapped_column, relationship
from sqlalchemy.orm.exc import DetachedInstanceError
from test_inheritance import Base, Box, Card, Doctor, Item, Note, Point, Reminder


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """A user who has been changed in every way, after a first version."""
    made = Device(tmp_path, "device")
    with made.sessions.begin(SPACE) as session:
        visits = [Visit(why="tea"), Visit(why="cake")]
        user = User(name="ann", bio="hello", mood=Mood.GLAD, born=datetime.date(2000, 1, 2), tags={"a", 1})
        user.steps, user.settings = [1, [2]], {"x": [1]}
        user.addresses = [Address(email="a@b", visits=visits), Address(email="c@d")]
        session.add(user)
    with made.sessions.begin() as session:
        user = session.scalars(select(User)).one()
        user.name, user.bio, user.mood, user.tags, user.steps = "bob", None, None, {"b"}, []
        user.scroll = 3
        for one in list(user.addresses):
            session.delete(one)
    yield made
    made.check()
    made.stop()


def first(device: Device) -> User:
    with device.sessions() as session:
        user = session.scalars(select(User)).one()
        return at(session, user, history(session, user)[-1].heads)


def test_an_object_is_what_it_was_with_its_parts(device: Device) -> None:
    ann = first(device)
    assert isinstance(ann, User)
    assert (ann.name, ann.bio, ann.mood, ann.born) == ("ann", "hello", Mood.GLAD, datetime.date(2000, 1, 2))
    assert (ann.tags, ann.steps, ann.settings, ann.stars) == ({"a", 1}, [1, [2]], {"x": [1]}, 0)
    found = {one.email: sorted(visit.why for visit in one.visits) for one in ann.addresses}
    assert found == {"a@b": ["cake", "tea"], "c@d": []}
    assert all(one.user is ann for one in ann.addresses)
    assert ann.friend is None


def test_its_values_are_copied_and_pickled_and_it_is_not(device: Device) -> None:
    ann = first(device)
    for copied in (copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))):
        for value, kind in ((ann.tags, set), (ann.steps, list), (ann.settings, dict)):
            assert copied(value) == value
            assert type(copied(value)) is kind
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            copied(ann)


def test_it_stands_beside_the_object_as_it_is(device: Device) -> None:
    with device.sessions.begin() as session:
        user = session.scalars(select(User)).one()
        old = at(session, user, history(session, user)[-1].heads)
        assert (old.name, user.name, old.id) == ("ann", "bob", user.id)
        assert old not in session
        user.name = old.name
    with device.sessions() as session:
        assert session.scalars(select(User.name)).one() == "ann"


@pytest.mark.parametrize(
    "write",
    [
        lambda user: setattr(user, "name", "x"),
        lambda user: delattr(user, "name"),
        lambda user: user.tags.add(2),
        lambda user: user.steps.append(1),
        lambda user: user.steps[1].clear(),
        lambda user: user.settings.update(a=1),
        lambda user: user.settings["x"].insert(0, 1),
        lambda user: user.addresses.remove(user.addresses[0]),
        lambda user: setattr(user.addresses[0], "email", "x"),
        lambda user: user.addresses[0].visits.sort(),
    ],
)
def test_whoever_writes_it_is_refused(device: Device, write: Any) -> None:
    ann = first(device)
    with pytest.raises(ReadOnly, match="what a row was cannot be written"):
        write(ann)
    assert (ann.name, ann.steps, ann.settings, len(ann.addresses)) == ("ann", [1, [2]], {"x": [1]}, 2)


@pytest.mark.parametrize(
    "give",
    [
        lambda session, user: session.add(user),
        lambda session, user: session.merge(user),
        lambda session, user: session.delete(user.addresses[0]),
        lambda session, user: session.scalars(select(User)).one().addresses.append(user.addresses[0]),
    ],
)
def test_whoever_gives_it_to_a_session_is_refused(device: Device, give: Any) -> None:
    ann = first(device)
    with device.sessions() as session, pytest.raises(ReadOnly, match="what a row was cannot be written"):
        give(session, ann)


def test_association_proxies_show_what_it_was(tmp_path: Path) -> None:
    class Base(DeclarativeBase):
        pass

    class Book(Synced, Base):
        __tablename__ = "book"
        pages: Mapped[list[Any]] = relationship("Page", cascade="all, delete-orphan", order_by="Page.words")
        cover: Mapped[Any] = relationship("Cover", uselist=False, cascade="all, delete-orphan")
        terms: Mapped[Any] = relationship(
            "Term", cascade="all, delete-orphan", collection_class=attribute_keyed_dict("name")
        )
        words: AssociationProxy[list[str]] = association_proxy("pages", "words", creator=lambda one: Page(words=one))
        colour: AssociationProxy[str] = association_proxy("cover", "colour", creator=lambda one: Cover(colour=one))
        means: AssociationProxy[dict[str, str]] = association_proxy(
            "terms", "means", creator=lambda name, means: Term(name=name, means=means)
        )

    class Page(Synced, Base, part_of="book_id"):
        __tablename__ = "page"
        words: Mapped[str]
        book_id: Mapped[DocId] = mapped_column(ForeignKey("book.id"))

    class Cover(Synced, Base, part_of="book_id"):
        __tablename__ = "cover"
        colour: Mapped[str]
        book_id: Mapped[DocId] = mapped_column(ForeignKey("book.id"))

    class Term(Synced, Base, part_of="book_id"):
        __tablename__ = "term"
        name: Mapped[str]
        means: Mapped[str]
        book_id: Mapped[DocId] = mapped_column(ForeignKey("book.id"))

    device = Device(tmp_path, "proxies", Base)
    with device.sessions.begin(SPACE) as session:
        session.add(Book(words=["a", "b"], colour="red", means={"a": "the first"}))
    with device.sessions.begin() as session:
        book = session.scalars(select(Book)).one()
        book.words, book.colour, book.means = ["c"], "blue", {}
    with device.sessions() as session:
        old = at(session, Book, history(session, book := session.scalars(select(Book)).one())[-1].heads, row=book.id)
        assert (old.words, old.colour, old.means) == (["a", "b"], "red", {"a": "the first"})
        for write in (lambda: old.words.append("d"), lambda: old.means.clear(), lambda: setattr(old, "colour", "x")):
            with pytest.raises(ReadOnly):
                write()
    device.stop()


@pytest.mark.parametrize("attribute", ["marks", "scroll"])
def test_what_lies_elsewhere_is_not_loaded(device: Device, attribute: str) -> None:
    with pytest.raises(DetachedInstanceError):
        getattr(first(device), attribute)


def test_an_object_that_is_gone_is_named_by_its_class_and_id(device: Device) -> None:
    ann = first(device)
    with device.sessions.begin() as session:
        session.delete(session.scalars(select(User)).one())
    with device.sessions() as session:
        heads = history(session, User, row=ann.id)[-1].heads
        assert at(session, User, heads, row=ann.id).name == "ann"
        part = ann.addresses[0]
        assert at(session, Address, heads, row=part.id, document=ann.id).email == part.email
        with pytest.raises(NotFound, match="was not there then"):
            at(session, User, history(session, User, row=ann.id)[0].heads, row=ann.id)
        with pytest.raises(NotFound, match="not known in which document"):
            at(session, Address, heads, row=part.id)


def test_a_version_is_found_by_time_and_by_what_it_builds_on() -> None:
    one = Document()
    with one.change(time=100):
        one["at"] = 100
    other = one.fork()
    with one.change(time=300):
        one["late"] = True
    with one.change(time=150):  # by a clock that is wrong: it builds on what is later
        one["at"] = 150
    with other.change(time=200):
        other["at"] = 200
    one.merge(other)

    def seen(seconds: float) -> Any:
        return version(one, datetime.datetime.fromtimestamp(seconds, datetime.UTC)).to_py()

    assert seen(99) == {}
    assert seen(100) == {"at": 100}
    assert seen(299.5) == {"at": 200}
    assert seen(300)["late"] is True


def test_a_version_that_is_nowhere_is_refused(device: Device) -> None:
    with device.sessions() as session:
        user = session.scalars(select(User)).one()
        with pytest.raises(NotFound, match="was not there then"):
            at(session, user, datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
        with pytest.raises(NotFound, match="never at these heads"):
            at(session, user, [bytes(32)])
        with pytest.raises(ConfigError, match="without a time zone"):
            at(session, user, datetime.datetime(2000, 1, 1))  # noqa: DTZ001  # it is refused
        with pytest.raises(ConfigError, match="not said which User"):
            at(session, User(), [])
        assert at(session, user, datetime.datetime.now(datetime.UTC)).name == "bob"


def edits(device: Device, base: Any) -> tuple[Any, list[Edit]]:
    with device.sessions() as session:
        found = session.scalars(select(base)).one()
        return found, history(session, found)


def test_classes_that_inherit_and_values_of_several_columns_come_back(tmp_path: Path) -> None:
    device = Device(tmp_path, "device", Base)
    due = datetime.datetime.fromisoformat("2000-01-02T03:00")
    with device.sessions.begin(SPACE) as session:
        notes = [Note(heading="A", at=Point(1, 2)), Reminder(heading="b", at=Point(3, 4), due=due)]
        session.add(Doctor(name="ann", bio="hello", field="ears", notes=notes, card=Card(words="card")))
        session.add(Box(label="box", items=[Item(name="pen")]))
    with device.sessions.begin() as session:
        doctor = session.scalars(select(Doctor)).one()
        doctor.name, doctor.bio, doctor.field = "bob", "bye", None
        session.delete(doctor.notes[0])
    with device.sessions() as session:
        doctor, box = session.scalars(select(Doctor)).one(), session.scalars(select(Box)).one()
        told = history(session, doctor)
        assert [(one.happened, one.values) for one in told] == [
            ("changed", {"name": "bob", "changed": 7, "bio": "bye", "field": None}),
            ("created", {"kind": "doctor", "name": "ann", "changed": 0, "bio": "hello", "visits": 0, "field": "ears"}),
        ]
        old = at(session, doctor, told[-1].heads)
        assert isinstance(old, Doctor)
        assert (old.name, old.bio, old.field, old.card and old.card.words) == ("ann", "hello", "ears", "card")
        kinds = {one.heading: (type(one).__mro__[1], one.at, one.loud) for one in old.notes}
        assert kinds == {"A": (Note, Point(1, 2), True), "b": (Reminder, Point(3, 4), False)}
        assert next(one.due for one in old.notes if isinstance(one, Reminder)) == due
        past = at(session, box, history(session, box)[-1].heads)
        assert (past.label, [item.name for item in past.items]) == ("box", ["pen"])
        with pytest.raises(ReadOnly):
            past.label = "other"
    device.stop()


def test_tags_of_another_document_are_known_by_theirs(device: Device) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add(Tag(name="red"))
    with device.sessions.begin() as session:
        tag = session.scalars(select(Tag)).one()
        tag.name = "blue"
        session.flush()
        assert at(session, tag, history(session, tag)[-1].heads).name == "red"
