"""A session knows what it loaded, however it writes what it wants to be there: nothing of either is lost."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lichen_adapters.orm import Synced, synced_counter, synced_list, synced_set
from orm_devices import SPACE, Device
from sqlalchemy import JSON, event, func, insert, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, deferred, mapped_column
from sqlalchemy.orm.attributes import flag_modified

Data = dict[str, Any]


class Base(DeclarativeBase):
    """The models of these tests."""


class Page(Synced, Base):
    """Values that are changed in place, or replaced."""

    __tablename__ = "page"
    title: Mapped[str] = mapped_column(default="")
    kept: Mapped[Data] = mapped_column(MutableDict.as_mutable(JSON), default=dict)
    plain: Mapped[Data | None] = mapped_column(JSON)
    late: Mapped[Data | None] = deferred(mapped_column(JSON().with_variant(JSONB(), "postgresql")))
    tags: Mapped[set[str] | None] = synced_set()
    steps: Mapped[list[Any] | None] = synced_list()
    stars: Mapped[int] = synced_counter()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device, uuid.UUID]]:
    """Two devices with one page."""
    one, other = Device(tmp_path, "one", Base), Device(tmp_path, "other", Base)
    with one.sessions.begin(SPACE) as session:
        page = Page(kept={"a": 1}, plain={"a": 1}, late={"a": 1}, tags={"a"}, steps=["a"])
        session.add(page)
        session.flush()
        name = page.id
    other.take_from(one)
    yield one, other, name
    for device in (one, other):
        device.check()
        device.stop()


def put(page: Page) -> None:
    page.kept["b"] = 2
    page.tags.add("b")  # type: ignore[union-attr]  # it has some
    page.steps.append("b")  # type: ignore[union-attr]  # as above


def put_twice(page: Page) -> None:
    put(page)
    page.kept = {"a": 1, "b": 2}
    page.tags = {"a", "b"}
    page.steps = ["a", "b"]


def assign(page: Page) -> None:
    page.kept, page.tags, page.steps = {**page.kept, "b": 2}, {"a", "b"}, ["a", "b"]


def put_elsewhere(device: Device, name: uuid.UUID) -> None:
    with device.sessions.begin() as session:
        page = session.get_one(Page, name)
        page.kept["z"], page.tags, page.steps = 26, {"a", "z"}, ["z", "a"]


def put_between_flushes(page: Page) -> None:
    page.title = "new"
    page.tags.add("c")  # type: ignore[union-attr]  # it has some
    session = Session.object_session(page)
    assert session is not None
    session.flush()
    page.tags.remove("c")  # type: ignore[union-attr]  # as above
    put(page)


@pytest.mark.parametrize("write", [put, put_twice, assign, put_between_flushes])
@pytest.mark.parametrize("merged", [False, True])
def test_what_is_changed_in_place_or_replaced_is_the_difference_to_what_was_loaded(
    pair: tuple[Device, Device, uuid.UUID], write: Callable[[Page], None], merged: bool
) -> None:
    one, other, name = pair
    put_elsewhere(other, name)
    with one.sessions() as session:
        page = session.get_one(Page, name)
        assert page.kept == {"a": 1}
        if merged:
            one.take_from(other)
        write(page)
        session.commit()
    more = {"z": 26} if merged else {}
    row = one.rows()["page", name]
    assert row["kept"] == {"a": 1, "b": 2, **more}
    assert row["tags"] == {"a", "b", *more}
    assert row["steps"] == [*more, "a", "b"]


@pytest.mark.parametrize("attribute", ["kept", "plain", "late", "tags", "steps"])
def test_what_is_assigned_to_an_object_that_has_loaded_nothing_is_there(
    pair: tuple[Device, Device, uuid.UUID], attribute: str
) -> None:
    one, _, name = pair
    new: Any = {"tags": {"n"}, "steps": ["n"]}.get(attribute, {"n": 1})
    with one.sessions() as session:
        page = session.get_one(Page, name)
        session.commit()  # which expires it
        setattr(page, attribute, new)
        session.commit()
    assert one.rows()["page", name][attribute] == new


def test_a_plain_value_that_is_flagged_as_changed_is_the_difference_too(
    pair: tuple[Device, Device, uuid.UUID],
) -> None:
    one, other, name = pair
    with other.sessions.begin() as session:
        session.get_one(Page, name).plain = {"a": 1, "z": 26}
    with one.sessions() as session:
        page = session.get_one(Page, name)
        plain: Any = page.plain
        one.take_from(other)
        plain["b"] = 2
        flag_modified(page, "plain")
        session.commit()
    assert one.rows()["page", name]["plain"] == {"a": 1, "b": 2, "z": 26}


def test_of_one_key_that_both_wrote_the_later_writers_value_stands(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, other, name = pair
    for number in range(8):  # once may be luck
        with other.sessions.begin() as session:
            session.get_one(Page, name).plain = {"a": f"theirs {number}", "x": number, "y": number}
        with one.sessions() as session:
            page = session.get_one(Page, name)
            assert page.plain is not None
            one.take_from(other)
            page.plain = {**page.plain, "a": f"ours {number}"}
            session.commit()
        assert one.rows()["page", name]["plain"] == {"a": f"ours {number}", "x": number, "y": number}
        other.take_from(one)


def on_update(session: Session, stamp: Callable[[Page], None]) -> tuple[Any, str, Any]:
    return Page, "before_update", lambda _mapper, _conn, page: stamp(page)


def on_flush(session: Session, stamp: Callable[[Page], None]) -> tuple[Any, str, Any]:
    return session, "before_flush", lambda session, _context, _instances: [stamp(page) for page in session.dirty]


@pytest.mark.parametrize("how", [on_update, on_flush])
def test_what_a_listener_changes_within_the_flush_is_the_difference_to_the_row_as_it_is(
    pair: tuple[Device, Device, uuid.UUID], how: Callable[..., tuple[Any, str, Any]]
) -> None:
    one, other, name = pair

    def stamp(page: Page) -> None:
        put(page)
        page.stars += 1

    with other.sessions.begin() as session:
        page = session.get_one(Page, name)
        page.kept["z"], page.tags, page.steps, page.stars = 26, {"a", "z"}, ["z", "a"], 5
    with one.sessions() as session:
        page = session.get_one(Page, name)
        one.take_from(other)
        page.title = "new"
        listener = how(session, stamp)
        event.listen(*listener)
        try:
            session.commit()
        finally:
            event.remove(*listener)
    row = one.rows()["page", name]
    assert row["kept"] == {"a": 1, "b": 2, "z": 26}
    assert (row["tags"], row["steps"], row["stars"]) == ({"a", "b", "z"}, ["z", "a", "b"], 6)


@pytest.mark.parametrize("before", ["b", "z"])
def test_a_collection_is_the_same_after_a_flush_that_has_put_into_it_what_was_merged(
    pair: tuple[Device, Device, uuid.UUID], before: str
) -> None:
    one, other, name = pair
    put_elsewhere(other, name)
    with one.sessions() as session:
        page = session.get_one(Page, name)
        kept, tags, steps = page.kept, page.tags, page.steps
        assert tags is not None
        assert steps is not None
        one.take_from(other)
        kept[before] = 26
        tags.add(before)
        steps.insert(0, before)
        session.flush()
        assert tags == {"a", "z", before}
        kept["c"] = 3
        tags.add("c")
        steps.append("c")
        session.commit()
    row = one.rows()["page", name]
    assert row["kept"] == {"a": 1, "z": 26, before: 26, "c": 3}
    assert row["tags"] == {"a", "z", before, "c"}
    assert (sorted(row["steps"][:2]), row["steps"][2:]) == (sorted([before, "z"]), ["a", "c"])


def test_a_collection_that_two_objects_have_gets_what_was_merged_in_one_of_them(
    pair: tuple[Device, Device, uuid.UUID],
) -> None:
    one, other, name = pair
    with other.sessions.begin() as session:
        session.get_one(Page, name).tags = {"a", "z"}
    with one.sessions(SPACE, expire_on_commit=False) as session:
        page, copy = session.get_one(Page, name), Page(title="copy")
        session.add(copy)
        session.commit()
        one.take_from(other)
        copy.tags = page.tags
        page.tags.add("b")  # type: ignore[union-attr]  # it has some
        session.commit()
        assert (page.tags, copy.tags) == ({"a", "b", "z"}, {"a", "b"})


def test_an_expression_takes_the_row_as_it_is_then(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, other, name = pair
    with other.sessions.begin() as session:
        session.get_one(Page, name).stars = 5
    with one.sessions() as session:
        page = session.get_one(Page, name)
        assert page.stars == 0
        one.take_from(other)
        page.stars = Page.stars + 1
        session.commit()
        assert page.stars == 6


def test_none_is_null_on_every_device(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, other, _ = pair
    with one.sessions.begin(SPACE) as session:
        session.add_all([Page(title="unsaid"), Page(title="said", plain=None, late=None)])
        session.add(Page(title="later", plain={}, late={}))
        session.execute(insert(Page).values(title="core", plain=None, tags=None))
    with one.sessions.begin() as session:
        page = session.scalars(select(Page).where(Page.title == "later")).one()
        page.plain = page.late = page.tags = page.steps = None
    other.take_from(one)
    for device in (one, other):
        with device.sessions() as session:
            for column, count in ((Page.plain, 4), (Page.late, 4), (Page.tags, 2), (Page.steps, 1)):
                counted = select(func.count()).select_from(Page).where(column.is_(None))
                assert session.scalar(counted) == count
    with other.sessions.begin() as session:
        session.execute(update(Page).where(Page.plain.is_(None)).values(plain={"n": 1}))
    one.take_from(other)
