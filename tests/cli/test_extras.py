"""What is missing is told where it is asked for, and how to get it: not every extra is installed everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lichen.cli.processes import Process
from lichen.errors import LinkBroken, Unreachable

WITHOUT = """
import sys
sys.modules[sys.argv.pop(1)] = None
from {module}.cli import main
main()
"""


def refused_without(package: str, module: str, *arguments: str, folder: Path) -> dict[str, str]:
    """The error of a command where a package is not installed."""
    command = [sys.executable, "-c", WITHOUT.format(module=module), package, *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=25, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    error: dict[str, str] = json.loads(done.stdout)["error"]
    return error


def test_a_direct_path_without_its_library_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"startContent": "", "endContent": "a", "txns": [{"patches": [[0, 0, "a"]]}]}')
    arguments = ("replay", "t.json", "--follow", "--path", "webrtc")
    error = refused_without("aiortc", "lichen", *arguments, folder=tmp_path)
    assert (error["type"], error["hint"]) == ("ConfigError", "pip install 'lichen[webrtc]'")


@pytest.mark.parametrize("package", ["uvicorn", "starlette"])
def test_the_notes_application_names_what_is_missing_and_makes_nothing(tmp_path: Path, package: str) -> None:
    error = refused_without(package, "lichen_notes", "--store", "a.db", folder=tmp_path)
    assert package in error["message"]
    assert (error["type"], error["hint"]) == ("ConfigError", "pip install 'lichen[demo]'")
    assert list(tmp_path.iterdir()) == []


async def test_a_process_of_a_replay_that_says_nothing_is_named() -> None:
    silent = Process("the relay", "code", "-q")  # the interpreter as a program: it waits for what is typed
    await silent.start()
    with pytest.raises(Unreachable, match=r"the relay said nothing for 0\.1 s"):
        await silent.line(0.1)
    await silent.stop()


async def test_an_other_process_that_ends_is_said_to_have(tmp_path: Path) -> None:
    absent = Process("the relay", "lichen.no_such_module")
    await absent.start()
    with pytest.raises(LinkBroken, match="the relay ended early"):
        await absent.line(20)
    await absent.stop()
