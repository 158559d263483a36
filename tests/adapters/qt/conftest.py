"""A Qt application without a screen, of which nothing that Qt complains of goes unseen."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from lichen.blocking import Document
from PySide6.QtCore import QEvent, qInstallMessageHandler
from PySide6.QtWidgets import QApplication, QWidget

sys.path.insert(0, str(Path(__file__).parent))

from qt_pad import KINDS, Pad


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


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def pad(request: pytest.FixtureRequest, window: QWidget, note: Document) -> Pad:
    """Both kinds of editors, which had a text of their own."""
    return Pad(window, note, request.param("what was there before", window))
