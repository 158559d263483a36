"""How a command begins and ends: its streams, and Ctrl-C while it loads what it needs and after its work."""

from __future__ import annotations

import os
import signal
import sys

from lichen.api.endings import INTERRUPTED as INTERRUPTED

TERMINATED = 128 + signal.SIGTERM


def leave_at_once() -> None:
    """From now on SIGINT ends the process where it stands, as an exception in the middle of an import could not."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))


def raise_interrupts() -> None:
    """From now on SIGINT is an exception, of which work that has begun is ended in order."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def open_streams() -> None:
    """Where the shell has closed a standard stream, what goes there is lost, and no file of ours takes its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115  # it is open to the end
