"""`lichen invite`, `join`, `serve`, `sync` and `relay`: what needs other nodes."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lichen.cli.names import find_space
from lichen.cli.options import (
    LONGEST_S,
    ConnectOption,
    JsonOption,
    PassphraseFileOption,
    StoreOption,
    VerboseOption,
    opened,
    passphrase_for,
    store_url,
)
from lichen.cli.output import Report, configure_logs, line, run, stderr, stdout
from lichen.cli.spaces import describe
from lichen.errors import ConfigError, Unreachable

if TYPE_CHECKING:
    import asyncio

    from lichen.api.engine import Engine
    from lichen.runtime.connections import Connection

PATIENCE_S = 1.5
"""So long nobody asks why a command says nothing."""


class InviteRole(StrEnum):
    """What an invited person may do."""

    READER = "reader"
    WRITER = "writer"


class InviteMode(StrEnum):
    """Who answers a ticket: `auto` is the issuing device, unattended."""

    AUTO = "auto"


ListenOption = Annotated[
    str | None, typer.Option("--listen", help="Accept links at this address (port 0: any).", metavar="URL")
]
DirectOption = Annotated[bool, typer.Option("--direct/--no-direct", help="Open direct WebRTC paths where possible.")]


async def go_online(engine: Engine, connect: list[str] | None, *, direct: bool) -> None:
    """Dial what was named and what is remembered; allow direct paths when their transport is installed."""
    for url in connect or ():
        await engine.connect(url, remember=True)
    await engine.connect_remembered()
    if direct:
        with contextlib.suppress(ConfigError):
            engine.use_direct()


@contextlib.asynccontextmanager
async def interruptible() -> AsyncIterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set."""
    import asyncio

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, stop.set)
                stack.callback(loop.remove_signal_handler, number)
            except NotImplementedError:  # Windows has no signal handlers on the loop
                before = signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
                stack.callback(signal.signal, number, before)
        yield stop


def invite(
    space: Annotated[str | None, typer.Argument(help="Id, beginning of an id, or name.")] = None,
    store: StoreOption = "",
    role: Annotated[InviteRole, typer.Option("--role", help="What whoever joins with it may do.")] = InviteRole.WRITER,
    hours: Annotated[float, typer.Option("--hours", min=0.01, max=8_760, help="How long it is good for.")] = 24.0,
    uses: Annotated[int, typer.Option("--uses", min=1, max=1_000, help="How many may join with it.")] = 1,
    mode: Annotated[
        InviteMode, typer.Option("--mode", help="auto: answered by this device unattended.")
    ] = InviteMode.AUTO,
    hint: Annotated[
        list[str] | None, typer.Option("--hint", help="Where to find this device (default: what it connects to).")
    ] = None,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a ticket. It is answered while this device runs `lichen serve`; a relay keeps requests until then."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        from lichen.wire.operation import Role

        async with opened(store, passphrase_file) as engine:
            found = find_space(engine, space)
            hints = hint if hint is not None else await engine.remembered()
            ticket = await found.invite(
                mode=mode.value,
                role=Role[role.name],
                expires=timedelta(hours=hours),
                uses=uses,
                hints=hints,
            )
            if not hints:
                report.warn("the ticket names no address: make it after the first sync, or give --hint URL")
            report.result({"ticket": ticket, "space": found.id.hex()}, lambda: print(ticket))

    run(report, work)


def join(
    ticket: Annotated[str, typer.Argument(help="The ticket.")],
    store: StoreOption = "",
    name: Annotated[str, typer.Option("--name", help="What you want to be called.")] = "",
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, max=LONGEST_S, help="Seconds to wait for who invited you.")
    ] = 120.0,
    connect: ConnectOption = None,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Join a space with a ticket. The store is made when it is not there."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        from lichen.wire.ticket import Ticket

        Ticket.parse(ticket)  # before a store is made for it
        async with opened(store, passphrase_file, create=True) as engine:
            await go_online(engine, connect, direct=False)
            with stderr.status("waiting for who invited you") as status:
                joining = engine.join(
                    ticket, name=name, timeout_s=timeout, progress=lambda now: status.update(line(str(now)))
                )
                space = await joining
                await _served(engine, timeout, report)
            report.result(describe(space), lambda: stdout.print(f"joined [bold]{line(space.name)}[/bold]"))

    run(report, work)


