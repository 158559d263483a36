"""A Qt application without a screen, of which nothing that Qt complains of goes unseen."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from lichen.blocking import Engine, timeout
from PySide6.QtCore import QCoreApplication, QEvent, qInstallMessageHandler
from PySide6.QtWidgets import QApplication, QWidget


@pytest.fixture(scope="session")
def application() -> QApplication:
    """One for the process."""
    return QApplication(["tests"])


@pytest.fixture(autouse=True)
def said(application: QApplication) -> Iterator[list[str]]:
    """What Qt says: it must be nothing at the end of a test."""
    messages: list[str] = []
    qInstallMessageHandler(lambda _kind, _context, message: messages.append(message))
    try:
        yield messages
        gc.collect()
        application.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    finally:
        qInstallMessageHandler(None)
    assert [message for message in messages if not message.startswith("This plugin does not support")] == []


@pytest.fixture
def window(application: QApplication) -> Iterator[QWidget]:
    """A window of its own."""
    made = QWidget()
    yield made
    made.deleteLater()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with timeout(100), Engine.open(f"sqlite:///{tmp_path}/notes.db") as opened:
        yield opened


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
