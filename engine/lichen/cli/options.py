"""The options that commands share, and opening the store that they name."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lichen.api.passphrases import VARIABLE, checked
from lichen.cli.interrupts import TERMINATED
from lichen.errors import ConfigError

if TYPE_CHECKING:
    from lichen.api.engine import Engine

PASSPHRASE_BYTES = 4 * 1024
"""Largest passphrase file."""
LONGEST_S = 86_400.0
"""Longest that a command waits for others."""

StoreOption = Annotated[
    str,
    typer.Option("--store", envvar="LICHEN_STORE", help="The store: sqlite:///FILE, or just a file.", metavar="URL"),
]
PassphraseFileOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", help="Read the passphrase from this file (default: LICHEN_PASSPHRASE, or a prompt)."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens to stderr.")]
ConnectOption = Annotated[
    list[str] | None,
    typer.Option("--connect", "-c", help="Dial this address, a relay's or a device's (repeatable).", metavar="URL"),
]


def store_url(store: str) -> str:
    """The URL of a store that may be given as a file."""
    if not store:
        raise ConfigError("no store was named", hint="give --store sqlite:///FILE, or set LICHEN_STORE")
    return store if "://" in store else f"sqlite:///{store.replace('%', '%25')}"


def is_new(url: str) -> bool:
    """Whether a store is about to be made. Raises `ConfigError` for a URL of none."""
    from lichen.runtime.unlock import store_path

    return not store_path(url).exists()


def passphrase_of(url: str, file: Path | None, *, create: bool = False) -> str | None:
    """The passphrase of a store, as `passphrase_for` finds it; nobody is asked for that of a store without one.

    Raises `ConfigError` and `StoreError`.
    """
    from lichen.runtime.unlock import needs_passphrase

    given = file is not None or VARIABLE in os.environ
    return passphrase_for(file, confirm=create and is_new(url)) if given or needs_passphrase(url) else None


def passphrase_for(file: Path | None, *, confirm: bool = False) -> str:
    """The passphrase: from a file, else from LICHEN_PASSPHRASE, else from a prompt on a terminal.

    Raises `ConfigError` when there is none.
    """
    if file is not None:
        return _from_file(file)
    if VARIABLE in os.environ:
        return checked(os.environ[VARIABLE], VARIABLE)
    if not sys.stdin.isatty():
        raise ConfigError(
            "the store's passphrase is needed", hint="set LICHEN_PASSPHRASE, give --passphrase-file, or use a terminal"
        )
    with ending_at_once():
        return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """Let SIGINT and SIGTERM end what holds up the loop, which would take them to its next turn."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def _terminate(_number: int, _frame: object) -> None:
    raise SystemExit(TERMINATED)


def _from_file(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(PASSPHRASE_BYTES + 1)
        if len(data) > PASSPHRASE_BYTES:
            raise ConfigError(
                f"{file} is larger than {PASSPHRASE_BYTES} bytes: not a passphrase", hint="name another file"
            )
        return checked(data.decode().rstrip("\r\n"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the passphrase file {file} cannot be read: {error}", hint="name another file") from error


@contextlib.asynccontextmanager
async def opened(
    store: str, passphrase_file: Path | None, *, create: bool = False, clear_rows: bool = False
) -> AsyncIterator[Engine]:
    """The engine of a store; with `clear_rows` it may lie in PostgreSQL. Raises `StoreError`, `ConfigError`."""
    url = store_url(store)
    from lichen.api.engine import Engine

    passphrase = passphrase_of(url, passphrase_file, create=create)
    async with Engine.open(url, passphrase=passphrase, create=create, clear_rows=clear_rows) as engine:
        yield engine
