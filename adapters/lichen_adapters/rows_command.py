"""`lichen rows ...`, an entry point of `lichen.commands`. A command loads the adapter when it runs."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from lichen.cli.options import JsonOption, PassphraseFileOption, StoreOption, VerboseOption, opened
from lichen.cli.output import Report, configure_logs, line, run, stdout
from lichen.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy.orm import DeclarativeBase

    from lichen_adapters.orm import Report as Found

app = typer.Typer(help="Rows of an application beside the documents in which they lie.", no_args_is_help=True)

HINT = "write module:name, of a module that imports all models, such as myapp.models:Base"


@app.callback()
def rows() -> None:
    """Rows of an application beside the documents in which they lie."""


@app.command("check")
def check(
    base: Annotated[str, typer.Argument(help="The declarative base of the application.", metavar="MODULE:NAME")],
    store: StoreOption = "",
    repair: Annotated[
        bool, typer.Option("--repair", help="Make rows what documents say. What was written past the engine is lost.")
    ] = False,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Compare every synced row with its document, and change nothing without --repair. Ends with 1 if any differs."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> bool:
        from lichen_adapters.orm import Sessions
        from lichen_adapters.orm import check as check_rows

        models = _base_of(base)
        async with opened(store, passphrase_file, clear_rows=True) as engine:
            sessions = Sessions(engine, models)
            try:
                if not sessions.plan.tables:
                    raise ConfigError(f"{base} has no synced classes", hint=HINT)
                found = await asyncio.to_thread(check_rows, sessions, repair=repair)
            finally:
                sessions.close()
        report.result(_described(found), lambda: _show(found))
        return found.ok

    if not run(report, work):
        raise typer.Exit(1)


def _base_of(where: str) -> type[DeclarativeBase]:
    """The base that is named. Raises `ConfigError`."""
    from sqlalchemy.orm import registry

    module, _, name = where.partition(":")
    if not module or not name:
        raise ConfigError(f"{where!r} names no declarative base", hint=HINT)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)  # Any: a module of the application
    except Exception as error:
        raise ConfigError(f"{module} cannot be imported: {error}", hint="run this where the program runs") from error
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type) or not isinstance(getattr(found, "registry", None), registry):
        raise ConfigError(f"{where} is no declarative base", hint=HINT)
    return found


def _described(found: Found) -> dict[str, Any]:
    """What was found, as JSON."""
    return {
        "documents": found.documents,
        "schema": list(found.schema),
        "wrong": found.wrong,
        "rows": [
            {"table": one.table, "row": [str(key) for key in one.row], "wrong": one.wrong, "columns": list(one.columns)}
            for one in found.rows
        ],
        "repaired": found.repaired,
        "ok": found.ok,
    }


def _show(found: Found) -> None:
    for words in found.schema:
        stdout.print(f"[yellow]{line(words)}[/yellow]", soft_wrap=True)
    for one in found.rows:
        keys, columns = "-".join(map(str, one.row)), ", ".join(one.columns)
        stdout.print(line(f"{one.table} {keys} is {one.wrong}{': ' if columns else ''}{columns}"), soft_wrap=True)
    if found.wrong > len(found.rows):
        stdout.print(f"... and {found.wrong - len(found.rows)} more", soft_wrap=True)
    done = ", and were made so" if found.repaired and found.wrong else ""
    stdout.print(
        f"{found.documents} documents were compared; {found.wrong} rows were not what they say{done}", soft_wrap=True
    )
