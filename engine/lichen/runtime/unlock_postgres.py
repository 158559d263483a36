"""Opening a store in a PostgreSQL database. Its key lies in the database, wrapped under a passphrase."""

from __future__ import annotations

import os

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from lichen.config import Limits
from lichen.crypto.passphrase import KEY_BYTES, SALT_BYTES, unwrap_key, wrap_key
from lichen.errors import ConfigError, NotFound
from lichen.store import Store
from lichen.store.backend import Durability

DRIVERS = ("postgresql", "postgresql+psycopg")


def is_postgres(url: str) -> bool:
    """Whether a URL is meant for PostgreSQL."""
    return url.startswith(("postgresql", "postgres:"))


def open_postgres(
    url: str, *, passphrase: str | None, create: bool, durability: Durability, limits: Limits, clear_rows: bool
) -> Store:
    """Open the store in the database at `url` for this process alone; blocking.

    `clear_rows` says that the tables of the application may lie there in the clear.
    Raises `ConfigError`, `NotFound` where there is no store and `create` does not hold, and `StoreError`.
    """
    address = _address(url)
    if not clear_rows:
        raise ConfigError(
            "a PostgreSQL database is not encrypted: what an application has in tables there lies in the clear",
            hint="say clear_rows=True if it may, or use a store on SQLite",
        )
    if passphrase is None:
        raise ConfigError("a store in PostgreSQL needs a passphrase: its key lies in the database, wrapped under it")
    words = passphrase

    def unlock(wrapped: bytes | None) -> tuple[bytes, bytes]:
        if wrapped is not None:
            return unwrap_key(wrapped, words), wrapped
        if not create:
            raise NotFound("there is no store in this database", hint="open it with create=True")
        key = os.urandom(KEY_BYTES)
        return key, wrap_key(key, words, os.urandom(SALT_BYTES))

    try:
        from lichen.store.postgres import PostgresDatabase
    except ImportError as error:
        hint = 'install it: pip install "lichen[postgres]"'
        raise ConfigError("a store in PostgreSQL needs the driver psycopg", hint=hint) from error
    return Store(PostgresDatabase(address, unlock, durability), limits=limits)


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise ConfigError("this is not the address of a database", hint=_HINT) from error
    if address.drivername not in DRIVERS or not address.database:
        raise ConfigError(f"{address.render_as_string()} is not the address of a store", hint=_HINT)
    return address


_HINT = "write postgresql://USER:PASSWORD@HOST/DATABASE"
