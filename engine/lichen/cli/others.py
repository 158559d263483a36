"""Commands of other packages: `lichen NAME` is the Typer application that an entry point of this name stands for.

They are looked for when a command is not one of ours, and for the list of all.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from lichen.cli.output import line, stderr

GROUP = "lichen.commands"

Context = Any  # Any: Typer gives neither this nor commands a public name
Command = Any


class Commands(TyperGroup):
    """Our commands and those of others; ours come first."""

    def list_commands(self, ctx: Context) -> list[str]:
        """The names of all."""
        ours = super().list_commands(ctx)
        return [*ours, *sorted(entry_points(group=GROUP).names - {*ours})]

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """The command of a name; one that cannot be loaded is told, and none."""
        ours = super().get_command(ctx, cmd_name)
        return self._of_others(cmd_name) if ours is None else ours

    def _of_others(self, name: str) -> Command | None:
        for entry in entry_points(group=GROUP, name=name):
            try:
                found = get_command(entry.load())
            except Exception as error:
                stderr.print(f"[yellow]the command {line(name)} cannot be loaded: {line(str(error))}[/yellow]")
            else:
                found.name = name
                return found
        return None
