"""`lichen replay`: types a recorded editing trace on one device while another follows over a real path.

This process is the device that types. The relay and the follower are processes of their own, with their own stores in
a temporary folder; all talk over loopback.
"""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lichen.cli.options import JsonOption, VerboseOption, ending_at_once
from lichen.cli.output import Report, configure_logs, run


class LinkPath(StrEnum):
    """The path that the follower is on."""

    WEBSOCKET = "websocket"
    WEBRTC = "webrtc"


def replay(
    trace: Annotated[Path, typer.Argument(help="A sequential trace: JSON or gzipped JSON.", exists=False)],
    follow: Annotated[bool, typer.Option("--follow", help="Let a second device follow live.")] = False,
    path: Annotated[
        LinkPath, typer.Option("--path", help="websocket: through a relay; webrtc: direct.")
    ] = LinkPath.WEBSOCKET,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only so many transactions.")] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Type a recorded trace, one transaction for each recorded one, and measure; with --follow onto a second device."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        from lichen.testing.traces import load_trace

        with ending_at_once():  # on a thread it would be waited for
            loaded = load_trace(trace)
            if limit is not None:
                loaded = loaded.limited(limit)
        from lichen.cli.typist import type_trace

        with tempfile.TemporaryDirectory(prefix="lichen-replay-") as folder:
            result = await type_trace(loaded, Path(folder), path if follow else "", report)
        report.result(result)
        if not result["equal"]:
            raise typer.Exit(1)

    run(report, work)


def follower(store: str, ticket: str, document: str, path: str) -> None:
    """The second process of `lichen replay --follow`: joins, follows, and reports when it has reached given heads."""
    configure_logs(verbose=False)
    report = Report(as_json=True)

    async def work() -> None:
        from lichen.cli.follower import follow

        report.result(await follow(store, ticket, document, path))

    run(report, work)
