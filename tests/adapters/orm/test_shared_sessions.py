"""One session that several tasks use at once is told so, before anybody waits for it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from lichen_adapters.orm import AsyncSessions, SessionMisuse
from orm_devices import SPACE, Device
from orm_models import Tag
from sqlalchemy import select, update
from sqlalchemy.exc import InvalidRequestError, SAWarning
from sqlalchemy.ext.asyncio import AsyncSession


@pytest.fixture
async def sessions(device: Device) -> AsyncIterator[AsyncSessions]:
    made = AsyncSessions(device.sessions)
    async with made.begin(SPACE) as session:
        session.add(Tag(name="todo"))
    yield made
    await made.close()


@pytest.mark.parametrize("statement", [select(Tag.size), update(Tag).values(size=1)])
@pytest.mark.parametrize("used", [False, True])
async def test_tasks_that_use_one_session_at_once_are_told_and_nobody_waits(
    device: Device, sessions: AsyncSessions, statement: object, used: bool
) -> None:
    async with sessions() as session:
        if used:
            await session.execute(select(Tag))
            await session.rollback()
        await session.connection()
        work = (session.execute(statement) for _ in range(3))  # type: ignore[call-overload]  # each takes either
        found = await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), 30)
        assert "one session is used by several tasks" in "".join(map(str, found))
        await session.rollback()
    async with sessions.begin() as session:
        await session.execute(update(Tag).values(size=3))
    assert [row["size"] for row in device.rows().values()] == [3]
    device.check()


async def at_once(session: AsyncSession) -> None:
    await asyncio.gather(*(session.execute(update(Tag).values(size=1)) for _ in range(3)))


async def in_savepoints(session: AsyncSession) -> None:
    async def one(name: str) -> None:
        async with session.begin_nested():
            session.add(Tag(name=name))

    await session.execute(select(Tag))
    await asyncio.gather(*map(one, "abc"))


@pytest.mark.parametrize("work", [at_once, in_savepoints])
async def test_who_leaves_a_session_in_which_tasks_are_still_at_work_keeps_nobody_from_writing(
    device: Device, work: Callable[[AsyncSession], Awaitable[None]]
) -> None:
    with device.sessions.begin(SPACE) as first:
        first.add(Tag(name="todo"))
    sessions = AsyncSessions(device.sessions)
    for _ in range(3):
        with pytest.raises((SessionMisuse, InvalidRequestError)):
            async with sessions.begin(SPACE) as session:
                await work(session)
        async with asyncio.timeout(30), sessions.begin() as other:
            await other.execute(update(Tag).values(size=3))
    await sessions.close()
    assert [row["size"] for row in device.rows().values()] == [3]
    device.check()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_session_that_nobody_has_any_more_keeps_nobody_from_writing(
    device: Device, sessions: AsyncSessions
) -> None:
    async def write() -> object:
        return await sessions().execute(update(Tag).values(size=1))

    await asyncio.create_task(write())
    with pytest.warns(SAWarning, match="garbage collector"):  # noqa: PT031  # it may come with either
        await asyncio.sleep(0)  # the loop has the task until then
        gc.collect()
    async with asyncio.timeout(30), sessions.begin() as session:
        await session.execute(update(Tag).values(size=3))
    assert [row["size"] for row in device.rows().values()] == [3]
