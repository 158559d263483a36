"""Rows that are inserted from a `select` are rows as any: each with an id of its own."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from lichen_adapters.orm import AsyncSessions, SessionMisuse
from orm_devices import SPACE, Device, exchange
from orm_models import Address, Draft, Tag, User, Word
from sqlalchemy import Insert, bindparam, column, insert, literal, select, text, union, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError


@pytest.fixture
def filled(device: Device) -> Device:
    with device.sessions.begin(SPACE) as session:
        session.add_all([Draft(words="one"), Draft(words="two"), Tag(name="tag", words=[Word(letters="a")])])
        session.add_all([User(name="ann", addresses=[Address(email="a@b")]), User(name="ben")])
    return device


def tags(device: Device) -> list[str]:
    with device.sessions() as session:
        return list(session.scalars(select(Tag.name).order_by(Tag.name)))


WORDS = text("SELECT words FROM draft").columns(column("words"))
NAMED: dict[str, tuple[Insert, list[str]]] = {
    "columns": (insert(Tag).from_select(["name"], select(Draft.words)), ["one", "two"]),
    "nothing": (insert(Tag).from_select(["name"], select(Draft.words).where(Draft.id > 9)), []),
    "literals": (insert(Tag).from_select(["name", "size"], select(Draft.words, 1)), ["one", "two"]),
    "alike": (
        insert(Tag).from_select(["name", "colour"], select(Draft.words, Draft.words).order_by(Draft.id).limit(1)),
        ["one"],
    ),
    "distinct": (insert(Tag).from_select(["name"], select(literal("same")).select_from(Draft).distinct()), ["same"]),
    "union": (
        insert(Tag).from_select(["name"], union(select(Draft.words), select(User.name).where(User.name == "ann"))),
        ["ann", "one", "two"],
    ),
    "words": (insert(Tag).from_select(["name"], WORDS), ["one", "two"]),
    "itself": (insert(Tag).from_select(["name"], select(Tag.name + "s")), ["tags"]),
}


@pytest.mark.parametrize("kind", NAMED)
def test_each_row_has_an_id_and_reaches_its_document(filled: Device, other: Device, kind: str) -> None:
    statement, new = NAMED[kind]
    with filled.sessions.begin(SPACE) as session:
        session.execute(statement)
    exchange(filled, other)
    assert tags(filled) == tags(other) == sorted(["tag", *new])
    if kind != "nothing":
        with pytest.raises(IntegrityError), filled.sessions.begin(SPACE) as session:
            session.execute(insert(Tag).from_select(["name"], select(Tag.name)))
    filled.check()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_rows_that_are_selected_are_not_inserted_inside_of_another_statement(filled: Device) -> None:
    inside = insert(Tag).from_select(["name"], select(Draft.words)).returning(Tag.id).cte()
    for statement in (select(inside), update(User).values(age=7).add_cte(inside)):
        with filled.sessions(SPACE) as session, pytest.raises(SessionMisuse, match="inside of another statement"):
            session.execute(statement)
    assert tags(filled) == ["tag"]
    filled.check()


def test_so_have_parts(filled: Device, other: Device) -> None:
    with filled.sessions.begin(SPACE) as session:
        session.execute(insert(Address).from_select(["email", "user_id"], select(User.name + "@c", User.id)))
        session.execute(insert(Word).from_select(["letters", "tag_id"], select(Word.letters + "s", Word.tag_id)))
    exchange(filled, other)
    with other.sessions() as session:
        assert sorted(session.scalars(select(Address.email))) == ["a@b", "ann@c", "ben@c"]
        assert sorted(session.scalars(select(Word.letters))) == ["a", "as"]


def test_what_is_returned_and_what_conflicts_is_as_of_any_insert(filled: Device) -> None:
    upsert: Any = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[filled.sessions.database.dialect.name]
    with filled.sessions.begin(SPACE) as session:
        chosen = insert(Tag).from_select(["name"], select(Draft.words)).returning(Tag)
        made = session.scalars(chosen).all()
        assert sorted(tag.name for tag in made) == ["one", "two"]
        again = upsert(Tag).from_select(["name"], select(Draft.words))
        session.execute(again.on_conflict_do_update(index_elements=["name"], set_={"size": Tag.size + 1}))
    filled.check()
    with filled.sessions() as session:
        assert [tag.size for tag in session.scalars(select(Tag).order_by(Tag.name))] == [1, 0, 1]


def test_a_connection_takes_parameters_and_those_of_one_row_alone(filled: Device) -> None:
    chosen = select(Draft.words).where(Draft.words == bindparam("wanted"))
    with filled.sessions.begin(SPACE) as session:
        session.connection().execute(insert(Tag).from_select(["name"], chosen), {"wanted": "two"})
        with pytest.raises(SessionMisuse, match="several times"):
            session.connection().execute(
                insert(Tag).from_select(["name"], chosen), [{"wanted": "one"}, {"wanted": "two"}]
            )
    with filled.sessions.database.begin() as conn:  # in whose transaction this is the first statement
        conn.execute(insert(Address).from_select(["email", "user_id"], select(User.name, User.id)))
    filled.check()
    assert tags(filled) == ["tag", "two"]


def test_new_ids_that_a_statement_gives_are_refused_and_without_a_space_there_are_none(filled: Device) -> None:
    given = insert(Tag).from_select(["id", "name"], select(literal(uuid.uuid4()), literal("x")))
    with filled.sessions(SPACE) as session:
        session.execute(given)
        with pytest.raises(SessionMisuse, match="did not make"):
            session.commit()
    with filled.sessions() as session, pytest.raises(SessionMisuse, match="without a space"):
        session.execute(insert(Tag).from_select(["name"], select(Draft.words)))
    filled.check()
    assert tags(filled) == ["tag"]


async def test_a_session_of_a_loop_does_so_too(filled: Device) -> None:
    sessions = AsyncSessions(filled.sessions)
    async with sessions.begin(SPACE) as session:
        await session.execute(insert(Tag).from_select(["name"], select(Draft.words)))
    await sessions.close()
    filled.check()
    assert tags(filled) == ["one", "tag", "two"]
