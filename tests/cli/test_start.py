"""What a command loads before it runs: a person waits for that at every call."""

from __future__ import annotations

import json
import subprocess
import sys

import lichen
import pytest

HEAVY = {"aiortc", "alembic", "av", "click", "cryptography", "lichen_crdt", "sqlalchemy", "uvicorn", "websockets"}
"""What only some commands use. `click` is not among what the project depends on."""


def loaded(program: str, *arguments: str) -> set[str]:
    """The packages that a program has loaded when it ends."""
    told = (
        "import atexit, json, sys\natexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
    )
    command = [sys.executable, "-c", told + program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return {name.split(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


@pytest.mark.parametrize(
    "arguments", [("--version",), ("--help",), ("doc", "show", "--help"), ("relay", "--listen"), ("fly",)], ids=" ".join
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
        lichen.nothing  # type: ignore[attr-defined]  # noqa: B018
