"""`AsyncSession` over the same store: the same rules as for sessions, and nothing holds up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lichen.ids import SpaceId
from sqlalchemy.exc import IllegalStateChangeError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from lichen_adapters.orm.async_dialect import async_engine
from lichen_adapters.orm.sessions import Sessions
from lichen_adapters.orm.spaces import HandleOfSpace

BRIEF_S = 0.01
"""A session is asked no more often whether it can be closed: it tells nobody."""


class _Session(AsyncSession):
    """Is closed also where another task is still at work in it: it would keep its turn to write for ever."""

    async def close(self) -> None:
        """Close it when nobody is at work in it any more."""
        while True:
            try:
                return await super().close()
            except IllegalStateChangeError:
                await asyncio.sleep(BRIEF_S)


class AsyncSessions:
    """Makes sessions for an event loop: `async with async_sessions(space) as session:` as `async_sessionmaker` does.

    Made of the `Sessions` of the engine, which are prepared, and closed after these. On SQLite, every connection has a
    thread. A task that waits for its turn to write lets others run. One that is cancelled within a commit may have
    committed: rows and documents agree in either case.
    """

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        made = sessions.store.backend.for_event_loop()
        self.database = made if isinstance(made, AsyncEngine) else async_engine(made)
        sessions.transactions.watch_over(self.database.sync_engine)

    def __call__(self, space: HandleOfSpace | SpaceId | None = None, **options: Any) -> AsyncSession:
        """A session; what is added to it is of `space`. Options are those of `AsyncSession`."""
        session = _Session(**{"bind": self.database, **options})
        self.sessions.admit(session.sync_session, space)
        return session

    @asynccontextmanager
    async def begin(self, space: HandleOfSpace | SpaceId | None = None) -> AsyncIterator[AsyncSession]:
        """A session that commits at the end of the block, and rolls back after an exception."""
        async with self(space) as session, session.begin():
            yield session

    async def close(self) -> None:
        """Close every connection."""
        await self.database.dispose()
