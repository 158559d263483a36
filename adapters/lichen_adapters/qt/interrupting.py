"""Ctrl-C in Qt programs, of which Python hears only when it has something to do."""

from __future__ import annotations

import atexit
import signal
import socket
from contextlib import suppress

from PySide6.QtCore import QCoreApplication, QSocketNotifier, QTimer


def quit_on_interrupt(application: QCoreApplication) -> None:
    """Have Ctrl-C, and a request to terminate, end the loop of an application: `exec` returns, and the program goes on.

    To be called on the main thread, right before `exec`: a call that waits, as `join` does, would not be interrupted by
    them any more. What these signals did before they do again after the loop.
    """
    here, there = socket.socketpair()
    there.setblocking(False)
    woke = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
    quitting = QTimer(application, interval=0)  # again and again: `quit` does nothing before the loop has begun
    quitting.timeout.connect(application.quit)
    before = {number: signal.signal(number, lambda *_: quitting.start()) for number in (signal.SIGINT, signal.SIGTERM)}
    notifier = QSocketNotifier(here.fileno(), QSocketNotifier.Type.Read, application)
    notifier.activated.connect(lambda: here.recv(64))

    def end() -> None:
        atexit.unregister(end)
        with suppress(RuntimeError):  # they went with the application
            quitting.stop()
            notifier.setEnabled(False)
            notifier.activated.disconnect()
        signal.set_wakeup_fd(woke)
        for number, handler in before.items():
            signal.signal(number, handler)
        here.close()
        there.close()

    application.aboutToQuit.connect(end)
    atexit.register(end)
