"""The README's example is real: it is run as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_example_prints_what_it_says(tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    assert README.read_text()[: found.end()].count("\n") <= 24, "the example stands at the top"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", found[1]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout == "milk, eggs\n"


def test_the_readme_opens_with_the_two_commands() -> None:
    top = README.read_text().splitlines()[:8]
    commands = [line.split("#")[0].strip() for line in top if line.startswith("    ")]
    assert commands == ["make demo", "make test"]
