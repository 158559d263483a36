"""`lichen space ...`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lichen.cli.names import SHORT, find_space
from lichen.cli.options import JsonOption, PassphraseFileOption, StoreOption, VerboseOption, opened
from lichen.cli.output import Report, configure_logs, line, run, stdout
from lichen.errors import ConfigError

if TYPE_CHECKING:
    from lichen.api.space import Space

app = typer.Typer(help="Spaces: the unit of membership and keys.", no_args_is_help=True)


def describe(space: Space) -> dict[str, Any]:
    """A space as JSON."""
    return {
        "id": space.id.hex(),
        "name": space.name,
        "role": None if space.role is None else space.role.name.lower(),
        "members": [
            {
                "id": member.id.hex(),
                "name": member.name,
                "role": member.role.name.lower(),
                "devices": [device.hex() for device in member.devices],
            }
            for member in space.members()
        ],
    }


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What its members will call it.")],
    store: StoreOption = "",
    me: Annotated[str, typer.Option("--name", help="What you are called in it.")] = "",
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Begin a space. Its recovery key is shown this once, and kept nowhere."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with opened(store, passphrase_file) as engine:
            space = await engine.create_space(name, member_name=me)
            value = {**describe(space), "recovery_key": space.recovery_key}
            report.result(value, lambda: _show_created(space))

    run(report, work)


def _show_created(space: Space) -> None:
    stdout.print(f"[bold]{line(space.name)}[/bold]  {space.id.hex()}", soft_wrap=True)
    stdout.print("\nThe recovery key, shown this once. Write it down and keep it offline:\n")
    stdout.print(f"  [bold]{space.recovery_key}[/bold]\n", soft_wrap=True)


@app.command("list")
def list_spaces(
    store: StoreOption = "",
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """The spaces on this device."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with opened(store, passphrase_file) as engine:
            spaces = engine.spaces
            report.result({"spaces": [describe(space) for space in spaces]}, lambda: _show_list(spaces))

    run(report, work)


def _show_list(spaces: list[Space]) -> None:
    from rich.table import Table

    table = Table("space", "name", "your role", "members")
    for space in spaces:
        role = "none" if space.role is None else space.role.name.lower()
        table.add_row(space.id.hex()[:SHORT], line(space.name), role, str(len(space.members())))
    stdout.print(table)


@app.command("show")
def show(
    space: Annotated[str | None, typer.Argument(help="Id, beginning of an id, or name.")] = None,
    store: StoreOption = "",
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """One space and its members."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with opened(store, passphrase_file) as engine:
            found = find_space(engine, space)
            report.result(describe(found), lambda: _show_one(found))

    run(report, work)


@app.command("leave")
def leave(
    space: Annotated[str, typer.Argument(help="Id, beginning of an id, or name.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    store: StoreOption = "",
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Take a space off this device, with all its documents. Who is in it still lists you."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with opened(store, passphrase_file) as engine:
            found = find_space(engine, space)
            name, space_id = found.name, found.id.hex()
            count = len(await found.documents())
            if not yes:
                _ask_for(f"Take {line(name)} and its {count} documents off this device?")
            await found.leave()
            report.result({"left": space_id, "documents": count}, lambda: stdout.print(f"left {line(name)}"))

    run(report, work)


def _ask_for(question: str) -> None:
    if not sys.stdin.isatty() or not typer.confirm(question, err=True):
        raise ConfigError("the space was not left", hint="say --yes")


def _show_one(space: Space) -> None:
    from rich.table import Table

    stdout.print(f"[bold]{line(space.name)}[/bold]  {space.id.hex()}", soft_wrap=True)
    table = Table("member", "name", "role", "devices")
    for member in space.members():
        devices = ", ".join(device.hex()[:SHORT] for device in member.devices)
        table.add_row(member.id.hex()[:SHORT], line(member.name), member.role.name.lower(), devices)
    stdout.print(table)
