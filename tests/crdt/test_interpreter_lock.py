"""Large edits let the other threads of a program compute: its window stands still else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from operator import attrgetter, call
from types import SimpleNamespace

import pytest
from lichen_crdt import Counter, Document, Text
from lichen_crdt._native import Core

LENGTH = 65_000
ACTOR = b"\x01" * 16


@contextmanager
def beating() -> Iterator[SimpleNamespace]:
    """The count of another thread, which goes on for as long as that can compute."""
    beats, ended = SimpleNamespace(count=0), threading.Event()

    def beat() -> None:
        while not ended.is_set():
            beats.count += 1

    thread, interval = threading.Thread(target=beat), sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    thread.start()
    try:
        yield beats
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(interval)


def text_of(core: Core, length: int) -> None:
    core.begin(None, 0, True)
    core.put(core.root, "body", Text("x" * length))


def delete(core: Core) -> Callable[[], object]:
    text_of(core, LENGTH)
    return partial(core.splice_text, core.get(core.root, "body"), 1, LENGTH - 2, "")


def insert(core: Core) -> Callable[[], object]:
    text_of(core, 2)
    return partial(core.splice_text, core.get(core.root, "body"), 1, 0, "word and\n" * (LENGTH // 9))


def update(core: Core) -> Callable[[], object]:
    text_of(core, LENGTH)
    return partial(core.update_text, core.get(core.root, "body"), "y" * 5)


def put(core: Core) -> Callable[[], object]:
    core.begin(None, 0, True)
    return partial(core.put, core.root, "body", Text("x" * LENGTH))


def commit(core: Core) -> Callable[[], object]:
    text_of(core, 2)
    core.commit()
    core.begin(None, 0, True)
    core.splice_text(core.get(core.root, "body"), 1, 0, "x" * LENGTH)
    return core.commit


def rollback(core: Core) -> Callable[[], object]:
    text_of(core, LENGTH)
    return core.rollback


@pytest.mark.parametrize("prepared", [delete, insert, update, put, commit, rollback])
def test_others_compute_during_a_large_write(prepared: Callable[[Core], Callable[[], object]]) -> None:
    work = prepared(Core(ACTOR))
    with beating() as beats:
        now = partial(attrgetter("count"), beats)
        before, _, after = map(call, (now, work, now))  # nothing of Python runs here in between
    assert after != before


def test_others_compute_while_many_values_are_read() -> None:
    doc = Document(actor=ACTOR)
    with beating() as beats:

        class Now(Counter):
            """The beats when it is read."""

            beats_now = beats
            value = property(attrgetter("beats_now.count"))  # type: ignore[assignment]  # which is no Python code

        with doc.change():
            doc["many"] = [Now(), *([7] * 500_000), Now()]
    assert doc["many"][0] != doc["many"][-1]
