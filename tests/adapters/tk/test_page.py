"""The page on Tk programs is real: its parts, put together, are one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from lichen.testing.display import Display

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "tk.md"


def test_the_program_of_the_page_runs_to_its_end(tmp_path: Path, display: Display) -> None:
    program = "".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    assert display.name
    command = [sys.executable, "-W", "error", "-c", program]
    ran = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
