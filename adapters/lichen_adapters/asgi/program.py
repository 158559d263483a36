"""A web program's engine and sessions, for as long as its server runs."""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from lichen import Engine
from lichen.errors import ConfigError, EngineMisuse, LichenError
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from lichen_adapters.asgi.ending import heard_first
from lichen_adapters.asgi.errors import answer, conflict, missing
from lichen_adapters.asgi.guard import Guard, Keys, names, with_key
from lichen_adapters.asgi.pages import FindText, Pages, Query
from lichen_adapters.asgi.rows import AsJson, row_as_json
from lichen_adapters.orm import AsyncSessions, Sessions
from lichen_adapters.orm.spaces import HandleOfSpace

Q = TypeVar("Q", bound=Query)
T = TypeVar("T", bound=FindText)
S = TypeVar("S")
SessionHandler = Callable[[Request, AsyncSession], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Open:
    """What is there while the server runs."""

    engine: Engine
    keys: Keys
    sessions: Sessions | None
    async_sessions: AsyncSessions | None


class Lichen:
    """The engine of a web program, with sessions for its declarative base, and what its pages are served.

        lichen = Lichen("sqlite:///tasks.db", Base)
        app = FastAPI(lifespan=lichen.lifespan)
        lichen.install(app)

        @lichen.query
        def tasks():
            return select(Task.id, Task.title).order_by(Task.title)

    A store has one engine, so there is one server process. Everything is used on the server's event loop, but for
    `sessions`, which are for threads.
    """

    def __init__(
        self, url: str, base: type[DeclarativeBase] | None = None, *, hosts: Iterable[str] = (), **options: Any
    ) -> None:
        """`url` and `options` are those of `Engine.open`. `hosts` are names under which pages may come beside those of
        this computer itself, `localhost`, `127.0.0.1` and `[::1]`, without ports. Raises `ConfigError`.
        """
        self._url = url
        self._base = base
        self._hosts = names(hosts)
        self._options = options
        self._here: _Open | None = None
        self._pages = Pages(self)
        self._guarded = False
        self.space: HandleOfSpace | None = None
        """The space of what is added in sessions that are made without one; to be set when the engine is open."""

    # Its life

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[Engine]:
        """Open engine and sessions, with rows up to date. At the end of the block all is on disk, and closed.

        It is for a lifespan of the application's own, or to go around its server. `options` are those of `Engine.open`
        that were not known before, such as a passphrase. Raises what `Engine.open` and `Sessions` raise.
        """
        if self._here is not None:
            raise EngineMisuse("this program's engine is open already", hint="open it in one lifespan, of one server")
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(Engine.open(self._url, **{**self._options, **options}))
            self._here = await self._open_sessions(engine, stack)
            stack.callback(self._forget)
            self._pages.begin()
            await stack.enter_async_context(_beside(self._pages.watch(engine.events())))
            stack.enter_context(heard_first(self._pages.end))
            stack.callback(self._pages.end)
            yield engine

    async def _open_sessions(self, engine: Engine, stack: AsyncExitStack) -> _Open:
        keys = Keys(
            address=secrets.token_urlsafe(24),
            cookie=engine.derive_secret("lichen.asgi cookie").hex(),
            token=engine.derive_secret("lichen.asgi token").hex(),
        )
        if self._base is None:
            return _Open(engine, keys, None, None)
        sessions = Sessions(engine, self._base)
        stack.callback(sessions.close)
        await asyncio.to_thread(sessions.prepare)
        async_sessions = AsyncSessions(sessions)
        stack.push_async_callback(async_sessions.close)
        return _Open(engine, keys, sessions, async_sessions)

    def _forget(self) -> None:
        self._here, self.space = None, None

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        """For an application without a lifespan of its own; handlers find this as `request.state.lichen`."""
        async with self.open():
            yield {"lichen": self}

    def install(self, app: Starlette, path: str = "/lichen") -> None:
        """Serve pages at `path`, keep everyone else out of the whole application, and answer errors of lichen."""
        app.mount(path, Starlette(routes=self._pages.routes, exception_handlers={LichenError: answer}))
        app.add_exception_handler(LichenError, answer)
        app.add_exception_handler(NoResultFound, missing)
        app.add_exception_handler(IntegrityError, conflict)
        app.add_middleware(Guard, keys=self._keys, hosts=self._hosts)
        self._guarded = True

    def refuse_unguarded(self) -> None:
        """Raises `EngineMisuse` when no application was given to `install`: any site could use its pages."""
        if not self._guarded:
            raise EngineMisuse(
                "nothing keeps other sites of the browser out of this program", hint="call lichen.install(app) before"
            )

    # What is there while it is open

    @property
    def _open(self) -> _Open:
        if self._here is None:
            raise EngineMisuse(
                "this program's engine is not open", hint="give the application lifespan=lichen.lifespan"
            )
        return self._here

    def _keys(self) -> Keys:
        self._open.engine.refuse_other_loop()
        return self._open.keys

    @property
    def engine(self) -> Engine:
        """The engine. Raises `EngineMisuse` while it is not open, as does all that follows."""
        return self._open.engine

    @property
    def sessions(self) -> Sessions:
        """Sessions for threads, where handlers that are no coroutines run. Raises `ConfigError` without a base."""
        return _of_base(self._open.sessions)

    @property
    def async_sessions(self) -> AsyncSessions:
        """Sessions for the loop. Raises `ConfigError` without a base."""
        return _of_base(self._open.async_sessions)

    @asynccontextmanager
    async def session(self, space: HandleOfSpace | None = None) -> AsyncIterator[AsyncSession]:
        """A session that commits at the end of the block, and rolls back after an exception.

        Have the block end before the answer begins: then what a page hears of is on disk. Objects keep their values
        after it, for the answer.
        """
        made = self.async_sessions(self.space if space is None else space, expire_on_commit=False)
        async with made as session, session.begin():
            yield session

    def with_session(self, handler: SessionHandler) -> Callable[[Request], Awaitable[Response]]:
        """A handler for Starlette's routes, of one that takes a session too. It is committed before the answer."""

        @functools.wraps(handler)
        async def handle(request: Request) -> Response:
            async with self.session() as session:
                return await handler(request, session)

        return handle

    @property
    def token(self) -> str:
        """What requests of other programs carry, as `Authorization: Bearer`; the same at every start."""
        return self._open.keys.token

    def address(self, page: str) -> str:
        """What a person opens to come to a page: its address with a key of this start. Raises `ConfigError`, and
        `EngineMisuse` before `install`.
        """
        self.refuse_unguarded()
        return with_key(page, self._open.keys.address)

    def end_pages(self) -> None:
        """Let all pages go, on the loop; they come back when the program does.

        A server waits for its answers to end before its lifespan does, and a page's have no end. At Ctrl-C and SIGTERM
        this happens by itself; call it before anything else ends the server.
        """
        self._pages.end()

    # What pages may ask for

    @overload
    def query(self, function: Q) -> Q: ...

    @overload
    def query(self, *, row: AsJson = ...) -> Callable[[Q], Q]: ...

    def query(self, function: Q | None = None, *, row: AsJson = row_as_json) -> Q | Callable[[Q], Q]:
        """Serve a live query to pages, by the name of this function, which makes its statement.

        Its parameters are what pages may give, annotated `str`, `int`, `float`, `bool`, `UUID`, `date` or `datetime`.
        A page gets of each row what `row` makes of it; otherwise its columns by name. Raises `ConfigError`.
        """

        def serve(function: Q) -> Q:
            self._pages.queries.add(function)
            self._pages.rows_as_json[function.__name__] = row
            return function

        return serve if function is None else serve(function)

    def text(self, function: T) -> T:
        """Serve a text to pages, by the name of this function, which returns its document and the keys that lead to it.

        It may be a coroutine; its parameters are as those of a query. Raises `ConfigError`.
        """
        self._pages.texts.add(function)
        return function


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Work that goes on for as long as the block does."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _of_base(sessions: S | None) -> S:
    if sessions is None:
        raise ConfigError("this program has no rows", hint="give Lichen the declarative base of its classes")
    return sessions
