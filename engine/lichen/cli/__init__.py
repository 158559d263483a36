"""The command `lichen`. This module loads nothing: from `main` on, Ctrl-C is ours."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from lichen.cli.interrupts import leave_at_once, open_streams

    leave_at_once()
    open_streams()
    from lichen.cli.commands import app

    app()
