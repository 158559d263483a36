"""Ctrl-C while a command loads what it needs, and after its work: there is nothing to end, and nothing to say."""

from __future__ import annotations

import os
import signal

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


def leave_at_once() -> None:
    """From now on SIGINT ends the process where it stands, as an exception in the middle of an import could not."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))


def raise_interrupts() -> None:
    """From now on SIGINT is an exception, of which work that has begun is ended in order."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
