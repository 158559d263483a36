"""Who is there and whether this device is connected, told by Qt's signals."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import shiboken6
from lichen.api.events import PresenceChanged
from lichen.blocking import Engine
from lichen.errors import EngineMisuse
from lichen_adapters.qt import Peer, Queued, SpaceSignals
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget
from turns import go_on, until


def test_who_comes_what_they_show_and_that_they_go_is_told(window: QWidget, engine: Engine, tmp_path: Path) -> None:
    space = engine.create_space("Family", member_name="Ann")
    note = space.create({"title": "Plans"})
    engine.listen(f"memory://{tmp_path.name}")
    signals = SpaceSignals(engine, space, Queued(window), parent=window)
    told: list[object] = []
    signals.peers_changed.connect(lambda peers: told.append([(peer.name, peer.path, peer.here) for peer in peers]))
    signals.connection_changed.connect(told.append)
    shown: list[PresenceChanged] = []
    signals.presence_changed.connect(shown.append)
    assert (signals.peers, signals.connection) == ((), "offline")
    with Engine.open(f"sqlite:///{tmp_path}/ben.db") as ben:
        theirs = ben.join(space.invite(mode="auto"), name="Ben")
        until(lambda: [("Ben", "memory", True)] in told)
        assert signals.peers == (Peer(ben.device, "Ben", "memory", "direct"),)
        assert signals.connection == "connected"
        copy = theirs.document(note.id, wait_s=20)
        copy.set_presence({"cursor": 3})
        until(lambda: shown)
        assert (shown[-1].device, shown[-1].data, shown[-1].doc) == (ben.device, {"cursor": 3}, note.id)
        copy.set_presence(None)
        until(lambda: shown[-1].data is None)
        after = len(told)
        with copy.change() as doc:
            doc["title"] = "More plans"
        until(lambda: note.doc["title"] == "More plans")
        go_on(0.05)
        assert len(told) == after, "what is not other is not told"
    until(lambda: signals.connection == "offline")
    assert told[-2:] == [[("Ben", "none", False)], "offline"]


def test_an_address_that_nobody_answers_at_is_told(window: QWidget, engine: Engine, tmp_path: Path) -> None:
    space = engine.create_space("Family")
    signals, told = SpaceSignals(engine, space, Queued(window)), list[str]()
    signals.connection_changed.connect(told.append)
    connection = engine.connect("ws://127.0.0.1:9")
    until(lambda: "offline" in told)
    assert told[:2] == ["connecting", "offline"]
    connection.close()
    until(lambda: signals.connection == "offline")


def test_it_ends_however_it_goes_and_with_the_space(window: QWidget, engine: Engine) -> None:
    space, deliver, parent = engine.create_space("Family"), Queued(window), QObject()
    signals = [SpaceSignals(engine, space, deliver, parent=one) for one in (None, None, parent, window)]
    with ThreadPoolExecutor(1) as pool, pytest.raises(EngineMisuse, match="another thread"):
        pool.submit(signals[0].close).result()
    assert len(engine.asynchronous._feeds) == 4
    signals.pop(0).close()
    signals.pop(0)
    gc.collect()
    shiboken6.delete(parent)
    until(lambda: len(engine.asynchronous._feeds) == 1)
    space.leave()
    until(lambda: not engine.asynchronous._feeds)
    engine.close()
    with pytest.raises(EngineMisuse, match="closed"):
        SpaceSignals(engine, space, deliver)
