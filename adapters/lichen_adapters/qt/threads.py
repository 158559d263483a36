"""The thread of a QObject, and calls on it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from lichen.blocking.events import SLICE_S
from lichen.errors import EngineMisuse
from PySide6.QtCore import QCoreApplication, QObject, Qt, QTimer, Signal


def refuse_other_threads(owner: QObject, what: str) -> None:
    """Raises `EngineMisuse` on any thread but that of `owner`."""
    if not owner.thread().isCurrentThread():
        raise EngineMisuse(
            f"{what} was used on another thread than its window's",
            hint="hand the call to a Queued, which makes it there",
        )


class Queued(QObject):
    """A `lichen.blocking.Deliver` for Qt: makes calls on the thread of an object, from its event loop.

    One for a program is enough. It ends with its owner, most often the window. What waits is called for some
    milliseconds at a time, with keys, clicks and painting in between. What a call raises goes where Qt's own slots
    raise it: `sys.excepthook`.
    """

    _asked = Signal()

    def __init__(self, owner: QObject) -> None:
        """Made on the thread of `owner`. Raises `EngineMisuse` on another, and where there is no application yet."""
        if QCoreApplication.instance() is None:
            raise EngineMisuse("there is no Qt application", hint="make the QApplication first")
        refuse_other_threads(owner, "a Queued")
        super().__init__(owner)
        self._calls: deque[Callable[[], None]] = deque()
        self._gate = threading.Lock()
        self._begun = False
        """The timer runs, or soon will."""
        self._stopped = False
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._run)
        self._asked.connect(self._timer.start, Qt.ConnectionType.QueuedConnection)
        owner.destroyed.connect(self.stop)

    def __call__(self, call: Callable[[], None], /) -> None:
        """Have a call made; from any thread. Nothing is called any more once this has ended."""
        with self._gate:  # which keeps the owner from going meanwhile
            if self._stopped:
                return
            self._calls.append(call)
            if not self._begun:
                self._begun = True
                self._asked.emit()

    def stop(self) -> None:
        """Make no more calls; idempotent. On the owner's thread."""
        with self._gate:
            if not self._stopped:
                self._stopped = True
                self._calls.clear()
                self._timer.stop()

    def _run(self) -> None:
        self._timer.start()  # anew: the one that fired does not fire within a call that waits, as a dialog does
        ends = time.monotonic() + SLICE_S
        while (call := self._next()) is not None:
            call()
            if time.monotonic() > ends:
                self._timer.start()  # behind other timers that are due
                return

    def _next(self) -> Callable[[], None] | None:
        with self._gate:
            if self._calls:
                return self._calls.popleft()
            if self._begun and not self._stopped:
                self._begun = False
                self._timer.stop()
            return None
