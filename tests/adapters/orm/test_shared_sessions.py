"""One session that several tasks use at once is told so, before anybody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from lichen_adapters.orm import AsyncSessions
from orm_devices import SPACE, Device
from orm_models import Tag
from sqlalchemy import select, update


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
