"""Keeps other SQLite libraries of this process away from the file of an open store.

POSIX releases all locks of a process on a file when any descriptor of it is closed; SQLite sees to that within one copy
of the library, and Python has another than SQLCipher's. So a connection of the other that closes would take the locks
from under the store, and the write-ahead log with it.
Source: https://www.sqlite.org/howtocorrupt.html, section 2.2.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy import Dialect, event
from sqlalchemy.engine import Engine

from lichen.errors import StoreLocked

_open: Counter[tuple[int, int]] = Counter()
"""The files of open stores, by device and inode."""


def opened(path: Path) -> tuple[int, int]:
    """Let no other library connect to this file until `closed` is called with what is returned."""
    found = path.stat()
    file = found.st_dev, found.st_ino
    _open[file] += 1
    return file


def closed(file: tuple[int, int]) -> None:
    """The store is closed."""
    _open[file] -= 1
    if not _open[file]:
        del _open[file]


@event.listens_for(Engine, "do_connect")
def _refuse(dialect: Dialect, _record: object, args: list[Any], options: dict[str, Any]) -> None:
    """Raises `StoreLocked` before a SQLAlchemy engine of another library opens the file."""
    if not _open or dialect.name != "sqlite" or dialect.loaded_dbapi is sqlcipher:
        return
    name = str(args[0] if args else options.get("database", ""))
    path = unquote(urlsplit(name).path) if name.startswith("file:") else name
    try:
        found = os.stat(path)  # any name may come
    except (OSError, ValueError):
        return
    if (found.st_dev, found.st_ino) in _open:
        raise StoreLocked(
            f"{path} is the store of an engine that is open: another connection would break it",
            hint="make sessions with Sessions(engine, Base), or close the engine first",
        )
