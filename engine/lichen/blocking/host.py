"""Something that is open on the loop's thread, and calls to it from others.

Each has one task there, which enters its context manager and leaves it: at `close`, and at the latest when the main
thread ends.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # before the hook below, which then runs before executors are shut
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

from lichen.blocking.deadline import remaining, within
from lichen.blocking.loop import borrow_loop, return_loop
from lichen.errors import EngineMisuse

log = logging.getLogger("lichen.blocking")

P = ParamSpec("P")
R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)


class Host(Generic[T_co]):
    """Holds open what a context manager gives; `value` is that."""

    def __init__(self, opening: AbstractAsyncContextManager[T_co], what: str) -> None:
        """Open it, and wait until it is. Raises what opening raises, and `TimeoutError`."""
        seconds = remaining(f"opening {what}")
        self._what = what
        self._pid = os.getpid()
        self._gate = threading.RLock()  # what is collected while a thread is in it may ask for it there
        self._closed = False
        self._calls: set[Future[Any]] = set()
        self._before_close: dict[object, Callable[[], object]] = {}
        self._leaving = threading.RLock()
        self._thread = borrow_loop()
        if threading.current_thread() is self._thread.thread:
            return_loop()
            self.refuse_wrong_place()
        self._ending = asyncio.Event()
        opened: Future[T_co] = Future()
        self._living = asyncio.run_coroutine_threadsafe(self._live(opening, opened, seconds), self._thread.loop)
        _open.add(self)
        try:
            self.value = opened.result()
        except BaseException:
            self._living.cancel()
            self.close()
            raise

    async def _live(
        self, opening: AbstractAsyncContextManager[T_co], opened: Future[T_co], seconds: float | None
    ) -> None:
        try:
            value = await within(opening.__aenter__, seconds, f"opening {self._what}")
        except BaseException as error:
            opened.set_exception(CancelledError() if isinstance(error, asyncio.CancelledError) else error)
            return
        opened.set_result(value)
        try:
            await self._ending.wait()
        finally:
            await opening.__aexit__(None, None, None)

    def run(self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a coroutine function, called on the loop. Raises `EngineMisuse`, and `TimeoutError`.

        Cancelled when this thread is interrupted while it waits.
        """
        what = getattr(function, "__qualname__", "this call")
        self.refuse_wrong_place()
        seconds = remaining(what)
        doing: list[asyncio.Task[Any] | None] = []  # this may be interrupted before it has the future

        async def work() -> R:
            doing.append(asyncio.current_task())
            return await within(partial(function, *args, **kwargs), seconds, what)

        try:
            return self.submit(work()).result()
        except CancelledError:
            raise self._is_closed() from None
        except BaseException:
            self._cancel(doing)
            raise

    def _cancel(self, doing: list[asyncio.Task[Any] | None]) -> None:
        """Cancel what may have begun; on the loop, behind what was submitted before."""

        def cancel() -> None:
            for task in doing:
                if task is not None:
                    task.cancel()

        with suppress(RuntimeError):  # the loop has closed
            self._thread.loop.call_soon_threadsafe(lambda: self._thread.loop.call_soon(cancel))

    def submit(self, work: Coroutine[Any, Any, R]) -> Future[R]:
        """Begin a coroutine on the loop; it is cancelled when this closes. Raises `EngineMisuse`."""
        with self._gate:
            if self._closed:
                work.close()
                raise self._is_closed()
            future = asyncio.run_coroutine_threadsafe(work, self._thread.loop)
            self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        return future

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a function, called on the loop, also when this thread is interrupted. Raises `EngineMisuse`."""
        self.refuse_wrong_place()
        result: Future[R] = Future()

        def work() -> None:
            try:
                result.set_result(function(*args, **kwargs))
            except BaseException as error:
                result.set_exception(error)

        self.call_soon(work)
        return result.result()

    def call_soon(self, function: Callable[[], object]) -> None:
        """Have a function called on the loop, without waiting. Raises `EngineMisuse`."""
        self._refuse_fork()
        with self._gate:
            if self._closed:
                raise self._is_closed()
            self._thread.loop.call_soon_threadsafe(function)

    def _refuse_fork(self) -> None:
        """To be asked before the gate, which another thread may have held when the process was forked."""
        if os.getpid() != self._pid:
            raise EngineMisuse(
                f"{self._what} was opened before this process was forked, and cannot be used in it",
                hint="open it after the fork, or start processes with the method `spawn`",
            )

    def refuse_wrong_place(self) -> None:
        """Raises `EngineMisuse` where nothing that waits for the loop could ever go on."""
        self._refuse_fork()
        if threading.current_thread() is self._thread.thread:
            raise EngineMisuse(
                f"{self._what} was used on its own loop's thread, where it would wait for itself",
                hint="deliver callbacks to another thread",
            )

    def _is_closed(self) -> EngineMisuse:
        return EngineMisuse(f"{self._what} is closed", hint="use it inside its `with` block, before close()")

    def before_close(self, call: Callable[[], object]) -> Callable[[], object]:
        """Have something called when this begins to close, on the thread that closes it. Returns what forgets it.

        Raises `EngineMisuse` once it is closed.
        """
        with self._gate:
            if self._closed:
                raise self._is_closed()
            self._before_close[key := object()] = call
        return lambda: self._before_close.pop(key, None)

    def close(self) -> None:
        """Leave the context manager, and wait for that; idempotent. What others still wait for is cancelled.

        In a process that was forked from that of the host it does nothing.
        """
        if os.getpid() != self._pid:
            return
        if threading.current_thread() is self._thread.thread:
            self.refuse_wrong_place()
        self._call_before_close()
        self._close()

    def _call_before_close(self) -> None:
        with self._leaving, suppress(KeyError):  # whoever closes it too waits for that; and until none is left
            while True:
                key, call = self._before_close.popitem()
                try:
                    call()
                except Exception:
                    log.exception("what was to be done before closing failed")
                except BaseException:  # interrupted: whoever closes it next goes on, at the latest the program's end
                    self._before_close[key] = call
                    raise

    def _close(self) -> None:
        with self._gate:
            first, self._closed = not self._closed, True
        if first:
            self._thread.loop.call_soon_threadsafe(self._ending.set)
        concurrent.futures.wait([self._living])
        with self._gate:
            first = self in _open
            _open.discard(self)
        if first:
            for call in list(self._calls):
                call.cancel()
            return_loop()
        if not self._living.cancelled():
            self._living.result()


_open: set[Host[Any]] = set()
"""What is open in this process."""


def _close_all() -> None:
    for host in list(_open):
        try:
            host.close()
        except Exception:  # the others are to be closed all the same
            log.exception("what was open at the end could not be closed as it should be")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.clear)

# Not `atexit`: by then executors take no more work, and to close an engine takes some. The standard library ends its
# own executors by the same function, which has no public name.
threading._register_atexit(_close_all)  # type: ignore[attr-defined]  # noqa: SLF001
