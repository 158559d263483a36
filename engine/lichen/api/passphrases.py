"""Where a program that people start from a command line has a store's passphrase from."""

from __future__ import annotations

import os
import sys
from getpass import getpass

from lichen.errors import ConfigError

VARIABLE = "LICHEN_PASSPHRASE"
"""The environment variable that may hold it."""


def passphrase_of(url: str) -> str | None:
    """The passphrase of the store at `url`, for `Engine.open`; None for a store without one.

    It is what `LICHEN_PASSPHRASE` holds in the environment; otherwise it is asked for in the terminal, for a store that
    has one. A store that is to be made has one only if that variable is set. To be called before an event loop runs,
    which would wait for the answer too. Raises `ConfigError` where there is no terminal or no answer, and `StoreError`.
    """
    from lichen.runtime.unlock import needs_passphrase, store_path
    from lichen.runtime.unlock_postgres import is_postgres

    if VARIABLE in os.environ:
        return checked(os.environ[VARIABLE], VARIABLE)
    if not is_postgres(url) and not store_path(url).exists():
        return None
    return _asked() if needs_passphrase(url) else None


def checked(passphrase: str, source: str) -> str:
    """A passphrase that `source` holds. Raises `ConfigError` for an empty one."""
    if not passphrase:
        raise ConfigError(f"{source} holds an empty passphrase", hint="choose one of several words")
    return passphrase


def _asked() -> str:
    if sys.stdin is None or not sys.stdin.isatty():  # a program without a console has none
        raise ConfigError("the store's passphrase is needed", hint=f"set {VARIABLE}, or start this in a terminal")
    try:
        return checked(getpass("Passphrase: "), "the answer")
    except (EOFError, KeyboardInterrupt) as error:
        print(file=sys.stderr)  # which ends the prompt's line
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ConfigError("no passphrase was entered", hint=f"enter it, or set {VARIABLE}") from None
