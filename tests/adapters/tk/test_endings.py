"""However a Tk program ends, what it was told is on disk is there, its process is gone, and the store opens again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from endings import leaves_everything, loses_nothing
from lichen.testing.display import Display

WINDOW = Path(__file__).parent / "window.py"


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [("closes its window", 0, ""), ("exits", 3, ""), ("raises in a callback", 0, "ZeroDivisionError")],
)
def test_a_window_that_ends_leaves_everything_in_the_file(
    tmp_path: Path, display: Display, end: str, code: int, says: str
) -> None:
    assert display.name
    leaves_everything(WINDOW, tmp_path, end, code, says)


@pytest.mark.parametrize(("how", "code"), [("SIGINT", 0), ("SIGTERM", 0), ("SIGKILL", None)])
def test_a_window_that_is_stopped_at_any_moment_loses_nothing_it_was_told(
    tmp_path: Path, display: Display, how: str, code: int | None
) -> None:
    assert display.name
    loses_nothing(WINDOW, tmp_path, signal.Signals[how], code)
