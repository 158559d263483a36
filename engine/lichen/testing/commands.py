"""Running the command line as a person's script does: a process of its own, `--json`, one object back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def lichen(
    folder: Path, *arguments: str, passphrase: str | None = "right", as_json: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, without any store or passphrase from outside; None for none at all."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LICHEN_")}
    return subprocess.run(
        [sys.executable, "-m", "lichen.cli", *arguments, *(["--json"] if as_json else [])],
        cwd=folder,
        env=environment | ({} if passphrase is None else {"LICHEN_PASSPHRASE": passphrase}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def done(folder: Path, *arguments: str, passphrase: str = "right") -> Any:
    """The one object that a command prints which succeeds."""
    result = lichen(folder, *arguments, passphrase=passphrase)
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def refused(folder: Path, *arguments: str, passphrase: str = "right") -> dict[str, str]:
    """The error of a command that fails as it should."""
    result = lichen(folder, *arguments, passphrase=passphrase)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    error: dict[str, str] = json.loads(result.stdout)["error"]
    assert set(error) == {"type", "message", "hint"}
    assert error["message"]
    assert error["hint"]
    return error
