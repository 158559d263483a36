"""Sessions on an event loop: all that holds for sessions, and what is cancelled leaves rows and documents agreeing."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast
from unittest.mock import AsyncMock

import pytest
from lichen.errors import StoreError
from lichen.store import loan
from lichen_adapters.orm import AsyncSessions, Merged, Misfit, SessionMisuse, Sessions, check, live
from orm_devices import SPACE, Device
from orm_models import Address, Draft, User
from psycopg import AsyncConnection
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import selectinload


@pytest.fixture
async def device(tmp_path: Path) -> AsyncIterator[Device]:
    made = await asyncio.to_thread(Device, tmp_path, "device")
    yield made
    await asyncio.to_thread(made.stop)


@pytest.fixture
async def sessions(device: Device) -> AsyncIterator[AsyncSessions]:
    made = AsyncSessions(device.sessions)
    async with made.begin(SPACE) as session:
        session.add(User(name="ann", addresses=[Address(email="a@b")]))
    yield made
    await made.close()


async def ann(sessions: AsyncSessions) -> User:
    async with sessions() as session:
        return (await session.scalars(select(User).options(selectinload(User.addresses)))).one()


async def test_what_is_written_is_in_documents_and_in_rows(device: Device, sessions: AsyncSessions) -> None:
    assert [len(told) for told in device.told] == [1]
    async with sessions.begin() as session:
        user = (await session.scalars(select(User).options(selectinload(User.addresses)))).one()
        user.bio, user.stars = "hello", 2
        user.addresses.append(Address(email="c@d"))
    async with sessions.begin(SPACE) as session:
        await session.execute(insert(User), [{"name": "bob"}, {"name": "eve"}])
        await session.execute(text("UPDATE user_account SET fullname = 'x'"))
    found = await ann_named(sessions)
    assert (found.bio, found.stars, [one.email for one in found.addresses]) == ("hello", 2, ["a@b", "c@d"])
    device.check()


async def ann_named(sessions: AsyncSessions) -> User:
    async with sessions() as session:
        query = select(User).where(User.name == "ann").options(selectinload(User.addresses))
        return (await session.scalars(query)).one()


async def test_live_queries_say_that_they_are_of_the_sessions_below(sessions: AsyncSessions) -> None:
    with pytest.raises(SessionMisuse, match="AsyncSessions"):
        live(cast("Sessions", sessions), select(User))
    assert live(sessions.sessions, select(User))


async def test_errors_of_the_driver_are_sqlalchemys(device: Device, sessions: AsyncSessions) -> None:
    async with sessions() as session:
        with pytest.raises(IntegrityError, match=r"(?i)check"):
            await session.execute(update(User).values(age=200))
        await session.rollback()
        with pytest.raises(DBAPIError, match=r"no such table|UndefinedTable"):
            await session.execute(text("SELECT * FROM missing"))
    device.check()


async def test_an_error_of_the_commit_itself_is_sqlalchemys(device: Device, sessions: AsyncSessions) -> None:
    async with sessions.database.begin() as conn:
        await conn.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        reference = "REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED"
        await conn.execute(text(f"CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER {reference})"))
    async with sessions() as session:
        await session.execute(text("INSERT INTO child (id, parent) VALUES (1, 7)"))
        with pytest.raises(DBAPIError, match=r"(?i)foreign key"):
            await session.commit()
    async with sessions.begin() as session:
        session.add(Draft(words="goes on"))


async def test_what_is_refused_for_sessions_is_refused_here(device: Device, sessions: AsyncSessions) -> None:
    async with sessions() as session:
        session.add(User(name="bob"))
        with pytest.raises(SessionMisuse, match="without a space"):
            await session.flush()
    async with sessions() as session:
        with pytest.raises(SessionMisuse, match="AUTOCOMMIT"):
            await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
    async with sessions(SPACE) as session:
        session.add(User(name="bad", tags={1.5}))
        with pytest.raises(Misfit):
            await session.commit()
    assert len(device.rows()) == 2
    device.check()


async def test_a_savepoint_takes_back_its_part(device: Device, sessions: AsyncSessions) -> None:
    async with sessions(SPACE) as session:
        session.add(User(name="bob"))
        await session.flush()
        nested = await session.begin_nested()
        session.add(User(name="lost"))
        await session.flush()
        await nested.rollback()
        await session.commit()
    names = {row["name"] for (table, _), row in device.rows().items() if table == "user_account"}
    assert names == {"ann", "bob"}
    device.check()


async def test_tasks_take_turns_and_lose_nothing(device: Device, sessions: AsyncSessions) -> None:
    async def work() -> None:
        for _ in range(5):
            async with sessions.begin() as session:
                user = (await session.scalars(select(User))).one()
                user.stars += 1
                user.steps.append(1)

    await asyncio.gather(*(work() for _ in range(4)), asyncio.to_thread(device_work, device))
    found = await ann(sessions)
    assert (found.stars, found.steps) == (25, [1] * 25)
    device.check()


def device_work(device: Device) -> None:
    for _ in range(5):
        with device.sessions.begin() as session:
            user = session.scalars(select(User)).one()
            user.stars += 1
            user.steps.append(1)


async def test_who_waits_for_the_turn_holds_up_no_one(
    device: Device, sessions: AsyncSessions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loan, "LONG_S", 0.05)
    wrote, go = threading.Event(), asyncio.Event()

    async def hold() -> None:
        async with sessions.begin() as session:
            await session.execute(update(User).values(bio="first"))
            wrote.set()
            await go.wait()

    async def follow() -> None:
        async with sessions.begin() as session:
            await session.execute(update(User).values(bio="second"))

    first = asyncio.create_task(hold(), name="the first")
    assert await asyncio.to_thread(wrote.wait, 9)
    second = asyncio.create_task(follow())
    async with asyncio.timeout(20):
        while "a session of the first has held up every write" not in caplog.text:
            await asyncio.sleep(0)
    assert not second.done()
    go.set()
    await first
    await second
    assert (await ann(sessions)).bio == "second"


async def test_a_second_writer_in_one_task_is_an_error_and_no_deadlock(sessions: AsyncSessions) -> None:
    async with sessions() as one, sessions() as other:
        await one.execute(update(User).values(bio="one"))
        with pytest.raises(StoreError, match="has written and not ended"):
            await other.execute(update(User).values(bio="other"))
        await one.commit()
    assert (await ann(sessions)).bio == "one"


async def test_a_session_that_would_hold_up_the_event_loop_of_another_is_an_error_and_no_deadlock(
    device: Device, sessions: AsyncSessions
) -> None:
    async def write(words: str) -> None:
        with device.sessions.begin() as session:
            session.execute(update(User).values(bio=words))

    async def look() -> None:
        check(device.sessions)

    async with sessions.begin() as session:
        await session.execute(update(User).values(bio="one"))
        with pytest.raises(StoreError, match="writes first, and could not go on"):
            await asyncio.create_task(write("other"))
        with pytest.raises(StoreError, match="writes first, and could not go on"):
            await asyncio.create_task(look())
    assert (await ann(sessions)).bio == "one"
    await write("last")
    assert (await ann(sessions)).bio == "last"


async def test_who_is_cancelled_in_the_queue_leaves_it(device: Device, sessions: AsyncSessions) -> None:
    async def follow() -> None:
        async with sessions.begin() as session:
            await session.execute(update(User).values(bio="second"))

    async with sessions.begin() as session:
        await session.execute(update(User).values(bio="first"))
        second = asyncio.create_task(follow())
        while device.store._writer._jobs.empty():
            await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
    assert (await ann(sessions)).bio == "first"
    await asyncio.to_thread(device.check)


async def test_a_task_that_is_cancelled_anywhere_leaves_rows_and_documents_agreeing(
    device: Device, sessions: AsyncSessions
) -> None:
    async def work(words: str) -> None:
        async with sessions.begin(SPACE) as session:
            user = (await session.scalars(select(User).where(User.name == "ann"))).one()
            user.bio = words
            user.stars += 1
            await session.flush()

    stars, cancelled, steps = 0, 0, 0
    while True:
        task = asyncio.create_task(work(f"words {steps}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
            break
        except asyncio.CancelledError:
            cancelled += 1
        found = await ann(sessions)
        assert found.stars in (stars, stars + 1)
        stars = found.stars
        await asyncio.to_thread(device.check)
        steps += max(1, steps // 4)
    assert cancelled > 5
    async with sessions.begin() as session:
        await session.execute(update(User).values(bio="goes on"))
    await asyncio.to_thread(device.check)


@pytest.mark.parametrize("heard", [True, False], ids=["heard", "unheard"])
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_task_that_is_cancelled_while_the_server_works_gives_its_turn_back(
    device: Device, sessions: AsyncSessions, heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the server does not hear of it, as when that comes before the statement; the driver hangs up then."""
    asleep = asyncio.Event()
    if not heard:
        monkeypatch.setattr(AsyncConnection, "_try_cancel", AsyncMock())

    async def work() -> None:
        async with sessions.begin() as session:
            await session.execute(update(User).values(bio="never"))
            asleep.set()
            await session.execute(text("SELECT pg_sleep(600)"))

    task = asyncio.create_task(work())
    async with asyncio.timeout(60):
        await asleep.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with sessions.begin() as session:
            await session.execute(update(User).values(stars=1))
    assert ((await ann(sessions)).bio, (await ann(sessions)).stars) == (None, 1)
    await asyncio.to_thread(device.check)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_the_connection_does_while_its_task_is_cancelled_ends_before_it_rolls_back(
    device: Device, sessions: AsyncSessions
) -> None:
    """Writing ends the transaction that has only read; that is slow here, and the task is cancelled meanwhile."""
    loop = asyncio.get_running_loop()
    go_on = threading.Event()

    def steps_later(steps: int) -> None:
        if steps:
            loop.call_soon(steps_later, steps - 1)
        else:
            go_on.set()

    def slow(statement: str) -> None:
        if statement == "COMMIT" and not go_on.is_set():
            loop.call_soon_threadsafe(task.cancel)
            loop.call_soon_threadsafe(steps_later, 20)
            assert go_on.wait(20)

    async def work() -> None:
        async with sessions.begin(SPACE) as session:
            user = (await session.scalars(select(User).where(User.name == "ann"))).one()
            raw = await (await session.connection()).get_raw_connection()
            await raw.driver_connection.set_trace_callback(slow)
            user.bio = "never"
            await session.flush()

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert go_on.is_set()
    async with sessions.begin() as session:
        await session.execute(update(User).where(User.bio.is_(None)).values(bio="goes on"))
    assert (await ann(sessions)).bio == "goes on"
    await asyncio.to_thread(device.check)


