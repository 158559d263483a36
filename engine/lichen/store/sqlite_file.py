"""A store in a SQLCipher file, under a raw 32-byte key, in WAL mode.

Sources: https://www.sqlite.org/wal.html, https://www.zetetic.net/sqlcipher/sqlcipher-api/.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool, Pool, QueuePool

from lichen.errors import ConfigError, StoreDamaged
from lichen.store import strangers
from lichen.store.backend import Durability
from lichen.store.failure import Failure, failure_of
from lichen.store.migrate import migrate

PAGE_BYTES = 4_096
"""SQLCipher's page, of which a store has at least one."""
BUSY_MS = 5_000
CACHE_KIB = 16 * 1024
STATEMENTS = 512
"""So many a connection keeps compiled. Of more it compiles anew each time those that it met last."""
WAL_KEPT_BYTES = 16 * 1024 * 1024
"""A write-ahead log that a burst made longer is cut to this."""

_SETTINGS: dict[str, tuple[str, ...]] = {
    # WAL with NORMAL leaves a commit with the kernel, which outlives the process, and waits for no disk.
    "process": ("synchronous = NORMAL",),
    "power": ("synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON"),
}

for _kind, _taken in ((bytes, bytes), (bool, int), (type(None), lambda none: none)):
    # The driver takes these as they are, but looks first for who would adapt them: a microsecond for each value.
    sqlcipher.register_adapter(_kind, _taken)


class SqliteFile:
    """A `lichen.store.backend.Backend`."""

    begin_read = "BEGIN"
    begin_write = "BEGIN IMMEDIATE"

    def __init__(self, path: Path, key: bytes, durability: Durability) -> None:
        """Open or make the file, and bring its schema up to date.

        Raises `StoreError`, and `ConfigError` for another durability.
        """
        if durability not in _SETTINGS:
            raise ConfigError(f"there is no durability {durability!r}", hint="it is process or power")
        if 0 < _size_bytes(path) < PAGE_BYTES:  # SQLite would take it for an empty database
            raise StoreDamaged(f"{path} is no store, or was cut short", hint="name another file, or restore it")
        self._path = path
        self._key = key
        self._durability = durability
        self._engine = _engine(path, key, durability)
        try:
            with self._engine.connect() as conn:
                migrate(conn)
        except Exception as error:
            raise self.failure(error).error from error
        self._file = strangers.opened(path)

    @property
    def name(self) -> str:
        """The file."""
        return str(self._path)

    def connect(self) -> Connection:
        """A connection of the store's own."""
        return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def session_engine(self) -> Engine:
        """An engine for sessions of the application."""
        return _engine(self._path, self._key, self._durability, QueuePool)

    def for_event_loop(self) -> Callable[[], Any]:
        """What makes connections of the driver, sqlcipher3."""
        return partial(_connection, self._path, self._key, self._durability)

    def failure(self, error: BaseException) -> Failure:
        """What an exception in a job means."""
        return failure_of(error, self._path)

    def size_bytes(self) -> int:
        """Bytes of the database and its write-ahead log."""
        return sum(_size_bytes(Path(f"{self._path}{suffix}")) for suffix in ("", "-wal"))

    def close(self) -> None:
        """SQLite has folded the log when the last connection closed."""
        self._engine.dispose()
        strangers.closed(self._file)


def _settings(durability: Durability) -> tuple[str, ...]:
    return (
        "cipher_log_level = NONE",  # errors are raised; they need no line on stderr too
        f"busy_timeout = {BUSY_MS}",
        "journal_mode = WAL",
        f"journal_size_limit = {WAL_KEPT_BYTES}",
        *_SETTINGS[durability],
        f"cache_size = -{CACHE_KIB}",
        "temp_store = MEMORY",
        "foreign_keys = ON",  # for tables of applications; the own ones have none
        "recursive_triggers = ON",  # else INSERT OR REPLACE hides what it deletes
    )


def _connection(path: Path, key: bytes, durability: Durability) -> Any:
    made = _opened(path, key)
    for setting in _settings(durability):
        made.execute(f"PRAGMA {setting}")
    return made


def _opened(path: Path, key: bytes) -> Any:
    made = sqlcipher.connect(
        str(path), factory=_Connection, check_same_thread=False, isolation_level=None, cached_statements=STATEMENTS
    )
    made.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    return made


class _Connection(sqlcipher.Connection):  # type: ignore[misc]  # it has no types
    """Closes its cursors when it rolls back, as what is put back into a pool does.

    The driver resets what they read, and leaves them the compiled statement. To give such a cursor up resets it once
    more, and who reads by the same statement meanwhile gets all rows from the first on again.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._cursors: WeakSet[sqlcipher.Cursor] = WeakSet()

    def cursor(self, *factory: Any) -> sqlcipher.Cursor:
        """A cursor."""
        made = super().cursor(*factory)
        self._cursors.add(made)
        return made

    def rollback(self) -> None:
        """Roll back, if a transaction has begun."""
        super().rollback()
        for cursor in [*self._cursors]:
            cursor.close()
        self._cursors.clear()


def _engine(path: Path, key: bytes, durability: Durability, pool: type[Pool] = NullPool) -> Engine:
    # Not by the dialect for SQLCipher, which gives the key only after what listens to all engines of the application.
    opened = partial(_opened, path, key)
    url = URL.create("sqlite+pysqlite", database=str(path))
    engine = create_engine(url, module=sqlcipher, creator=opened, poolclass=pool)

    def set_up(connection: Any, _record: object) -> None:
        for setting in _settings(durability):
            connection.execute(f"PRAGMA {setting}")

    event.listen(engine, "connect", set_up)
    return engine


def _size_bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
