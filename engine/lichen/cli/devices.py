"""`lichen init` and `lichen id`."""

from __future__ import annotations

from lichen.cli.options import JsonOption, PassphraseFileOption, StoreOption, VerboseOption, opened
from lichen.cli.output import Report, configure_logs, run


def init(
    store: StoreOption = "",
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a store with a new device in it. A store that is there already is left as it is."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with opened(store, passphrase_file, create=True) as engine:
            report.result({"device": engine.device.hex(), "store": store})

    run(report, work)


def show_id(
    store: StoreOption = "",
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Print this device's key: its peer id."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with opened(store, passphrase_file) as engine:
            report.result({"device": engine.device.hex()})

    run(report, work)