async def test_a_task_that_is_cancelled_within_the_commit_has_committed(
    device: Device, sessions: AsyncSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    device.sessions.feed.listen(told.append)
    written = len(device.told)

    async def work() -> None:
        async with sessions.begin() as session:
            await session.execute(update(User).values(bio="kept"))
            connection = await session.connection()
            raw = await connection.get_raw_connection()
            execute = raw.driver_connection.execute

            async def cancelling(statement: str, *rest: object) -> object:
                if statement == "COMMIT":
                    asyncio.current_task()
                    task.cancel()
                return await execute(statement, *rest)

            monkeypatch.setattr(raw.driver_connection, "execute", cancelling)

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.undo()
    assert (await ann(sessions)).bio == "kept"
    assert len(told) == 1
    assert len(device.told) == written + 1
    await asyncio.to_thread(device.check)


async def test_what_was_merged_meanwhile_is_built_upon(device: Device, sessions: AsyncSessions, tmp_path: Path) -> None:
    other = await asyncio.to_thread(Device, tmp_path, "other")
    await asyncio.to_thread(other.take_from, device)
    async with sessions() as session:
        user = (await session.scalars(select(User))).one()
        with other.sessions.begin() as remote:
            remote.execute(update(User).values(stars=3, bio="hello"))
        await asyncio.to_thread(device.take_from, other)
        user.stars += 2
        await session.commit()
    found = await ann(sessions)
    assert (found.stars, found.bio) == (5, "hello")
    await asyncio.to_thread(other.stop)
    await asyncio.to_thread(device.check)


async def test_a_session_that_was_lost_gives_its_turn_back(device: Device, sessions: AsyncSessions) -> None:
    async def lose() -> None:
        session = sessions()
        await session.execute(update(User).values(bio="lost"))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy warns of it
        await lose()
        gc.collect()
    async with asyncio.timeout(20), sessions.begin() as session:
        await session.execute(update(User).values(bio="found"))
    assert (await ann(sessions)).bio == "found"
    await asyncio.to_thread(device.check)


async def test_a_merge_is_told_to_an_idle_session(device: Device, sessions: AsyncSessions, tmp_path: Path) -> None:
    other = await asyncio.to_thread(Device, tmp_path, "other")
    await asyncio.to_thread(other.take_from, device)
    told: asyncio.Queue[list[Merged]] = asyncio.Queue()
    device.sessions.after_merge(lambda _session, merged: told.put_nowait(list(merged)))
    async with sessions(expire_on_commit=False) as session:
        user = (await session.scalars(select(User))).one()
        await session.commit()
        with other.sessions.begin() as remote:
            remote.execute(update(User).values(bio="hello"))
        await asyncio.to_thread(device.take_from, other)
        async with asyncio.timeout(20):
            assert await told.get() == [Merged(user, frozenset({"bio"}))]
        await session.refresh(user, ["bio"])
        assert user.bio == "hello"
    await asyncio.to_thread(other.stop)
