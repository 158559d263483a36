"""What sessions write is sealed once, by what they have read of the store where nobody else has sealed meanwhile."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from pathlib import Path

import pytest
from lichen import Engine
from lichen.ids import DocId
from lichen.runtime import unsealed_rows
from lichen.store import change_sets as store_sets
from lichen.store.documents import documents_to_seal
from lichen.store.schema import change_sets
from lichen_adapters.orm import Sessions
from orm_models import User
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session
from test_engines import device


async def started(sessions: Sessions, engine: Engine) -> DocId:
    """A user, sealed, whose document is not in memory."""
    space = await engine.create_space("Family")
    with sessions.begin(space) as session:
        session.add(User(name="ann"))
    await engine.settled()
    with sessions() as session:
        return DocId(session.scalars(select(User.id)).one().bytes)


def add_star(session: Session) -> None:
    session.scalars(select(User)).one().stars += 1
    session.flush()


async def sealed_once(engine: Engine, doc: DocId, commits: int) -> None:
    """Every commit is in one set of the document at most, and all are."""
    await engine.settled()

    def look(conn: Connection) -> tuple[list[bytes], list[tuple[bytes, int]]]:
        sets = select(change_sets.c.session, change_sets.c.seq).where(change_sets.c.doc == doc)
        return documents_to_seal(conn), [(session, seq) for session, seq in conn.execute(sets)]

    left, sets = await asyncio.wrap_future(engine.store.read(look))
    assert left == []
    assert len(sets) == len(set(sets)) <= commits
    for session, count in Counter(session for session, _ in sets).items():
        assert sorted(seq for one, seq in sets if one == session) == [*range(1, count + 1)]
    assert (await engine.document(doc)).doc["stars"] == commits - 1


async def test_a_commit_is_sealed_without_another_look_at_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with device(tmp_path / "a.db") as (engine, sessions):
        doc = await started(sessions, engine)
        monkeypatch.setattr(unsealed_rows, "load_unsealed", None)
        with sessions.begin() as session:
            add_star(session)
        await sealed_once(engine, doc, 2)


@pytest.mark.parametrize("newest", [0, 4], ids=["older sets", "newest sets"])
async def test_what_a_commit_builds_on_is_looked_for_in_all_sets_only_where_the_newest_lack_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newest: int
) -> None:
    async with device(tmp_path / "a.db") as (engine, sessions):
        doc = await started(sessions, engine)
    monkeypatch.setattr(unsealed_rows, "NEWEST", newest)
    if newest:
        monkeypatch.setattr(store_sets, "last_hashes_of_many", None)
    for commits in range(2, 5):
        async with device(tmp_path / "a.db") as (engine, sessions):  # a session of its own, which builds on the last
            with sessions.begin() as session:
                add_star(session)
            await sealed_once(engine, doc, commits)


async def test_two_commits_before_the_engine_hears_of_the_first(tmp_path: Path) -> None:
    async with device(tmp_path / "a.db") as (engine, sessions):
        doc = await started(sessions, engine)
        for _ in range(2):
            with sessions.begin() as session:
                add_star(session)
        await sealed_once(engine, doc, 3)


async def test_a_commit_while_the_one_before_is_sealed(tmp_path: Path) -> None:
    async with device(tmp_path / "a.db") as (engine, sessions):
        doc = await started(sessions, engine)
        with sessions.begin() as session:
            add_star(session)
        with sessions() as session:
            add_star(session)  # it has the right to write
            for _ in range(20):
                await asyncio.sleep(0)  # the engine seals the first, and waits for that right to store it
            session.commit()
        await sealed_once(engine, doc, 3)


async def test_threads_that_write_one_document_which_is_opened_now_and_then(tmp_path: Path) -> None:
    async with device(tmp_path / "a.db") as (engine, sessions):
        doc = await started(sessions, engine)
        ended = threading.Event()

        def write() -> None:
            for _ in range(30):
                with sessions.begin() as session:
                    add_star(session)

        async def look(rng: random.Random) -> None:
            while not ended.is_set():
                await engine.document(doc)
                await asyncio.sleep(rng.random() / 100)

        looking = asyncio.create_task(look(random.Random(1)))
        await asyncio.gather(*(asyncio.to_thread(write) for _ in range(3)))
        ended.set()
        await looking
        await sealed_once(engine, doc, 91)
