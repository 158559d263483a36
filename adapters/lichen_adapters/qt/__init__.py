"""lichen in Qt programs: rows as models, a synced text in an editor, who is there as signals, and calls on Qt's thread.

It needs the extra `lichen[qt]`, which is PySide6. How to use it: `docs/howto/qt.md`.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("PySide6") is None:
    raise ImportError("lichen_adapters.qt needs PySide6: pip install 'lichen[qt]'", name="PySide6")

from lichen_adapters.qt.following import ROW as ROW
from lichen_adapters.qt.following import Column as Column
from lichen_adapters.qt.interrupting import quit_on_interrupt as quit_on_interrupt
from lichen_adapters.qt.painting import paint_at_once as paint_at_once
from lichen_adapters.qt.rows import ListRows as ListRows
from lichen_adapters.qt.rows import TableRows as TableRows
from lichen_adapters.qt.signals import Peer as Peer
from lichen_adapters.qt.signals import SpaceSignals as SpaceSignals
from lichen_adapters.qt.text import SyncedText as SyncedText
from lichen_adapters.qt.threads import Queued as Queued

__all__ = [
    "ROW",
    "Column",
    "ListRows",
    "Peer",
    "Queued",
    "SpaceSignals",
    "SyncedText",
    "TableRows",
    "paint_at_once",
    "quit_on_interrupt",
]
