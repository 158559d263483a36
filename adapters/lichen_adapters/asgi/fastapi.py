"""Sessions for FastAPI's handlers. It needs FastAPI from 0.121 on, which an application brings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

try:
    from fastapi import Depends
except ImportError as error:
    raise ImportError(
        "lichen_adapters.asgi.fastapi needs FastAPI: pip install 'lichen[fastapi]'", name="fastapi"
    ) from error
from sqlalchemy.ext.asyncio import AsyncSession

from lichen_adapters.asgi.program import Lichen
from lichen_adapters.orm.spaces import HandleOfSpace


def session_of(lichen: Lichen, space: HandleOfSpace | None = None) -> Any:  # Any: as FastAPI's own `Depends`
    """What a handler's session depends on: `Annotated[AsyncSession, session_of(lichen)]`.

    It is committed when the handler has returned, before the answer begins, and rolled back after an exception,
    `HTTPException` too. What is added is of `space`, or of `lichen.space`.
    """

    async def session() -> AsyncIterator[AsyncSession]:
        async with lichen.session(space) as found:
            yield found

    return Depends(session, scope="function")