def serve(
    store: StoreOption = "",
    listen: ListenOption = None,
    connect: ConnectOption = None,
    direct: DirectOption = True,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Keep this device online until Ctrl-C: it syncs, and answers its tickets."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        import asyncio

        async with opened(store, passphrase_file) as engine, interruptible() as stop:
            address = await engine.listen(listen) if listen else None
            await go_online(engine, connect, direct=direct)
            if not address and not engine.connections:
                raise ConfigError(
                    "no address to serve at is known", hint="name a relay with --connect URL, or --listen URL"
                )
            value = {
                "device": engine.device.hex(),
                "listening": address,
                "connecting": [connection.address for connection in engine.connections],
            }
            report.result(value, lambda: _show_serving(value))
            async with asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(_tell_paths(engine, report))
                await stop.wait()
                telling.cancel()

    run(report, work)


async def _tell_paths(engine: Engine, report: Report) -> None:
    """Say whenever an address is reached or lost, and what a peer refuses."""
    states: dict[str, str] = {}
    refused: set[str] = set()
    async with contextlib.aclosing(engine.events()) as events:
        while True:
            for dialled in engine.connections:
                if dialled.state != "connecting" and states.get(dialled.address) != dialled.state:
                    states[dialled.address] = dialled.state
                    _tell_state(dialled, report)
            for reason in sorted(set(engine.refusals) - refused):
                report.warn(f"refused: {reason}")
            refused.update(engine.refusals)
            await anext(events)


def _tell_state(dialled: Connection, report: Report) -> None:
    if dialled.state == "connected":
        report.note(f"[green]reached[/green]  {line(dialled.address)}")
    else:
        report.warn(f"not reached: {_away(dialled)}")


def _away(dialled: Connection) -> str:
    """An address, and how it stands there."""
    return f"{dialled.address}: {dialled.error.removeprefix(f'cannot reach {dialled.address}: ') or dialled.state}"


def _show_serving(value: dict[str, Any]) -> None:
    stdout.print(f"[bold]device[/bold]  {value['device']}", soft_wrap=True)
    for word, addresses in (("listening at", [value["listening"]]), ("dialling", value["connecting"])):
        for address in filter(None, addresses):
            stdout.print(f"[bold]{word}[/bold]  {line(address)}", soft_wrap=True)
    stdout.print("online until Ctrl-C", style="dim")


def sync(
    store: StoreOption = "",
    connect: ConnectOption = None,
    timeout: Annotated[float, typer.Option("--timeout", min=1, max=LONGEST_S, help="Seconds to try for.")] = 60.0,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Exchange everything with the relays this device knows, or those named, and end."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with opened(store, passphrase_file) as engine:
            await go_online(engine, connect, direct=False)
            if not engine.connections:
                raise ConfigError("no address to sync with is known", hint="name one with --connect URL")
            with stderr.status("exchanging change sets"):
                peers = await _served(engine, timeout, report)
            await engine.settled()
            for dialled in engine.unreached:
                report.warn(f"not reached: {_away(dialled)}")
            report.result(found := _synced(engine, peers), lambda: _show_synced(found))

    run(report, work)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _show_synced(found: dict[str, Any]) -> None:
    stdout.print(
        f"{_count(found['spaces'], 'space')} in sync with {_count(found['peers'], 'peer')}: "
        f"{found['bytes_sent']} bytes sent, {found['bytes_received']} received"
    )


async def _served(engine: Engine, timeout: float, report: Report) -> int:
    """Wait until each address that can be reached has all that we have, and we what it has; how many they are."""
    import asyncio

    telling = asyncio.create_task(_tell_unreached(engine, timeout, report))
    try:
        async with asyncio.timeout(timeout):
            async with contextlib.aclosing(engine.events()) as events:
                while not engine.reached_up_to_date:
                    await anext(events)
    except TimeoutError:
        reasons = [_away(dialled) for dialled in engine.connections] + engine.refusals
        hint = (
            "a relay's token is part of its address: ws://HOST?token=TOKEN"
            if engine.refusals
            else "is the relay running?"
        )
        raise Unreachable(f"not in sync after {timeout:g} s ({'; '.join(reasons)})", hint=hint) from None
    finally:
        telling.cancel()
    return len(engine.connections) - len(engine.unreached)


async def _tell_unreached(engine: Engine, timeout: float, report: Report) -> None:
    """Say to a person who has waited a while what for."""
    import asyncio

    await asyncio.sleep(PATIENCE_S)
    for dialled in engine.connections:
        if dialled.state != "connected" and not report.as_json:
            report.warn(f"not reached so far: {_away(dialled)}; it is tried for {timeout:g} s")


def _synced(engine: Engine, peers: int) -> dict[str, Any]:
    traffic = engine.traffic
    return {
        "spaces": len(engine.spaces),
        "peers": peers,
        "unreached": [address.address for address in engine.unreached],
        "bytes_sent": sum(sent for sent, _ in traffic.values()),
        "bytes_received": sum(received for _, received in traffic.values()),
    }


def relay(
    listen: Annotated[str, typer.Option("--listen", help="Accept links at this address (port 0: any).", metavar="URL")],
    store: Annotated[str, typer.Option("--store", help="The relay's store: sqlite:///FILE.", metavar="URL")],
    token: Annotated[
        str, typer.Option("--token", envvar="LICHEN_RELAY_TOKEN", help="What devices with new spaces must show.")
    ] = "",
    capture: Annotated[
        Path | None, typer.Option("--capture", help="Write all that crosses the relay into this folder (tests only).")
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option("--passphrase-file", help="Protect the store's key by the passphrase in this file.")
    ] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Run a relay until Ctrl-C. It holds no key to what it stores.

    Its store's own key is protected by a passphrase if one is given, else it lies in a file beside the store.
    """
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        from lichen.relay import Relay
        from lichen.runtime.transports import transport_for

        transport_for(listen)  # before a store is made for it
        passphrase = passphrase_for(passphrase_file) if passphrase_file is not None else None
        async with (
            Relay.open(store_url(store), passphrase=passphrase, token=token, capture=capture) as node,
            interruptible() as stop,
        ):
            address = await node.listen(listen)
            report.result({"listening": address, "device": node.device.hex(), "open": not token})
            await stop.wait()

    run(report, work)
