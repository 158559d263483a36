"""In continuous integration nothing goes unchecked: a skip fails, elsewhere it is only reported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SKIPPED_TEST = "import pytest\ndef test_it():\n    pytest.skip('no browser here')\n"
MARKED_TEST = "import pytest\n@pytest.mark.skipif(True, reason='no browser here')\ndef test_it(): pass\n"
SKIPPED_FILE = "import pytest\npytest.skip('no browser here', allow_module_level=True)\n"
EXPECTED_FAILURE = "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it(): assert False\n"


def run(folder: Path, source: str, *, ci: str | None) -> subprocess.CompletedProcess[str]:
    shutil.copy(CONFTEST, folder)
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "PYTEST_ADDOPTS"}}
    if ci is not None:
        environment["CI"] = ci
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("source", [SKIPPED_TEST, MARKED_TEST, SKIPPED_FILE], ids=["call", "mark", "file"])
def test_a_skip_fails_in_ci_and_says_why(tmp_path: Path, source: str) -> None:
    done = run(tmp_path, source, ci="true")
    assert done.returncode in {1, 2}, done.stdout
    assert "no browser here" in done.stdout
    assert "in CI is a failure" in done.stdout


@pytest.mark.parametrize("ci", [None, "", "false"])
def test_a_skip_is_only_reported_elsewhere(tmp_path: Path, ci: str | None) -> None:
    done = run(tmp_path, SKIPPED_TEST, ci=ci)
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    done = run(tmp_path, EXPECTED_FAILURE, ci="true")
    assert done.returncode == 0, done.stdout
    assert "1 xfailed" in done.stdout
