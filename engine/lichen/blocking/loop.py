"""The event loop of all blocking handles of this process, on a thread that lives as long as something uses it."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future


class LoopThread:
    """A thread that runs one event loop until it is stopped."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()
        started: Future[asyncio.AbstractEventLoop] = Future()
        self.thread = threading.Thread(target=self._run, args=(started,), name="lichen loop", daemon=True)
        try:
            self.thread.start()
            self.loop = started.result()
        except BaseException:  # interrupted: it would run for nobody
            if not started.cancel():
                started.result().call_soon_threadsafe(self._stopping.set)
            raise

    def _run(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve(started))

    async def _serve(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        if started.set_running_or_notify_cancel():
            started.set_result(asyncio.get_running_loop())
            await self._stopping.wait()

    def stop(self) -> None:
        """Cancel what still runs, and end the thread and those of its executor."""
        self.loop.call_soon_threadsafe(self._stopping.set)
        self.thread.join()


class _Shared:
    """The one loop, and how many use it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.running: LoopThread | None = None


_shared = _Shared()


def _begin_anew() -> None:
    """In a forked process there is no thread but the one that forked; a lock may look held."""
    global _shared
    _shared = _Shared()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def borrow_loop() -> LoopThread:
    """The loop, started when nobody uses it yet. Give it back with `return_loop`."""
    with _shared.lock:
        if _shared.running is None:
            _shared.running = LoopThread()
        _shared.users += 1
        return _shared.running


def return_loop() -> None:
    """One user less; with the last the thread ends."""
    with _shared.lock:
        _shared.users -= 1
        if _shared.users == 0 and _shared.running is not None:
            running, _shared.running = _shared.running, None
            running.stop()
