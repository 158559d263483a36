"""The page on Tk programs is real: its parts, put together, are one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from guides import parts
from lichen.testing.display import Display


def test_the_program_of_the_page_runs_to_its_end(tmp_path: Path, display: Display) -> None:
    assert display.name
    command = [sys.executable, "-W", "error", "-c", parts("tk.md")]
    ran = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
