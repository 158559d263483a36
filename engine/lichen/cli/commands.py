"""The commands of `lichen`.

A command loads the engine when it runs: help, the version and wrong usage need none of it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from lichen.cli import devices, documents, nodes, replay, spaces
from lichen.cli.others import Commands

app = typer.Typer(
    name="lichen",
    cls=Commands,
    help="Data on its users' own devices: offline, merging, encrypted, with no server that owns it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"lichen {version('lichen')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Data on its users' own devices: offline, merging, encrypted, with no server that owns it."""


app.command("init")(devices.init)
app.command("id")(devices.show_id)
app.add_typer(spaces.app, name="space")
app.add_typer(documents.app, name="doc")
app.command("invite")(nodes.invite)
app.command("join")(nodes.join)
app.command("serve")(nodes.serve)
app.command("sync")(nodes.sync)
app.command("relay")(nodes.relay)
app.command("replay")(replay.replay)
app.command("replay-follower", hidden=True)(replay.follower)
