"""What a database error means to us, and whom it concerns."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from enum import Enum, IntEnum
from pathlib import Path

import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy.exc import DBAPIError

from lichen.config import KIB
from lichen.errors import StoreDamaged, StoreError, StoreFull, StoreLocked, StoreReadOnly

FULL_BELOW_BYTES = 64 * KIB
"""An I/O error with less than this free is a full disk: SQLite names only some of them so."""


class Code(IntEnum):
    """Primary result codes of SQLite, from https://www.sqlite.org/rescode.html."""

    BUSY = 5
    LOCKED = 6
    READONLY = 8
    IOERR = 10
    CORRUPT = 11
    FULL = 13
    CANTOPEN = 14
    NOTADB = 26


class Scope(Enum):
    """Whom a failure concerns."""

    JOB = "job"
    """The one job that raised it."""
    CONNECTION = "connection"
    """That job; the connection cannot be used any more."""
    STORE = "store"
    """Everything that waits: a later job must not be kept when one before it was not."""
    LOST = "lost"
    """As `STORE`, and the connection cannot be used any more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of a job, as its caller is told."""

    error: BaseException
    scope: Scope


def failure_of(error: BaseException, path: Path) -> Failure:
    """What an exception in a job means. Errors that are not the database's are the job's own."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, sqlcipher.Error):
        return Failure(error, Scope.JOB)
    code = getattr(cause, "sqlite_errorcode", None) or 0
    failure = _failure(code & 0xFF, f"{path}: {cause}", path)
    failure.error.__cause__ = error
    return failure


def _failure(code: int, what: str, path: Path) -> Failure:
    match code:
        case Code.FULL:
            return _full(what)
        case Code.IOERR if _free_bytes(path) < FULL_BELOW_BYTES:
            return _full(what)
        case Code.IOERR:
            return Failure(StoreError(f"the disk failed at {what}", hint="look at the disk"), Scope.STORE)
        case Code.READONLY:
            return _read_only(what)
        case Code.CANTOPEN if not os.access(path.parent, os.W_OK):
            return _read_only(what)
        case Code.BUSY | Code.LOCKED:
            hint = "close the other program that uses this store"
            return Failure(StoreLocked(f"another program holds {what}", hint=hint), Scope.STORE)
        case Code.CORRUPT | Code.NOTADB:
            hint = "restore the store from a backup, or join its spaces again from another device"
            return Failure(StoreDamaged(f"a page does not verify in {what}", hint=hint), Scope.CONNECTION)
        case _:
            return Failure(StoreError(f"the store could not do it, {what}"), Scope.JOB)


def _full(what: str) -> Failure:
    return Failure(StoreFull(f"no space is left for {what}", hint="free some space, and try again"), Scope.STORE)


def _read_only(what: str) -> Failure:
    hint = "make the file and its folder writable"
    return Failure(StoreReadOnly(f"the store cannot be written, {what}", hint=hint), Scope.STORE)


def _free_bytes(path: Path) -> int:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return FULL_BELOW_BYTES
