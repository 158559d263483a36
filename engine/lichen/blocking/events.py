"""What happens, for one reader: waited for in a loop, taken when convenient, or handed to a callback."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Generic, Self, TypeVar

from lichen.api.feed import MOST_WAITING
from lichen.blocking.deadline import remaining
from lichen.blocking.deliver import Deliver
from lichen.blocking.host import Host
from lichen.errors import EngineMisuse, LichenError, LimitExceeded

log = logging.getLogger("lichen.blocking")

T = TypeVar("T")

SLICE_S = 0.001
"""So long a callback is called with one event after the other, before its thread is left to others."""


class Buffer(Generic[T]):
    """Filled on the loop, emptied on another thread."""

    def __init__(self) -> None:
        self.waiting: deque[T] = deque()
        self.changed = threading.Condition()
        self.ended = False
        self.error: LichenError | None = None
        self.wake: Callable[[], object] = lambda: None
        """Called on the loop's thread when something has come or it has ended."""

    def put(self, event: T) -> bool:
        """Add an event; False when the reader has fallen too far behind, which ends it."""
        with self.changed:
            full = len(self.waiting) >= MOST_WAITING
            if not full:
                self.waiting.append(event)
            self.changed.notify_all()
        if full:
            self.end(LimitExceeded(f"a reader of events fell behind by more than {MOST_WAITING}"))
        else:
            self.wake()
        return not full

    def end(self, error: LichenError | None = None) -> None:
        """Nothing more comes; the reader gets what waits, and then the error, if any."""
        with self.changed:
            if not self.ended:
                self.ended, self.error = True, error
            self.changed.notify_all()
        self.wake()

    async def fill(self, source: Callable[[], AsyncGenerator[T, None]], begun: Future[None]) -> None:
        """Take everything that a source gives, from the moment at which `begun` is done."""
        try:
            async with contextlib.aclosing(source()) as events:
                begun.set_result(None)
                async for event in events:
                    if not self.put(event):
                        return
        except LichenError as error:
            self.end(error)
        finally:
            self.end()


class Events(Generic[T]):
    """Events from the moment at which it was made: an iterator, and the context manager that ends it.

    Ends when it is closed or dropped, and with the engine. A reader that falls behind by more than 65,536 events gets
    what waited, and then `LimitExceeded`. Read it in one way and from one thread at a time.
    """

    def __init__(self, host: Host[object], source: Callable[[], AsyncGenerator[T, None]]) -> None:
        self._host = host
        self._turn = threading.RLock()
        self._buffer: Buffer[T] = Buffer()
        begun: Future[None] = Future()
        filling = host.submit(self._buffer.fill(source, begun))
        self._stop = weakref.finalize(self, filling.cancel)
        self._stop.atexit = False
        filling.add_done_callback(lambda _: begun.cancel())
        try:
            begun.result()
        except CancelledError:
            raise EngineMisuse("the engine was closed meanwhile", hint="end what waits for events before it") from None

    def __iter__(self) -> Self:
        """Wait for one after the other: `for event in events`."""
        return self

    def __next__(self) -> T:
        """The next event; waits for it. Raises `TimeoutError` as set by `timeout`, after which it can go on."""
        self._host.refuse_wrong_place()
        with self._buffer.changed:
            if not self._buffer.changed.wait_for(self._something, remaining("the next event")):
                raise TimeoutError("no event came in the time of the block")
            if self._buffer.waiting:
                return self._buffer.waiting.popleft()
            if self._buffer.error is not None:
                raise self._buffer.error
        raise StopIteration

    def waiting(self) -> list[T]:
        """The events that have come and were not read yet; does not wait. Raises `LimitExceeded`."""
        with self._buffer.changed:
            found = list(self._buffer.waiting)
            self._buffer.waiting.clear()
            if not found and self._buffer.error is not None:
                raise self._buffer.error
        return found

    @property
    def ended(self) -> bool:
        """Nothing more comes but what waits."""
        return self._buffer.ended

    def call(self, callback: Callable[[T], object], deliver: Deliver) -> Callable[[], None]:
        """Call `callback` with each event, on the thread that `deliver` chooses. Returns what ends that.

        What it raises is logged, and stops nothing.
        """
        _Calls(self, self._buffer, callback, deliver).begin()
        return self.close

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Have `call` take no event while the block lasts, and wait for the callback that runs, if on another thread.

        What comes meanwhile can be read by this thread. Raises `TimeoutError` as set by `timeout`.
        """
        left = remaining("the block")
        if not self._turn.acquire(timeout=-1 if left is None else left):
            raise TimeoutError("a callback was not done in the time of the block")
        try:
            yield
        finally:
            self._turn.release()

    def close(self) -> None:
        """End it, and drop what waits; idempotent."""
        self._stop()
        self._buffer.end()
        self._buffer.waiting.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _something(self) -> bool:
        return bool(self._buffer.waiting) or self._buffer.ended


class _Calls(Generic[T]):
    """Hands the events of a buffer to a callback, with one delivery on its way at a time."""

    def __init__(self, events: Events[T], buffer: Buffer[T], callback: Callable[[T], object], deliver: Deliver) -> None:
        self._events = events  # which nobody else may hold
        self._buffer = buffer
        self._callback = callback
        self._deliver = deliver
        self._on_its_way = False

    def begin(self) -> None:
        """From now on, and for what waits already."""
        self._buffer.wake = self._wake
        self._wake()

    def _wake(self) -> None:
        with self._buffer.changed:
            if self._on_its_way or not self._buffer.waiting:
                self._report()
                return
            self._on_its_way = True
        try:
            self._deliver(self._call)
        except Exception:
            log.exception("events could not be delivered, and end")
            self._events.close()

    def _report(self) -> None:
        error, self._buffer.error = self._buffer.error, None
        if error is not None:
            log.error("events end for a callback: %s", error)

    def _call(self) -> None:
        """On the callback's thread: what waits, for some milliseconds, so that it gets to other things in between."""
        ends = time.monotonic() + SLICE_S
        try:
            with contextlib.suppress(IndexError):  # nothing waits any more
                while True:
                    with self._events.held():
                        self._tell(self._buffer.waiting.popleft())
                    if time.monotonic() > ends:
                        break
        finally:
            self._on_its_way = False
            self._wake()

    def _tell(self, event: T) -> None:
        try:
            self._callback(event)
        except Exception:
            log.exception("a callback failed")
