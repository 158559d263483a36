"""Letting Qt go on."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QCoreApplication


def until(holds: Callable[[], object]) -> None:
    """Let Qt go on until something holds."""
    ends = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends
        QCoreApplication.processEvents()


def go_on(seconds: float = 0.1) -> None:
    """Let Qt go on for so long."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        QCoreApplication.processEvents()
