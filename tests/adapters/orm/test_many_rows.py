"""Rows by the hundred: their documents are sealed without being loaded, once each, and whoever asks for one waits."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest
from lichen import Engine
from lichen.config import DEFAULT_LIMITS
from lichen.ids import DocId
from lichen.runtime.rows import documents_to_seal
from lichen.store.schema import change_sets
from lichen_adapters.orm import Sessions
from orm_models import Address, Base, User
from sqlalchemy import func, select, update
from test_engines import device, joined, shown, until

MANY = 200


async def sealed(engine: Engine, docs: list[DocId]) -> list[int]:
    """How many change sets of each document there are."""
    return [await engine.count_sets(doc) for doc in docs]


async def splits(engine: Engine) -> int:
    """How many change sets stand at a place of their session where another one stands."""
    c = change_sets.c
    places = select(c.doc, c.author, c.session, c.seq).distinct().subquery()
    count = select(select(func.count()).select_from(change_sets).scalar_subquery() - func.count()).select_from(places)
    return await asyncio.wrap_future(engine.store.read(lambda conn: conn.execute(count).scalar_one()))


async def test_new_rows_are_sealed_once_each_and_reach_the_other_device(tmp_path: Path) -> None:
    async with device(tmp_path / "a.db") as (alice, hers), device(tmp_path / "b.db") as (bob, his):
        await alice.listen("memory://many")
        space = await alice.create_space("Family")
        await joined(space, bob)
        with hers.begin(space) as session:
            session.add_all(User(name=f"{n:03}", addresses=[Address(email="a@b")]) for n in range(MANY))
        await until(bob, lambda: len(shown(his)) == MANY)
        assert shown(his) == shown(hers)
        with hers() as session:
            docs = [DocId(name.bytes) for name in session.scalars(select(User.id))]
        assert await sealed(alice, docs) == [1] * MANY


async def test_a_document_that_is_asked_for_while_it_is_being_sealed_is_sealed_once(tmp_path: Path) -> None:
    async with device(tmp_path / "a.db") as (engine, sessions):
        space = await engine.create_space("Family")
        with sessions.begin(space) as session:
            users = [User(name=f"{n:03}") for n in range(MANY)]
            session.add_all(users)
            session.flush()
            docs = [DocId(user.id.bytes) for user in users]
        notes = await asyncio.gather(*(engine.document(doc) for doc in docs[::3]))
        with sessions.begin() as session:
            for user in session.scalars(select(User)):
                user.name = "changed"
        for note in notes:
            async with note.change() as crdt:
                crdt["bio"] = "edited"
            await note.settled()
        while await asyncio.wrap_future(engine.store.write(documents_to_seal)):
            await asyncio.sleep(0)
        assert {name for name, *_ in shown(sessions)} == {"changed"}
        assert all(1 <= count <= 3 for count in await sealed(engine, docs))
        assert await splits(engine) == 0
        assert all(note.failure is None for note in notes)


def starred(sessions: Sessions, stars: int, **values: str) -> int:
    """How many users have so many stars, and these values: asked after each of many events."""
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(User).filter_by(stars=stars, **values)) or 0


async def test_what_changes_again_and_again_reaches_the_other_device(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few = dataclasses.replace(DEFAULT_LIMITS, open_documents=1)
    async with (
        Engine.open(f"sqlite:///{tmp_path / 'a.db'}", limits=few) as alice,
        device(tmp_path / "b.db") as (bob, his),
    ):
        hers = Sessions(alice, Base)
        await asyncio.to_thread(hers.prepare)
        await alice.listen("memory://again")
        space = await alice.create_space("Family")
        await joined(space, bob)
        with hers.begin(space) as session:
            session.add_all(User(name=f"{n:03}", addresses=[Address(email="a@b")]) for n in range(MANY))
        await until(bob, lambda: len(shown(his)) == MANY)
        with his.begin() as session:
            docs = [DocId(user.id.bytes) for user in session.scalars(select(User))]
            session.execute(update(User).values(stars=User.stars + 1))
        await until(alice, lambda: starred(hers, 1) == MANY)
        for number in range(3):
            with hers.begin() as session:  # on what both have written: more than one head to build on
                session.execute(update(User).values(stars=User.stars + 1, bio=str(number)))
            async with (await alice.document(docs[number])).change() as crdt:
                crdt["name"] = f"edited {number}"
        await until(bob, lambda: starred(his, 4, bio="2") == MANY)
        await until(bob, lambda: shown(his) == shown(hers))
        assert await splits(alice) == 0
        assert not caplog.records  # what cannot be sealed together is loaded, and that is said
        hers.close()


async def test_what_was_begun_and_not_sealed_is_sealed_at_the_next_start(tmp_path: Path) -> None:
    async with device(tmp_path / "a.db") as (engine, sessions):
        space = await engine.create_space("Family")
        with sessions.begin(space) as session:
            session.add_all(User(name=f"{n:03}") for n in range(MANY))
    async with device(tmp_path / "a.db") as (engine, sessions):
        with sessions() as session:
            docs = [DocId(name.bytes) for name in session.scalars(select(User.id))]
        for doc in docs:
            await (await engine.document(doc)).settled()
        assert await sealed(engine, docs) == [1] * MANY
