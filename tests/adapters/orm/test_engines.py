"""Rows between real engines: what one device writes as rows, or as documents, is rows on the other."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lichen import Engine, Space, Text
from lichen.config import DEFAULT_LIMITS, Limits
from lichen.errors import StoreBusy, StoreError
from lichen.ids import DocId
from lichen.runtime import unopened
from lichen.store import loan
from lichen.store.documents import load_tail
from lichen.store.schema import change_sets
from lichen_adapters.orm import AsyncSessions, Sessions, check
from orm_models import Address, Base, User
from sqlalchemy import select, update


@contextlib.asynccontextmanager
async def device(path: Path, limits: Limits = DEFAULT_LIMITS) -> AsyncIterator[tuple[Engine, Sessions]]:
    """An engine with sessions that are prepared."""
    async with Engine.open(f"sqlite:///{path}", limits=limits) as engine:
        sessions = Sessions(engine, Base)
        await asyncio.to_thread(sessions.prepare)
        try:
            yield engine, sessions
        finally:
            sessions.close()


async def until(engine: Engine, holds: Callable[[], bool]) -> None:
    """Look again whenever something has happened."""
    async with asyncio.timeout(20), contextlib.aclosing(engine.events()) as events:
        while not holds():
            await anext(events)


def shown(sessions: Sessions) -> list[tuple[str, str | None, int, list[str]]]:
    """The users as an application shows them."""
    with sessions() as session:
        return [
            (user.name, user.bio, user.stars, sorted(one.email for one in user.addresses))
            for user in session.scalars(select(User).order_by(User.name))
        ]


async def joined(space: Space, other: Engine) -> None:
    """Take another device into the space."""
    await other.join(await space.invite(mode="auto"), timeout_s=20)


async def test_rows_reach_the_other_device_and_merge(tmp_path: Path) -> None:
    async with device(tmp_path / "a.db") as (alice, hers), device(tmp_path / "b.db") as (bob, his):
        await alice.listen("memory://rows")
        space = await alice.create_space("Family")
        with hers.begin(space) as session:
            session.add(User(name="ann", bio="hello", addresses=[Address(email="a@b")]))
        await joined(space, bob)
        await until(bob, lambda: shown(his) == [("ann", "hello", 0, ["a@b"])])
        with hers() as one, his() as other:
            here, there = one.scalars(select(User)).one(), other.scalars(select(User)).one()
            here.bio, here.stars = "hello world", 2
            there.bio, there.stars = "oh hello", 3
            here.addresses.append(Address(email="c@d"))
            one.commit()
            other.commit()
        both = [("ann", "oh hello world", 5, ["a@b", "c@d"])]
        await until(alice, lambda: shown(hers) == both)
        await until(bob, lambda: shown(his) == both)


async def test_rows_and_edits_of_a_document_in_memory_meet(tmp_path: Path) -> None:
    async with device(tmp_path / "a.db") as (engine, sessions):
        space = await engine.create_space("Family")
        with sessions.begin(space) as session:
            user = User(name="ann", bio="hello")
            session.add(user)
            session.flush()
            doc = DocId(user.id.bytes)
        note = await engine.document(doc)
        async with note.change() as crdt:
            crdt["bio"].append(" world")
            crdt["name"] = "eve"
        assert shown(sessions) == [("eve", "hello world", 0, [])]
        told = asyncio.Event()
        note.listen(lambda _applied: told.set())
        with sessions.begin() as session:
            session.scalars(select(User)).one().bio = "oh hello world"
        async with asyncio.timeout(20):
            await told.wait()
        assert str(note.doc["bio"]) == "oh hello world"
        await note.settled()
        assert await engine.count_sets(doc) == 3


async def test_a_document_that_was_out_of_memory_goes_on_where_its_rows_were(tmp_path: Path) -> None:
    """Else what the rows' session writes next would be a second set at the place of its first: a split."""
    limits = dataclasses.replace(DEFAULT_LIMITS, open_documents=1)
    async with Engine.open(f"sqlite:///{tmp_path}/a.db", limits=limits) as engine:
        sessions = Sessions(engine, Base)
        sessions.prepare()
        space = await engine.create_space("Family")
        with sessions.begin(space) as session:
            user = User(name="ann")
            session.add(user)
            session.flush()
            doc = DocId(user.id.bytes)
        await (await engine.document(doc)).settled()
        assert await engine.count_sets(doc) == 1
        await (await space.create({"body": Text("milk")})).settled()
        assert engine._documents.open_now(doc) is None
        note = await engine.document(doc)
        for count in (2, 3):
            with sessions.begin() as session:
                session.scalars(select(User)).one().stars += 1
            await note.settled()
            assert await engine.count_sets(doc) == count
        sessions.close()


