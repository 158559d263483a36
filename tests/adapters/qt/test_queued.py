"""Calls on Qt's thread: in order, a few milliseconds at a time, whatever else happens, and none after the end."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import shiboken6
from lichen.errors import EngineMisuse
from lichen_adapters.qt import Queued
from PySide6.QtCore import QEventLoop, QObject, QThread, QTimer
from PySide6.QtWidgets import QWidget
from turns import go_on, until


def elsewhere(work: Callable[[], object]) -> None:
    """Do something on another thread, to its end."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def test_calls_of_several_threads_are_made_on_that_of_qt_each_in_its_order(window: QWidget) -> None:
    deliver, made = Queued(window), list[tuple[int, int, int]]()

    def note(which: int, number: int) -> None:
        made.append((which, number, threading.get_ident()))

    def call_often(which: int) -> None:
        for number in range(500):
            deliver(partial(note, which, number))

    threads = [threading.Thread(target=call_often, args=(which,)) for which in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(made) == 1_500)
    for thread in threads:
        thread.join()
    assert {thread for _, _, thread in made} == {threading.get_ident()}
    for which in range(3):
        assert [number for one, number, _ in made if one == which] == list(range(500))


def test_a_call_that_raises_is_told_and_stops_nothing(window: QWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver, made, raised = Queued(window), list[int](), list[type]()
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: raised.append(kind))
    elsewhere(lambda: (deliver(lambda: made.append(1 // 0)), deliver(lambda: made.append(1))))
    until(lambda: made)
    assert (made, raised) == ([1], [ZeroDivisionError])


def test_timers_get_their_turn_while_calls_beget_calls(window: QWidget) -> None:
    deliver, beats, made = Queued(window), list[int](), list[int]()

    def beget() -> None:
        made.append(1)
        if len(made) < 1_000_000:
            deliver(beget)

    timer = QTimer(window, interval=1)
    timer.timeout.connect(lambda: beats.append(len(made)))
    timer.start()
    deliver(beget)
    until(lambda: len(beats) > 5)
    assert beats[5] < 1_000_000
    deliver.stop()


def test_calls_go_on_while_one_waits_in_a_loop_of_its_own(window: QWidget) -> None:
    deliver, made = Queued(window), list[str]()

    def ask() -> None:
        loop = QEventLoop()
        deliver(lambda: (made.append("after"), loop.quit()))
        made.append("asks")
        loop.exec()
        made.append("answered")

    deliver(ask)
    deliver(lambda: made.append("waited"))
    until(lambda: len(made) == 4)
    assert made == ["asks", "waited", "after", "answered"]


@pytest.mark.parametrize("how", ["stop", "delete", "drop", "with a parent"])
def test_they_end_with_their_owner_whoever_goes_on_calling(application: object, how: str) -> None:
    owner: QObject | None = QObject()
    parent = QObject()
    if how == "with a parent":
        owner.setParent(parent)
    deliver, made, stopping = Queued(owner), list[int](), threading.Event()

    def call_on() -> None:
        while not stopping.is_set():
            deliver(lambda: made.append(1))

    calling = threading.Thread(target=call_on)
    calling.start()
    until(lambda: made)
    match how:
        case "stop":
            deliver.stop()
            deliver.stop()
        case "delete":
            shiboken6.delete(owner)
        case "drop":
            owner = None
            gc.collect()
        case _:
            shiboken6.delete(parent)
    count = len(made)
    go_on()
    stopping.set()
    calling.join()
    deliver(lambda: made.append(1))
    go_on()
    assert len(made) == count
    assert not deliver._calls


def test_one_is_made_on_the_thread_of_its_owner_only(window: QWidget) -> None:
    with pytest.raises(EngineMisuse, match="another thread"):
        elsewhere(lambda: Queued(window))
    thread, made = QThread(), list[object]()

    class Begin(QObject):
        def begin(self) -> None:
            self.deliver = Queued(self)
            self.deliver(lambda: made.append(QThread.currentThread()))

    begin = Begin()
    begin.moveToThread(thread)
    thread.started.connect(begin.begin)
    thread.start()
    until(lambda: made)
    assert made == [thread], "a thread of one's own may have one too"
    begin.deleteLater()
    thread.quit()
    thread.wait()
