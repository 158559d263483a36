"""A text in the person's own editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from lichen.errors import ConfigError

EDITOR = "vi"
"""What edits where neither VISUAL nor EDITOR is set."""


def edited(text: str) -> str:
    """The text as it was left in the editor. Raises `ConfigError` when it fails, or leaves the text as it was."""
    if not sys.stdin.isatty():
        raise ConfigError(
            "nothing to change was given, and there is no terminal for an editor",
            hint="use --text, --append or --title",
        )
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or EDITOR
    with tempfile.TemporaryDirectory(prefix="lichen-edit-") as folder:
        file = Path(folder) / "text.txt"
        file.write_text(text, encoding="utf-8", newline="")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True)
            found = file.read_bytes().decode()
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise ConfigError(f"the editor {editor} failed: {error}", hint="set EDITOR, or use --text") from None
    if not text.endswith("\n"):
        found = found.removesuffix("\n")  # most editors end the last line
    if found == text:
        raise ConfigError("the text was left as it was: nothing was changed", hint="save it, or use --text")
    return found