async def test_a_row_that_sessions_alone_write_is_folded_here_and_at_who_only_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lichen.runtime.rows.SMALL_TAIL", 4)  # what others change is loaded from there on
    limits = dataclasses.replace(DEFAULT_LIMITS, fold_changes=16, fold_loaded_changes=8)

    def tail(engine: Engine, doc: DocId) -> int:
        snapshot, changes = engine.store.read(lambda conn: load_tail(conn, doc)).result(9)
        return len(changes) if snapshot is not None else 1_000

    async with (
        Engine.open(f"sqlite:///{tmp_path}/a.db", limits=limits) as alice,
        Engine.open(f"sqlite:///{tmp_path}/b.db", limits=limits) as bob,
    ):
        hers, his = Sessions(alice, Base), Sessions(bob, Base)
        for sessions in (hers, his):
            await asyncio.to_thread(sessions.prepare)
        await alice.listen("memory://fold")
        space = await alice.create_space("Family")
        await joined(space, bob)
        with hers.begin(space) as session:
            user = User(name="ann")
            session.add(user)
            session.flush()
            doc = DocId(user.id.bytes)
        for _ in range(40):
            with hers.begin() as session:
                session.scalars(select(User)).one().stars += 1
            await asyncio.sleep(0)
            await alice.settled()
        await until(bob, lambda: shown(his) == [("ann", None, 40, [])])
        await bob.settled()
        folding = [task for task in asyncio.all_tasks() if task.get_name().startswith("fold")]
        await asyncio.gather(*folding)
        assert tail(alice, doc) < 16
        assert tail(bob, doc) < 16
        hers.memory.let_go()
        with hers.begin() as session:
            session.scalars(select(User)).one().stars += 1
        assert shown(hers) == [("ann", None, 41, [])]
        assert check(hers).ok
        for sessions in (hers, his):
            sessions.close()


async def test_the_engine_awaited_inside_a_written_session_is_an_error_and_no_deadlock(tmp_path: Path) -> None:
    async with device(tmp_path / "a.db") as (engine, sessions):
        space = await engine.create_space("Family")
        note = await space.create({"body": Text("milk")})
        with sessions.begin(space) as session:
            session.add(user := User(name="ann"))
            session.flush()
            with pytest.raises(StoreError, match="has written and not ended"):
                await space.create({"body": Text("eggs")})
            with pytest.raises(StoreError, match="has written and not ended"):
                async with note.change() as crdt:
                    crdt["body"].append(" and eggs")
            for waiting in (note.saved, note.settled, engine.settled, lambda: sessions.document(user)):
                with pytest.raises(StoreError, match="has written and not ended"):
                    await waiting()
        await note.saved()
        assert shown(sessions) == [("ann", None, 0, [])]
        assert str(note.doc["body"]) == "milk and eggs"


async def test_a_task_that_a_written_session_waits_for_cannot_wait_for_that_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with device(tmp_path / "a.db") as (engine, sessions):
        space = await engine.create_space("Family")
        note = await space.create({"body": Text("milk")})
        with sessions.begin(space) as session:
            session.add(User(name="ann"))

        def read() -> User:
            with sessions() as session:
                return session.scalars(select(User)).one()

        user = read()
        sessions.memory.let_go()

        async def edit() -> None:
            async with note.change() as crdt:
                crdt["body"].append(" and eggs")

        with sessions.begin(space) as session:  # nobody waits in it: what it begins comes after it
            session.execute(update(User).values(bio="first"))
            after = asyncio.create_task(edit())
            await asyncio.sleep(0)
        await after

        done: list[str] = []

        async def own_work() -> None:
            await asyncio.wrap_future(engine.store.write(lambda _: None))
            done.append("work of the engine, which nobody waits for")

        monkeypatch.setattr(loan, "LONG_S", 0.05)
        with sessions.begin(space) as session:
            session.execute(update(User).values(bio="second"))
            engine.spawn(own_work(), "own work")
            for work in (edit, note.saved, note.settled, engine.settled, space.leave, lambda: sessions.document(user)):
                with pytest.raises(StoreError, match=rf"{__file__}, line .*, has written and not ended for \d+ s"):
                    await asyncio.create_task(work())
            with pytest.raises(StoreError, match=r"has written and not ended for \d+ s"):
                await asyncio.gather(space.create({"body": Text("eggs")}), asyncio.sleep(0))
        await note.saved()
        assert done
        assert read().bio == "second"
        assert str(note.doc["body"]) == "milk and eggs and eggs"


