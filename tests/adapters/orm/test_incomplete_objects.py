"""Objects over joined tables that have not the rows that their class says, or others, or rows that cannot go."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from lichen.errors import NotFound
from lichen_adapters.orm import EditedDeletion, HeldRow, SessionMisuse, conflicts, restore
from lichen_crdt import Document
from orm_animals import Animal, Animals, Base, Dog, Guide, Leash, Operation, Visit, put
from orm_devices import SPACE, Device
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError


def without(table: str, key: uuid.UUID) -> Callable[[Document], Any]:
    """A row is deleted as a session does it, by another program."""

    def work(document: Document) -> None:
        document.map(f"@{table}/{key.hex}")["@deleted"] = b"".join(document.heads)

    return work


def held(device: Device) -> list[HeldRow]:
    with device.sessions() as session:
        return [one for one in conflicts(session) if isinstance(one, HeldRow)]


def names(device: Device) -> dict[str, type]:
    with device.sessions() as session:
        return {one.name: type(one) for one in session.scalars(select(Animal))}


@pytest.mark.parametrize("table", ["dog", "guide"])
def test_an_object_without_one_of_its_rows_is_held_until_it_is_there(animals: Animals, table: str) -> None:
    one, other, rex, _ = animals
    one.edit(rex, without(table, rex))
    other.take_from(one)
    for device in (one, other):
        device.check()
        assert names(device) == {"ben": Dog}
        (found,) = held(device)
        assert (found.cls, found.id, found.values["name"]) == (Guide, rex, "rex")
        assert found.reason.startswith(f"it is a Guide, without its row of table {table}")
        with device.sessions() as session:
            assert session.scalars(select(Visit)).all() == []
    other.edit(rex, lambda document: document.map(f"@{table}/{rex.hex}").pop("@deleted"))
    one.take_from(other)
    for device in (one, other):
        device.check()
        assert names(device) == {"ben": Dog, "rex": Guide}
        assert held(device) == []


def test_one_that_says_to_be_of_a_class_is_held_until_it_has_the_rows_of_it(animals: Animals) -> None:
    one, other, _, ben = animals
    with one.sessions.begin(SPACE) as session:
        session.add(cat := Animal(name="cat"))
        session.flush()
        name = cat.id
    one.edit(name, lambda document: document.update(kind="dog"))
    one.edit(ben, lambda document: document.update(kind="guide"))
    other.take_from(one)
    third = Device(one._path.parent, "third", Base)
    third.take_from(one)
    for device in (one, other, third):
        device.check()
        assert names(device) == {"rex": Guide}
        assert {(found.cls, found.id) for found in held(device)} == {(Dog, name), (Guide, ben)}
    third.stop()
    one.edit(name, lambda document: document.update({f"@dog/{name.hex}": {"tricks": "mew", "age": 1}}))
    one.edit(ben, lambda document: document.update(kind="dog"))
    other.take_from(one)
    for device in (one, other):
        device.check()
        assert names(device) == {"rex": Guide, "ben": Dog, "cat": Dog}


def test_a_part_without_one_of_its_rows_is_held_and_its_owner_shown(animals: Animals) -> None:
    one, other, rex, _ = animals
    with one.sessions() as session:
        name = session.scalars(select(Operation)).one().id
    one.edit(rex, without("operation", name))
    other.take_from(one)
    for device in (one, other):
        device.check()
        (found,) = held(device)
        assert (found.cls, found.id) == (Operation, name)
        with device.sessions() as session:
            assert [type(visit) for visit in session.get_one(Guide, rex).visits] == [Visit]
    one.edit(rex, lambda document: document.map(f"@a_visit/{name.hex}").update(kind="visit"))
    other.take_from(one)
    for device in (one, other):
        device.check()
        with device.sessions() as session:
            assert [type(visit) for visit in session.get_one(Guide, rex).visits] == [Visit, Visit]


def test_a_row_that_an_object_of_its_class_does_not_have_is_no_row(animals: Animals) -> None:
    one, other, rex, ben = animals
    one.edit(ben, lambda document: document.update({f"@guide/{ben.hex}": {"of": 5}}))
    one.edit(rex, lambda document: document.update(kind="dog"))
    with one.sessions.begin(SPACE) as session:
        session.add(cat := Animal(name="cat"))
        session.flush()
        name = cat.id
    one.edit(name, lambda document: document.update({f"@dog/{name.hex}": {"age": "hostile"}}))
    other.take_from(one)
    third = Device(one._path.parent, "third", Base)
    third.take_from(one)
    for device in (one, other, third):
        device.check()
        assert held(device) == []
        assert names(device) == {"rex": Dog, "ben": Dog, "cat": Animal}
    third.stop()
    other.edit(rex, lambda document: document.update(kind="guide"))  # it was kept in the document
    one.take_from(other)
    for device in (one, other):
        device.check()
        with device.sessions() as session:
            assert session.get_one(Guide, rex).of == "ann"


def test_a_row_beneath_a_missing_one_that_comes_to_a_deleted_object_is_an_edit_of_it(animals: Animals) -> None:
    one, other, *_ = animals
    with one.sessions.begin(SPACE) as session:
        session.add(cat := Animal(name="cat"))
        session.flush()
        name = cat.id
    other.take_from(one)
    with one.sessions.begin() as session:
        session.delete(session.get_one(Animal, name))
    other.edit(name, lambda document: document.update({f"@guide/{name.hex}": {"of": "ann"}}))  # and no row of a dog
    one.take_from(other)
    one.check()
    with one.sessions() as session:
        (found,) = conflicts(session)
        assert isinstance(found, EditedDeletion)
        assert (found.cls, found.id) == (Animal, name)


@pytest.mark.parametrize("table", ["animal", "guide"])
def test_where_a_table_without_sync_points_at_it_a_deleted_object_stays_whole(animals: Animals, table: str) -> None:
    one, other, rex, _ = animals
    with one.sessions.begin() as session:
        session.add(Leash(**{f"{table}_id": rex}))
    with other.sessions.begin() as session:
        session.delete(session.get_one(Guide, rex))
    one.take_from(other)
    one.kept = {("animal", rex), ("dog", rex), ("guide", rex)}
    for _ in range(2):
        one.check()
        assert names(one) == {"ben": Dog, "rex": Guide}
        (found,) = held(one)
        assert (found.cls, found.id) == (Guide, rex)
        with one.sessions() as session:
            assert session.get_one(Guide, rex).tricks == "sit"
        one.edit(rex, lambda document: document.update(name="max"))  # it is tried again
    with one.sessions.begin() as session:
        session.execute(delete(Leash))
    one.edit(rex, lambda document: document.update(name="leo"))
    one.kept = set()
    assert one.held() == set()
    assert names(one) == {"ben": Dog}


@pytest.mark.parametrize(
    ("table", "what"), [("animal", "row"), ("dog", "row"), ("dog", "class"), ("animal", "value"), ("guide", "value")]
)
def test_where_a_table_without_sync_points_at_it_an_object_that_does_not_fit_stays_whole(
    animals: Animals, table: str, what: str
) -> None:
    one, _, rex, _ = animals
    with one.sessions.begin() as session:
        session.add(Leash(**{f"{table}_id": rex}))
    change = {
        "row": without("guide", rex),
        "class": lambda document: document.update(kind="animal"),
        "value": lambda document: document.update(name=None),
    }
    one.edit(rex, change[what])
    one.kept = {("animal", rex), ("dog", rex), ("guide", rex)}
    one.check()
    with one.sessions() as session:
        guide = session.get_one(Guide, rex)
        assert (guide.name, guide.tricks, guide.of) == ("rex", "sit", "ann")


def test_a_held_object_is_given_the_row_that_it_lacks(animals: Animals) -> None:
    one, other, rex, ben = animals
    one.edit(rex, without("dog", rex))
    one.edit(ben, lambda document: document.update(kind="guide"))
    other.take_from(one)
    with one.sessions.begin() as session:
        by_id = {found.id: found for found in conflicts(session) if isinstance(found, HeldRow)}
        with pytest.raises(IntegrityError):
            by_id[ben].resolve(name="max")
        assert by_id[ben].resolve(name="max", of="cleo").of == "cleo"
        guide = by_id[rex].resolve(age=7)
        assert (type(guide), guide.tricks, guide.age, guide.of) == (Guide, "sit", 7, "ann")
    other.take_from(one)
    for device in (one, other):
        device.check()
        assert names(device) == {"rex": Guide, "max": Guide}
        assert held(device) == []


def test_a_held_object_is_given_another_class(animals: Animals) -> None:
    one, other, rex, ben = animals
    one.edit(rex, without("guide", rex))
    one.edit(ben, lambda document: document.update(kind="eel"))
    other.take_from(one)
    with one.sessions.begin() as session:
        by_id = {found.id: found for found in conflicts(session) if isinstance(found, HeldRow)}
        assert type(by_id[rex].resolve(kind="dog")) is Dog
        assert type(by_id[ben].resolve(kind="animal")) is Animal
    other.take_from(one)
    for device in (one, other):
        device.check()
        assert names(device) == {"rex": Dog, "ben": Animal}
        assert held(device) == []


def test_a_held_object_that_lacks_a_row_is_removed(animals: Animals) -> None:
    one, other, rex, _ = animals
    one.edit(rex, without("dog", rex))
    with one.sessions.begin() as session:
        (found,) = conflicts(session)
        assert isinstance(found, HeldRow)
        found.remove()
    other.take_from(one)
    for device in (one, other):
        device.check()
        assert names(device) == {"ben": Dog}
        assert device.held() == set()


def test_a_session_leaves_no_object_in_parts(animals: Animals) -> None:
    one, _, rex, ben = animals
    for statement, reason in {
        delete(Guide): "it is a Guide, without its row of table guide",
        update(Animal).where(Animal.id == ben).values(kind="guide"): "it is a Guide, without its row of table guide",
        update(Animal).where(Animal.id == rex).values(kind="dog"): "of a class that has no rows there",
        insert(Animal).values(name="eve", kind="dog"): "it is a Dog, without its row of table dog",
    }.items():
        with pytest.raises(SessionMisuse, match=reason), one.sessions.begin(SPACE) as session:
            session.execute(statement)
    one.check()
    assert names(one) == {"rex": Guide, "ben": Dog}
    with one.sessions.begin() as session:
        session.execute(delete(Guide.__table__))
        session.execute(update(Animal).where(Animal.id == rex).values(kind="dog"))
    one.check()
    assert names(one) == {"rex": Dog, "ben": Dog}


def test_what_stays_since_a_table_without_sync_points_at_it_is_written_whole(animals: Animals) -> None:
    one, other, rex, _ = animals
    with one.sessions.begin() as session:
        session.add(Leash(dog_id=rex))
    with other.sessions.begin() as session:
        session.delete(session.get_one(Guide, rex))
    one.take_from(other)
    with one.sessions.begin() as session:
        session.get_one(Guide, rex).name = "max"
    other.take_from(one)
    for device in (one, other):
        device.check()
        assert held(device) == []
        assert names(device) == {"max": Guide, "ben": Dog}


def test_a_deleted_object_is_restored_whole_whichever_of_its_classes_is_named(animals: Animals) -> None:
    one, other, rex, ben = animals
    for cls in (Animal, Dog, Guide):
        with one.sessions.begin() as session:
            session.delete(session.get_one(Guide, rex))
        with one.sessions.begin() as session:
            guide = restore(session, cls, rex, document=rex)
            assert (type(guide), guide.tricks, guide.of, len(guide.visits)) == (Guide, "sit", "ann", 2)
    one.edit(ben, lambda document: document.update({f"@guide/{ben.hex}": {"of": "cleo", "@deleted": b""}}))
    with one.sessions.begin() as session, pytest.raises(NotFound, match="no deleted row"):
        restore(session, Guide, ben, document=ben)
    other.take_from(one)
    other.check()


def test_a_row_that_is_none_of_its_object_is_in_no_conflict(animals: Animals) -> None:
    one, other, rex, _ = animals
    one.edit(rex, lambda document: document.update(kind="dog"))
    other.take_from(one)
    for device in (one, other):
        device.edit(rex, put("guide", rex, of=device._path.stem))
    one.edit(rex, without("guide", rex))
    other.edit(rex, put("guide", rex, of="others"))
    other.take_from(one)
    one.take_from(other)
    for device in (one, other):
        device.check()
        with device.sessions() as session:
            assert conflicts(session) == []


def test_what_is_held_is_not_any_more_when_a_session_deletes_its_owner(animals: Animals) -> None:
    one, _, rex, _ = animals
    with one.sessions() as session:
        name = session.scalars(select(Operation)).one().id
    one.edit(rex, put("operation", name, hours=30))
    assert {key for _, key in one.held()} == {name}
    with one.sessions.begin() as session:
        session.delete(session.get_one(Guide, rex))
    assert one.held() == set()
    one.check()
