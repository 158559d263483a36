"""However a Textual program ends, what it was told is on disk is there, its process is gone, the store opens again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from endings import LAST, begin, leaves_everything, loses_nothing, numbers_in

PROGRAM = Path(__file__).parent / "terminal_window.py"


@pytest.mark.parametrize(
    ("end", "code", "says"), [("closes", 0, ""), ("exits", 3, ""), ("raises in a callback", 1, "ZeroDivisionError")]
)
def test_a_program_that_ends_leaves_everything_in_the_file(tmp_path: Path, end: str, code: int, says: str) -> None:
    leaves_everything(PROGRAM, tmp_path, end, code, says)


def test_a_handler_that_exits_leaves_what_it_was_told(tmp_path: Path) -> None:
    """Textual does not end then in order."""
    url = f"sqlite:///{tmp_path}/notes.db"
    with begin(PROGRAM, url, "exits in a handler") as running:
        try:
            running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 3
    assert numbers_in(url)[-1] == LAST


@pytest.mark.parametrize(("how", "code"), [("SIGINT", 0), ("SIGTERM", None), ("SIGKILL", None)])
def test_a_program_that_is_stopped_at_any_moment_loses_nothing_it_was_told(
    tmp_path: Path, how: str, code: int | None
) -> None:
    loses_nothing(PROGRAM, tmp_path, signal.Signals[how], code)