async def test_a_written_session_that_waits_for_a_thread_which_waits_for_it_is_told(tmp_path: Path) -> None:
    limits = dataclasses.replace(DEFAULT_LIMITS, writer_wait_s=0.05)
    async with device(tmp_path / "a.db", limits) as (engine, sessions):
        space, own = await engine.create_space("Family"), AsyncSessions(sessions)

        def write() -> None:
            with sessions.begin(space) as session:
                session.add(User(name="ben"))

        loop = asyncio.get_running_loop()
        async with own.begin(space) as session:
            session.add(User(name="ann"))
            await session.flush()
            with pytest.raises(StoreBusy, match=r"a session of Task-\d+ has written and not ended"):
                await loop.run_in_executor(None, write)
            with ThreadPoolExecutor(1) as thread:
                made = thread.submit(lambda: asyncio.run_coroutine_threadsafe(space.create({"n": 1}), loop).result(9))
                with pytest.raises(StoreBusy):
                    await asyncio.wrap_future(made)
        await loop.run_in_executor(None, write)
        await own.close()
        assert [row[0] for row in shown(sessions)] == ["ann", "ben"]
        assert len(await space.documents()) == 2  # none was created that was refused


async def test_a_document_that_came_before_its_table_was_there_is_rows_once_it_is(tmp_path: Path) -> None:
    async with Engine.open(f"sqlite:///{tmp_path}/a.db") as engine:
        space = await engine.create_space("Family")
        await space.create({"@table": "user_account", "name": "ann", "bio": Text("hello"), "active": True})
    async with device(tmp_path / "a.db") as (_, sessions):
        assert shown(sessions) == [("ann", "hello", 0, [])]


async def test_documents_that_are_no_rows_are_left_alone(tmp_path: Path) -> None:
    async with device(tmp_path / "a.db") as (engine, sessions):
        space = await engine.create_space("Family")
        note = await space.create({"body": Text("milk")})
        await space.create({"@table": "another", "name": "ann"})
        async with note.change() as crdt:
            crdt["body"].append(" and eggs")
        await note.saved()
        assert shown(sessions) == []


WRITER = """
import asyncio, os, signal, sys
sys.path.insert(0, sys.argv[2])
from lichen import Engine
from lichen_adapters.orm import Sessions
from orm_models import Address, Base, User

async def main():
    async with Engine.open("sqlite:///" + sys.argv[1]) as engine:
        sessions = Sessions(engine, Base)
        sessions.prepare()
        space = engine.spaces[0] if engine.spaces else await engine.create_space("Family")
        number, publish = 0, engine.written_elsewhere

        def published(*written):
            if str(number) in sys.argv[3:]:
                os.kill(os.getpid(), signal.SIGKILL)
            publish(*written)

        engine.written_elsewhere = published
        while True:
            with sessions.begin(space) as session:
                session.add(User(name=f"user{number}", addresses=[Address(email="a@b")]))
            print(number, flush=True)
            number += 1
            await asyncio.sleep(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 4, 9])
async def test_what_was_committed_before_a_kill_is_there_and_is_sealed(tmp_path: Path, after: int) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "a.db"), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(after):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    async with device(tmp_path / "a.db") as (engine, sessions):
        names = {name for name, *_ in shown(sessions)}
        assert names >= {f"user{number}" for number in range(acknowledged + 1)}
        with sessions() as session:
            docs = [DocId(user.id.bytes) for user in session.scalars(select(User))]
        for doc in docs:
            await (await engine.document(doc)).settled()
            assert await engine.count_sets(doc) == 1


async def test_what_was_committed_and_not_published_before_a_kill_is_sealed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "a.db"), str(Path(__file__).parent), "2"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "0\n1\n"), done.stderr
    async with device(tmp_path / "a.db") as (engine, sessions):
        assert [name for name, *_ in shown(sessions)] == ["user0", "user1", "user2"]
        with sessions() as session:
            docs = [DocId(user.id.bytes) for user in session.scalars(select(User))]
        for doc in docs:
            await (await engine.document(doc)).settled()
            assert await engine.count_sets(doc) == 1


async def test_rows_that_are_sealed_while_their_space_is_left_leave_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with device(tmp_path / "a.db") as (alice, hers):
        space = await alice.create_space("Family")
        await alice.settled()
        plan, begun, go_on = alice.sealer.plan, threading.Event(), threading.Event()

        def later(*arguments: Any) -> Callable[[], Any]:
            work = plan(*arguments)

            def wait() -> Any:
                begun.set()
                assert go_on.wait(20)
                return work()

            return wait

        monkeypatch.setattr(alice.sealer, "plan", later)
        monkeypatch.setattr(unopened, "INLINE_SETS", 0)
        with hers.begin(space) as session:
            session.add(User(name="ann"))
        await asyncio.to_thread(begun.wait, 20)
        leaving = asyncio.create_task(space.leave())
        while alice.spaces:
            await asyncio.sleep(0)
        await asyncio.wrap_future(
            alice.store.write(lambda _conn: None)
        )  # the space would be gone from the store by now
        go_on.set()
        await leaving
        await alice.settled()
        held = await asyncio.wrap_future(alice.store.read(lambda conn: list(conn.scalars(select(change_sets.c.space)))))
        assert held == []
        assert shown(hers) == []
