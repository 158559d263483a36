"""However a Qt program ends, what it was told is on disk is there, its process is gone, and the store opens again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lichen.blocking import Engine

WINDOW = Path(__file__).parent / "window.py"


def begin(url: str, end: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-u", str(WINDOW), url, end]
    shown = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_LOGGING_RULES": "*=false"}
    return subprocess.Popen(command, env=shown, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def numbers_in(url: str) -> list[int]:
    """What the text holds; every number up to the last, and each once."""
    with Engine.open(url, create=False) as engine:
        space = engine.spaces[0]
        found = next(
            [int(number) for number in str(doc["body"]).split()]
            for info in space.documents()
            if "body" in (doc := space.document(info.id).doc)
        )
    assert found == list(range(1, len(found) + 1))
    return found


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [("closes its window", 0, ""), ("exits", 3, ""), ("raises in a callback", 0, "ZeroDivisionError")],
)
def test_a_window_that_ends_leaves_everything_in_the_file(tmp_path: Path, end: str, code: int, says: str) -> None:
    url = f"sqlite:///{tmp_path}/notes.db"
    with begin(url, end) as program:
        try:
            told, errors = program.communicate(timeout=60)
        finally:
            program.kill()
    assert program.returncode == code, errors
    assert (says in errors) if says else (errors == "")
    assert told.split()[-1] == "50"
    assert not (tmp_path / "notes.db-wal").exists(), "the store was closed as it should be"
    assert numbers_in(url)[-1] == 50


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_a_window_that_is_stopped_at_any_moment_loses_nothing_it_was_told(tmp_path: Path, how: signal.Signals) -> None:
    seed = int(os.environ.get("LICHEN_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    url = f"sqlite:///{tmp_path}/notes.db"
    with begin(url) as program:
        try:
            assert program.stdout is not None
            assert program.stderr is not None
            told = 0
            for _ in range(random.Random(seed).randrange(1, 80)):
                told = int(program.stdout.readline())
            program.send_signal(how)
            rest, errors = program.stdout.read(), program.stderr.read()  # `communicate` passes over lines read ahead
            program.wait(timeout=60)
        finally:
            program.kill()
    told = int(rest.split()[-1]) if rest else told
    if how != signal.SIGKILL:
        assert (program.returncode, errors) == (0, "")
        assert not (tmp_path / "notes.db-wal").exists(), "the store was closed as it should be"
    assert told <= numbers_in(url)[-1] <= told + 1


def test_ctrl_c_ends_a_program_whose_loop_has_not_begun() -> None:
    program = """
import signal
from PySide6.QtCore import QCoreApplication
from lichen_adapters.qt import quit_on_interrupt
before = signal.getsignal(signal.SIGINT)
application = QCoreApplication([])
quit_on_interrupt(application)
signal.raise_signal(signal.SIGINT)
application.processEvents()
application.exec()
assert signal.getsignal(signal.SIGINT) is before
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
