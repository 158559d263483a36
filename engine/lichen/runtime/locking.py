"""A file that says which process holds a store, and that the system locks for as long as it does."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from lichen.errors import StoreLocked

PRIVATE = 0o600
"""The mode of every file made here."""

if sys.platform == "win32":
    import msvcrt

    KEPT_FROM_OTHERS = 0
    _LOCKED_AT = 1 << 30
    """What is locked there nobody else can read, so it lies far behind the process id."""

    def _lock(handle: int) -> None:
        os.lseek(handle, _LOCKED_AT, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error

else:
    import fcntl

    KEPT_FROM_OTHERS = os.O_CLOEXEC
    """A flag of files that programs which this one starts do not inherit, where they would."""

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


_held: set[int] = set()
"""The handles of what this process has locked."""


def _let_go() -> None:
    """In a forked process: it may live longer than the one that has the stores open, and would keep them locked."""
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


class StoreLock:
    """The lock file of a store, held by this process: it holds the process id, and is removed when it is released."""

    def __init__(self, path: Path) -> None:
        """Raises `StoreLocked` while another holds it, and `OSError`."""
        self._file = Path(f"{path}.lock")
        self._handle = self._take(path)
        _held.add(self._handle)
        with suppress(OSError):  # the lock holds without the process id too, where the disk is full
            os.ftruncate(self._handle, 0)
            os.lseek(self._handle, 0, os.SEEK_SET)
            os.write(self._handle, f"{os.getpid()}\n".encode())

    def _take(self, path: Path) -> int:
        while True:
            handle = os.open(self._file, os.O_RDWR | os.O_CREAT | KEPT_FROM_OTHERS, PRIVATE)
            try:
                _lock(handle)
                if self._is_current(handle):
                    return handle
            except BlockingIOError:
                raise _in_use(path, handle) from None
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)  # who held it before removed it between our two calls

    def _is_current(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), self._file.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let others use the store; nothing in a forked process."""
        if self._handle not in _held:
            return
        _held.remove(self._handle)
        with suppress(OSError):
            self._file.unlink()
        os.close(self._handle)
        if sys.platform == "win32":  # where a file that is open stays
            with suppress(OSError):
                self._file.unlink()


def _in_use(path: Path, handle: int) -> StoreLocked:
    os.lseek(handle, 0, os.SEEK_SET)
    holder = os.read(handle, 32).decode("ascii", errors="replace").strip() or "unknown"
    os.close(handle)
    if holder == str(os.getpid()):  # as where a cell of a notebook is run again
        return StoreLocked(f"the store {path} is open in this program already", hint="use that engine, or close() it")
    hint = "close that program, or use another store"
    return StoreLocked(f"the store {path} is in use by process {holder}", hint=hint)
