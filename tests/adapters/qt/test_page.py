"""The page on Qt programs is real: its parts, put together, are one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from guides import parts


def test_the_program_of_the_page_runs_to_its_end_again_and_again(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", parts("qt.md")]
    shown = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    for _ in range(3):
        ran = subprocess.run(command, check=False, cwd=tmp_path, env=shown, capture_output=True, text=True, timeout=60)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
