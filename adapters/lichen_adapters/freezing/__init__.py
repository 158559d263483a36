"""lichen in programs that PyInstaller freezes: it finds these hooks by itself, through an entry point.

They are files named `hook-MODULE.py`, which PyInstaller runs when a program imports that module.
"""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Where the hooks are: what PyInstaller asks for."""
    return [str(Path(__file__).parent)]
