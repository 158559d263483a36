"""Rows that come back with a key that another row has: they had it before, so it is decided as in a merge."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from lichen_adapters.orm import EditedDeletion, HeldRow, conflicts, last_commit, restore, undo
from orm_devices import SPACE, Device, exchange
from orm_models import Tag, Word
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    one, other = Device(tmp_path, "one"), Device(tmp_path, "other")
    yield one, other
    exchange(one, other)
    assert one.rows() == other.rows()
    assert one.flagged() == other.flagged()
    for device in (one, other):
        device.stop()


def add(device: Device, name: str, *letters: str) -> uuid.UUID:
    with device.sessions.begin(SPACE) as session:
        tag = Tag(name=name, words=[Word(letters=one) for one in letters])
        session.add(tag)
        session.flush()
        return tag.id


def letter(device: Device, tag: uuid.UUID, letters: str) -> None:
    with device.sessions.begin() as session:
        session.add(Word(letters=letters, tag_id=tag))


def twice(pair: tuple[Device, Device]) -> tuple[uuid.UUID, uuid.UUID]:
    """Two tags of one name, of which the second is flagged."""
    first, second = (add(device, "todo") for device in pair)
    exchange(*pair)
    return first, second


def test_a_row_comes_back_with_parts_that_have_one_key(pair: tuple[Device, Device]) -> None:
    one, other = pair
    tag = add(one, "todo")
    exchange(one, other)
    for device in pair:
        letter(device, tag, "a")
    exchange(one, other)
    (flagged,) = one.flagged()
    with one.sessions.begin() as session:
        session.delete(session.get_one(Tag, tag))
    exchange(one, other)
    with other.sessions.begin() as session:
        assert [word.letters for word in restore(session, Tag, tag).words] == ["a", "a"]
    exchange(one, other)
    assert one.flagged() == {flagged}


@pytest.mark.parametrize("back", ["undo", "restore"])
@pytest.mark.parametrize("which", [0, 1])
def test_one_of_two_rows_with_one_key_comes_back_as_it_stood(
    pair: tuple[Device, Device], back: str, which: int
) -> None:
    one, _ = pair
    both = twice(pair)
    with one.sessions.begin() as session:
        session.delete(session.get_one(Tag, both[which]))
    assert one.flagged() == set()
    with one.sessions.begin() as again:
        if back == "undo":
            assert undo(again, last_commit(session))
        else:
            restore(again, Tag, both[which])
    one.check()
    assert one.flagged() == {("tag", both[1])}


def test_both_come_back(pair: tuple[Device, Device]) -> None:
    one, _ = pair
    _, second = twice(pair)
    with one.sessions.begin() as session:
        session.execute(delete(Tag))
    with one.sessions.begin() as again:
        assert undo(again, last_commit(session))
    one.check()
    assert one.flagged() == {("tag", second)}


def test_one_whose_key_was_given_away_stands_before_the_newer_one(pair: tuple[Device, Device]) -> None:
    one, other = pair
    first = add(one, "todo")
    exchange(one, other)
    with one.sessions.begin() as session:
        session.delete(session.get_one(Tag, first))
    with other.sessions.begin() as session:
        session.get_one(Tag, first).size = 3
    newer = add(one, "todo")
    exchange(one, other)
    with other.sessions.begin() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, EditedDeletion)
        conflict.restore()
    other.check()
    assert other.flagged() == {("tag", newer)}


def test_a_held_row_returns_beside_the_one_that_has_its_key_and_not_with_another_that_is_taken(
    pair: tuple[Device, Device],
) -> None:
    one, _ = pair
    first, second = twice(pair)
    add(one, "later")
    one.edit(second, lambda document: document.update(size=20))
    assert one.held() == {("tag", second)}
    with one.sessions() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, HeldRow)
        with pytest.raises(IntegrityError):
            conflict.resolve(size=1, name="later")
    with one.sessions.begin() as session:
        (conflict,) = conflicts(session)
        assert isinstance(conflict, HeldRow)
        assert conflict.resolve(size=1).name == "todo"
        assert session.scalars(select(Tag.id).where(Tag.name == "todo")).all() != [first]
    one.check()
    assert one.flagged() == {("tag", second)}
