"""Finding a store's file and key, and holding the file for this process alone.

Beside `notes.db` lie `notes.db.key`, the key file (see `lichen.crypto.passphrase`), and while the store is open
`notes.db.lock`, which names the process that holds it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from lichen.config import DEFAULT_LIMITS, Limits
from lichen.crypto.passphrase import FILE_BYTES, KEY_BYTES, plain_key, unwrap_key, wrap_key
from lichen.errors import ConfigError, NotFound, StoreDamaged, StoreError, StoreFull, StoreLocked, StoreReadOnly
from lichen.store import Store
from lichen.store.database import Durability

SCHEME = "sqlite:///"


def store_path(url: str) -> Path:
    """The file that a store's URL names. Raises `ConfigError`."""
    if not url.startswith(SCHEME) or len(url) == len(SCHEME):
        raise ConfigError(f"{url!r} is not the address of a store", hint="write sqlite:///FILE")
    path = Path(unquote(url[len(SCHEME) :])).expanduser()
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", hint="name a file in it")
    return path


def open_store(
    url: str,
    *,
    passphrase: str | None,
    create: bool = True,
    durability: Durability = "process",
    limits: Limits = DEFAULT_LIMITS,
) -> Store:
    """Open the store at `url` for this process; blocking.

    With no passphrase its key lies in a plain key file. Raises `NotFound`, `WrongPassphrase`, `StoreError`.
    """
    path = store_path(url)
    if not path.exists() and not create:
        raise NotFound(f"there is no store at {path}", hint="make one with: lichen init")
    try:
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock(path)
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        key = _key(path, passphrase)
        return Store.open(path, key, durability=durability, limits=limits, closed=lambda: _unlock(lock))
    except OSError as error:
        os.close(lock)
        raise _refusal(path, error) from error
    except BaseException:
        os.close(lock)
        raise


def _lock(path: Path) -> int:
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise StoreLocked(
            f"the store {path} is in use by process {holder}", hint="close that program, or use another store"
        ) from None
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        os.close(lock)
        raise
    return lock


def _unlock(lock: int) -> None:
    with suppress(OSError):
        os.close(lock)


def _key(path: Path, passphrase: str | None) -> bytes:
    file = Path(f"{path}.key")
    if file.exists():
        with file.open("rb") as opened:
            return unwrap_key(opened.read(FILE_BYTES + 1), passphrase)
    if path.exists() and path.stat().st_size:
        raise StoreDamaged(
            f"the store {path} is there, but not its key file {file}", hint="copy the key file together with the store"
        )
    key = os.urandom(KEY_BYTES)
    content = plain_key(key) if passphrase is None else wrap_key(key, passphrase, os.urandom(16))
    _write_durably(file, content)
    return key


def _write_durably(file: Path, content: bytes) -> None:
    """Write a file that is either there whole or not at all, readable to this user only."""
    temporary = Path(f"{file}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)
    temporary.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _refusal(path: Path, error: OSError) -> StoreError:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StoreFull(f"no space is left for the store {path}", hint="free some space, and try again")
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return StoreReadOnly(
                f"the store {path} cannot be written: {error.strerror}", hint="make the file and its folder writable"
            )
        case _:
            return StoreError(f"the store {path} cannot be used: {error.strerror}")
