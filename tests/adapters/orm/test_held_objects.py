"""Objects over joined tables are held whole, and return whole, whichever of their rows does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from lichen.errors import NotFound
from lichen_adapters.orm import HeldRow, conflicts, rebuild, restore
from lichen_adapters.orm.plan import DELETED
from lichen_crdt import Document
from orm_animals import Animal, Animals, Base, Dog, Guide, Leash, Operation, Visit, put
from orm_devices import SPACE, Device
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError


@pytest.mark.parametrize(
    ("table", "column", "bad", "good", "reason"),
    [
        ("dog", "age", "old", 5, "age: 'old' is no int"),
        ("dog", "age", 50, 5, "check constraint"),
        ("guide", "of", None, "cleo", "not"),
    ],
)
def test_an_object_goes_and_comes_whole(
    animals: Animals, table: str, column: str, bad: object, good: object, reason: str
) -> None:
    one, other, rex, _ = animals
    one.edit(rex, put(table, rex, **{column: bad}))
    one.edit(rex, lambda document: document.update(name="max"))  # it is tried again, and fits no better
    other.take_from(one)
    for device in (one, other):
        device.check()
        with device.sessions() as session:
            assert session.scalars(select(Animal)).one().name == "ben"
            assert session.scalars(select(Visit)).all() == []
            (held,) = conflicts(session)
            assert isinstance(held, HeldRow)
            assert (held.cls, held.id) == (Guide, rex)
            assert reason in held.reason.lower()
            assert held.values["name"] == "max"
    one.edit(rex, put(table, rex, **{column: good}))
    other.take_from(one)
    for device in (one, other):
        device.check()
        with device.sessions() as session:
            guide = session.get_one(Guide, rex)
            assert (guide.name, getattr(guide, column), len(guide.visits)) == ("max", good, 2)
            assert conflicts(session) == []


def test_one_is_held_whole_where_it_is_new_and_where_its_rows_are_written_anew(
    animals: Animals, tmp_path: Path
) -> None:
    one, _, rex, ben = animals
    one.edit(rex, put("guide", rex, of=None))
    one.edit(ben, put("dog", ben, age=70))
    third = Device(tmp_path, "third", Base)
    third.take_from(one)
    third.check()
    assert third.held() == one.held()
    assert third.rows() == {}
    assert rebuild(third.sessions, Animal).wrong == 0
    third.check()
    assert third.held() == one.held()
    third.stop()


def test_many_that_one_transaction_brings_are_each_held_or_shown(
    animals: Animals,
) -> None:
    one, other, rex, ben = animals
    with one.sessions.begin(SPACE) as session:
        session.add(Dog(name="eve", tricks="run", age=1))
        session.get_one(Guide, rex).tricks = "fetch"
        session.get_one(Dog, ben).tricks = "fetch"
    one.edit(ben, put("dog", ben, tricks=None))
    other.take_from(one)
    with other.sessions() as session:
        assert {dog.name: dog.tricks for dog in session.scalars(select(Dog))} == {"rex": "fetch", "eve": "run"}


def test_one_that_is_held_while_others_wait_to_be_written_with_it_stays_held(animals: Animals) -> None:
    one, other, rex, _ = animals
    with one.sessions.begin(SPACE) as session:
        session.add(eve := Guide(name="eve", tricks="run", age=1, of="ben"))
        session.flush()
        name = eve.id
    other.take_from(one)
    one.edit(rex, lambda document: (put("dog", rex, age=50)(document), put("guide", rex, of="cleo")(document)))
    one.edit(name, put("guide", name, of=None))  # it fails beside the row of the first, which is not there any more
    other.take_from(one)
    other.check()
    assert {key for table, key in other.held() if table == "guide"} == {rex, name}


def test_what_it_owns_goes_with_one_that_is_held_while_all_of_it_is_written(animals: Animals) -> None:
    one, _, rex, _ = animals

    def anew(document: Document) -> None:
        document.update({"name": None, "@table": document.pop("@table")})

    one.edit(rex, anew)
    one.check()
    assert {table for table, key in one.held()} == {"animal", "dog", "guide", "a_visit", "operation", "a_toy"}
    one.edit(rex, lambda document: document.update(name="max"))
    one.check()
    assert one.held() == set()


def test_what_it_owns_stays_held_where_it_is_tried_again_and_fits_no_better(animals: Animals) -> None:
    one, _, _, ben = animals
    one.edit(ben, put("dog", ben, age=50))
    one.edit(ben, lambda document: document.update(name="max"))
    one.check()
    assert {table for table, key in one.held()} == {"animal", "dog", "a_toy"}


def test_it_is_resolved_as_one_object(animals: Animals) -> None:
    one, other, rex, _ = animals
    one.edit(rex, put("dog", rex, age=50))
    with one.sessions.begin() as session:
        (held,) = conflicts(session)
        assert isinstance(held, HeldRow)
        with pytest.raises(IntegrityError):
            held.resolve(age=60)
    assert {table for table, key in one.held() if key == rex} == {"animal", "dog", "guide"}
    assert ("animal", rex) not in one.rows()
    with one.sessions.begin() as session:
        (held,) = conflicts(session)
        assert isinstance(held, HeldRow)
        guide = held.resolve(name="max", age=6, of="ben")
        assert (type(guide), guide.name, guide.age, guide.tricks, guide.of) == (Guide, "max", 6, "sit", "ben")
    other.take_from(one)
    for device in (one, other):
        device.check()
        assert device.held() == set()
        with device.sessions() as session:
            guide = session.get_one(Guide, rex)
            assert (guide.name, guide.age, guide.of, len(guide.visits)) == ("max", 6, "ben", 2)


def test_what_is_resolved_into_another_class_is_not_restored_as_the_old_one(animals: Animals) -> None:
    one, _, rex, _ = animals
    one.edit(rex, lambda document: document.map(f"@guide/{rex.hex}").update({DELETED: b"".join(document.heads)}))
    for forget in (False, True):
        with one.sessions() as session:
            (held,) = conflicts(session)
            assert isinstance(held, HeldRow)
            assert type(held.resolve(kind="dog")) is Dog
            if forget:
                session.expunge_all()
            with pytest.raises(NotFound, match=r"no deleted row .* of guide: it is a Dog now"):
                restore(session, Guide, rex, document=rex)
    with one.sessions.begin() as session:
        (held,) = conflicts(session)
        assert isinstance(held, HeldRow)
        held.resolve(kind="dog")
    one.check()
    with one.sessions() as session:
        assert type(session.get_one(Animal, rex)) is Dog


def test_it_is_removed_as_one_object(animals: Animals) -> None:
    one, other, rex, _ = animals
    one.edit(rex, put("dog", rex, age=50))
    with one.sessions.begin() as session:
        (held,) = conflicts(session)
        assert isinstance(held, HeldRow)
        held.remove()
    other.take_from(one)
    for device in (one, other):
        assert device.held() == set()
        with device.sessions() as session:
            assert conflicts(session) == []
            assert session.scalars(select(Animal.name)).all() == ["ben"]


def test_a_part_over_two_tables_is_held_whole_and_its_owner_shown(
    animals: Animals,
) -> None:
    one, other, rex, _ = animals
    with one.sessions() as session:
        name = session.scalars(select(Operation)).one().id
    one.edit(rex, put("operation", name, hours=30))
    other.take_from(one)
    for device in (one, other):
        device.check()
        with device.sessions() as session:
            assert [type(visit) for visit in session.get_one(Guide, rex).visits] == [Visit]
    with other.sessions.begin() as session:
        (held,) = conflicts(session)
        assert isinstance(held, HeldRow)
        assert (held.cls, held.values["day"], held.values["hours"]) == (Operation, 2, 30)
        held.resolve(day=3, hours=4)
    one.take_from(other)
    for device in (one, other):
        assert device.held() == set()
        with device.sessions() as session:
            operation = session.scalars(select(Operation)).one()
            assert (operation.day, operation.hours) == (3, 4)


def test_a_held_object_keeps_its_unique_key(animals: Animals) -> None:
    one, other, rex, _ = animals
    with other.sessions.begin(SPACE) as session:
        session.add(Animal(name="max"))
    one.edit(rex, put("dog", rex, age=50))
    one.edit(rex, lambda document: document.update(name="max"))
    one.take_from(other)
    other.take_from(one)
    for device in (one, other):
        device.check()
        assert len(device.flagged()) == 1
    other.edit(rex, put("dog", rex, age=5))
    one.take_from(other)
    for device in (one, other):
        device.check()
        assert len(device.flagged()) == 1
        assert ("animal", rex) not in device.flagged()


def test_where_a_table_without_sync_points_at_it_all_of_it_stays_as_it_was(
    animals: Animals,
) -> None:
    one, _, _, ben = animals
    with one.sessions.begin() as session:
        session.add(Leash(animal_id=ben))
    one.edit(ben, put("dog", ben, age=50))
    assert one.held() == {("animal", ben), ("dog", ben)}
    with one.sessions() as session:
        assert session.get_one(Dog, ben).age == 4
    one.edit(ben, put("dog", ben, age=5))
    with one.sessions() as session:
        assert session.get_one(Dog, ben).age == 5
