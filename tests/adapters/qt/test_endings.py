"""However a Qt program ends, what it was told is on disk is there, its process is gone, and the store opens again."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from endings import leaves_everything, loses_nothing

WINDOW = Path(__file__).parent / "window.py"


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [("closes its window", 0, ""), ("exits", 3, ""), ("raises in a callback", 0, "ZeroDivisionError")],
)
def test_a_window_that_ends_leaves_everything_in_the_file(tmp_path: Path, end: str, code: int, says: str) -> None:
    leaves_everything(WINDOW, tmp_path, end, code, says)


@pytest.mark.parametrize(("how", "code"), [("SIGINT", 0), ("SIGTERM", 0), ("SIGKILL", None)])
def test_a_window_that_is_stopped_at_any_moment_loses_nothing_it_was_told(
    tmp_path: Path, how: str, code: int | None
) -> None:
    loses_nothing(WINDOW, tmp_path, signal.Signals[how], code)


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
