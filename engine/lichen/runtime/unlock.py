"""Finding a store's file and key, and holding the file for this process alone.

Beside `notes.db` lie `notes.db.key`, the key file (see `lichen.crypto.passphrase`), and while the store is open
`notes.db.lock`, which names the process that holds it.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.parse import unquote

from lichen.config import DEFAULT_LIMITS, Limits
from lichen.crypto.passphrase import FILE_BYTES, KEY_BYTES, SALT_BYTES, is_plain, plain_key, unwrap_key, wrap_key
from lichen.errors import ConfigError, NotFound, StoreDamaged, StoreError, StoreFull, StoreReadOnly
from lichen.runtime.locking import KEPT_FROM_OTHERS, PRIVATE, StoreLock
from lichen.runtime.unlock_postgres import is_postgres, open_postgres
from lichen.store import Store
from lichen.store.backend import Durability
from lichen.wire.ticket import PREFIX

SCHEME = "sqlite:///"
LONG = 100
"""No ticket is so short."""
PLAIN_SQLITE = b"SQLite format 3\x00"
"""How an unencrypted SQLite file begins; a SQLCipher file begins with a random salt."""


def store_path(url: str) -> Path:
    """The file that a store's URL names, absolute, with links followed: one file has one lock. Raises `ConfigError`."""
    name = unquote(url[len(SCHEME) :]) if url.startswith(SCHEME) else ""
    if not name or name == ":memory:" or "\x00" in name:
        raise ConfigError(f"{url!r} is not the address of a store", hint="write sqlite:///FILE")
    path = Path(os.path.realpath(Path(name).expanduser()))
    with _told(path):
        if path.name.startswith(PREFIX) and len(path.name) > LONG:
            raise ConfigError("an invitation was given where a store is named", hint="name the store's file first")
        if path.exists() and not path.is_file():
            what = "folder" if path.is_dir() else "special file"
            raise ConfigError(f"{path} is a {what}", hint="name a file" if what != "folder" else "name a file in it")
    return path


def needs_passphrase(url: str) -> bool:
    """Whether the store at `url` is opened with a passphrase, or one that is made there should be.

    Raises `ConfigError` and `StoreError`, as `open_store`.
    """
    if is_postgres(url):
        return True
    path = store_path(url)
    file = Path(f"{path}.key")
    with _told(path):
        if not file.exists():
            return True
        with file.open("rb") as opened:
            return not is_plain(opened.read(FILE_BYTES + 1))


def open_store(
    url: str,
    *,
    passphrase: str | None,
    create: bool = True,
    durability: Durability = "process",
    limits: Limits = DEFAULT_LIMITS,
    clear_rows: bool = False,
) -> Store:
    """Open the store at `url` for this process alone; blocking. It never asks for anything.

    A store made in a file has its key wrapped under the passphrase; with none, it lies in a key file that only this
    user can read. One in PostgreSQL is opened by `open_postgres`, which alone needs `clear_rows`.
    Raises `ConfigError` for the URL, `NotFound` where there is no store and `create` does not hold, and `StoreError`:
    `WrongPassphrase`, `StoreLocked`, `StoreReadOnly`, `StoreFull`, `StoreDamaged`.
    """
    if is_postgres(url):
        return open_postgres(
            url, passphrase=passphrase, create=create, durability=durability, limits=limits, clear_rows=clear_rows
        )
    path = store_path(url)
    if not create:
        _check_is_there(path)
    with _told(path):
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        lock = StoreLock(path)
    try:
        with _told(path):
            key = _key(path, passphrase)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | KEPT_FROM_OTHERS, PRIVATE))
        return Store.open(path, key, durability=durability, limits=limits, closed=lock.release)
    except BaseException:
        lock.release()
        raise


def _check_is_there(path: Path) -> None:
    """SQLite would make a new store of an empty file. Raises `NotFound`, `StoreDamaged`."""
    if not path.exists():
        hint = "look at the path; a new one is made by a program that opens it with create=True, or by: lichen init"
        raise NotFound(f"there is no store at {path}", hint=hint)
    with _told(path):
        if not path.stat().st_size:
            what = f"the store {path} is empty: it was cut short, or its making was"
            raise StoreDamaged(what, hint="restore it from a backup, or make a new one with: lichen init")


def _key(path: Path, passphrase: str | None) -> bytes:
    file = Path(f"{path}.key")
    with path.open("rb") if path.exists() else nullcontext() as store:
        beginning = b"" if store is None else store.read(len(PLAIN_SQLITE))
    if beginning == PLAIN_SQLITE:
        raise StoreDamaged(f"{path} is a plain SQLite database, not a store", hint="name another file")
    if file.exists():
        with file.open("rb") as opened:
            return unwrap_key(opened.read(FILE_BYTES + 1), passphrase)
    if beginning:
        hint = "copy the key file together with the store"
        raise StoreDamaged(f"the store {path} is there, but its key file {file} is not", hint=hint)
    key = os.urandom(KEY_BYTES)
    _write_durably(file, plain_key(key) if passphrase is None else wrap_key(key, passphrase, os.urandom(SALT_BYTES)))
    return key


def _write_durably(file: Path, content: bytes) -> None:
    """Write a file that is either there whole or not at all, and that only this user can read."""
    temporary = Path(f"{file}.new")
    temporary.unlink(missing_ok=True)
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | KEPT_FROM_OTHERS, PRIVATE), "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if sys.platform != "win32":  # which has no such call
        folder = os.open(file.parent, os.O_RDONLY | KEPT_FROM_OTHERS)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into the error of ours that says so."""
    try:
        yield
    except OSError as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: OSError) -> StoreError:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StoreFull(f"no space is left for the store {path}", hint="free some space, and try again")
        case errno.EROFS | errno.EACCES | errno.EPERM:
            what = f"the store {path} cannot be written: {error.strerror}"
            return StoreReadOnly(what, hint="make the file and its folder writable")
        case _:
            hint = "name a file in a folder that can be written"
            return StoreError(f"the store {path} cannot be used: {error.strerror}", hint=hint)
