"""The command `lichen-notes`."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Annotated

import typer
from lichen.cli.interrupts import leave_at_once
from lichen.cli.options import JsonOption, PassphraseFileOption, VerboseOption, passphrase_of, store_url
from lichen.cli.output import Report, configure_logs, run, stdout
from lichen.errors import ConfigError, Unreachable

if TYPE_CHECKING:
    from lichen import Engine

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def notes(
    store: Annotated[str, typer.Option("--store", envvar="LICHEN_STORE", help="The device's store.", metavar="FILE")],
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="The page's port (0: any).")] = 0,
    relay: Annotated[
        list[str] | None, typer.Option("--relay", help="Dial this relay, now and after a restart.", metavar="URL")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What you are called.")] = "",
    host: Annotated[str, typer.Option("--host", help="The page's address.")] = "127.0.0.1",
    direct: Annotated[bool, typer.Option("--direct/--no-direct", help="Open direct WebRTC paths.")] = True,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Serve the notes of this device on a page that only this computer can open."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        from lichen import Engine

        try:
            from lichen_notes.desk import Desk
            from lichen_notes.serving import serve
        except ImportError as error:
            raise ConfigError(
                f"the notes application needs a package that is not here: {error.name}",
                hint="pip install 'lichen[demo]'",
            ) from error

        def ready(url: str) -> None:
            value = {"url": url, "device": engine.device.hex(), "relays": relay or []}
            report.result(value, lambda: stdout.print(f"Open [bold]{url}[/bold]", soft_wrap=True))

        listening = _listen(host, port)
        url = store_url(store)
        async with Engine.open(url, passphrase=passphrase_of(url, passphrase_file, create=True)) as engine:
            for address in relay or ():
                await engine.connect(address, remember=True)
            await engine.connect_remembered()
            if direct:
                _use_direct(engine, report)
            await serve(Desk(engine, name), host, listening, ready)

    run(report, work)


def _use_direct(engine: Engine, report: Report) -> None:
    try:
        engine.use_direct()
    except ConfigError as error:
        report.note(f"no direct paths: {error}")


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise Unreachable(
            f"the page cannot be served at {host}:{port}: {error.strerror}", hint="try another --port"
        ) from error


def main() -> None:
    """Run the command line."""
    leave_at_once()
    app()
