"""Threads that take turns: one after the other, but none waits for long."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from lichen import turns


@pytest.fixture
def of_a_window(monkeypatch: pytest.MonkeyPatch) -> turns._Turns:
    """Turns that are taken: what a program asks for holds for the rest of its life, and here for other tests."""
    taken = turns._Turns()
    taken.take()
    monkeypatch.setattr(turns, "turn", taken.turn)
    return taken


@contextmanager
def computing(turn: AbstractContextManager[object]) -> Iterator[None]:
    """Another thread computes in its turn during the block."""
    has, end = threading.Event(), threading.Event()

    def work() -> None:
        with turn:
            has.set()
            assert end.wait(30)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert has.wait(30)
    try:
        yield
    finally:
        end.set()
        thread.join(30)


def test_one_thread_computes_at_a_time(of_a_window: turns._Turns) -> None:
    with computing(of_a_window.turn()):
        assert not of_a_window._lock.acquire(blocking=False)
    assert of_a_window._lock.acquire(blocking=False)


def test_nobody_waits_for_long(of_a_window: turns._Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 0.01)
    with computing(of_a_window.turn()):
        assert turns.in_turn(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError), of_a_window.turn():
            divmod(1, 0)
        assert not of_a_window._lock.acquire(blocking=False), "whoever had no turn has not ended another's"


def test_within_a_turn_a_thread_has_another(of_a_window: turns._Turns) -> None:
    with of_a_window.turn():
        assert turns.in_turn(divmod, 7, 2) == (3, 1)
    with computing(of_a_window.turn()):
        pass


def test_where_nobody_asked_for_it_threads_compute_beside_each_other() -> None:
    alike = turns._Turns()
    with computing(alike.turn()):
        assert alike._lock.acquire(blocking=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks")
def test_in_the_child_of_a_fork_nobody_has_a_turn() -> None:
    with computing(turns._turns._lock):
        child = os.fork()
        if child == 0:
            os._exit(0 if turns._turns._lock.acquire(blocking=False) else 1)
        assert os.waitpid(child, 0)[1] == 0
