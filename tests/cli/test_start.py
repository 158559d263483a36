"""What a command loads before it runs: a person waits for that at every call."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import lichen
import pytest

INTERRUPTED = """
import atexit, os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == MOMENT:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
if MOMENT == "the end":
    atexit.register(os.kill, os.getpid(), signal.SIGINT)
from lichen.cli import main
main()
"""
"""A program that gets Ctrl-C when it loads a certain module, or as Python ends."""
HEAVY = {"aiortc", "alembic", "av", "click", "cryptography", "lichen_crdt", "sqlalchemy", "uvicorn", "websockets"}
"""What only some commands use. `click` is not among what the project depends on."""


def run(program: str, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def loaded(program: str, *arguments: str) -> set[str]:
    """The packages that a program has loaded when it ends."""
    told = (
        "import atexit, json, sys\natexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
    )
    return {name.split(".")[0] for name in json.loads(run(told + program, *arguments).stderr.splitlines()[-1])}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("--help",),
        ("doc", "show", "--help"),
        ("relay", "--listen"),
        ("fly",),
        ("rows", "check", "--help"),
    ],
    ids=" ".join,
)
def test_what_needs_no_store_starts_without_the_engine(arguments: tuple[str, ...]) -> None:
    found = loaded("from lichen.cli import main\nmain()", *arguments)
    assert "typer" in found
    assert found & HEAVY == set()


def test_the_engine_loads_neither_transports_nor_migrations() -> None:
    found = loaded("import lichen\nlichen.Engine")
    assert found & HEAVY == {"cryptography", "lichen_crdt", "sqlalchemy"}


def test_every_name_of_the_package_is_there_and_no_other() -> None:
    assert {getattr(lichen, name).__name__ for name in lichen.__all__} == set(lichen.__all__)
    assert set(lichen.__all__) <= set(dir(lichen))
    with pytest.raises(AttributeError, match="nothing"):
        lichen.nothing  # type: ignore[attr-defined]  # noqa: B018  # reading it is the test


@pytest.mark.parametrize("moment", ["lichen.cli.commands", "typer", "rich.console", "lichen.api.engine", "sqlalchemy"])
def test_ctrl_c_while_a_command_loads_ends_it_in_silence(folder: Path, moment: str) -> None:
    (folder / "word").write_text("right")
    arguments = ("id", "--store", "a.db", "--passphrase-file", "word")
    done = run(INTERRUPTED.replace("MOMENT", repr(moment)), *arguments, folder=folder)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_after_a_command_is_done_ends_it_in_silence(folder: Path) -> None:
    (folder / "word").write_text("right")
    arguments = ("id", "--store", "a.db", "--passphrase-file", "word", "--json")
    done = run(INTERRUPTED.replace("MOMENT", repr("the end")), *arguments, folder=folder)
    assert (done.returncode, done.stderr) == (130, "")
    assert json.loads(done.stdout)["device"]
