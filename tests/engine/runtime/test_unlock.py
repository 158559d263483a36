"""A store's URL, its key file and its lock: each thing that can be wrong is told, and nothing is changed."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from lichen.errors import (
    ConfigError,
    NotFound,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    WrongPassphrase,
)
from lichen.runtime.unlock import needs_passphrase, open_store, store_path
from lichen.store import Store, node

PASSPHRASE = "a long walk in the woods"


class SmallDisk(Protocol):
    folder: Path

    def fill(self) -> None: ...
    def free(self) -> None: ...


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


def write_and_close(store: Store, value: bytes = b"value") -> None:
    store.write(lambda conn: node.set_meta(conn, "name", value)).result()
    store.close()


def read_and_close(store: Store) -> bytes | None:
    try:
        return store.read(lambda conn: node.get_meta(conn, "name")).result()
    finally:
        store.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# Addresses


@pytest.mark.parametrize(
    "wrong", ["", "notes.db", "sqlite://", "sqlite:///", "postgresql://host/notes", "sqlite:///a%00b", "SQLITE:///x"]
)
def test_what_is_no_address_of_a_store_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="is not the address") as raised:
        store_path(wrong)
    assert raised.value.hint == "write sqlite:///FILE"


def test_an_invitation_is_not_taken_for_the_name_of_a_store() -> None:
    with pytest.raises(ConfigError, match="an invitation was given where a store is named") as raised:
        store_path(f"sqlite:///lichen1{'a' * 300}")
    assert raised.value.hint


def test_a_relative_address_is_below_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert store_path("sqlite:///notes.db") == tmp_path / "notes.db"
    assert store_path("sqlite:///~/a%20b.db") == tmp_path / "home" / "a b.db"
    assert store_path("sqlite:////tmp/x/../y.db") == Path(os.path.realpath("/tmp/y.db"))


def test_a_folder_and_a_special_file_are_no_store(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="folder"):
        open_store(f"sqlite:///{tmp_path}", passphrase=None)
    with pytest.raises(ConfigError, match="special file"):
        open_store(f"sqlite:///{tmp_path / 'pipe'}", passphrase=None)
    assert [file.name for file in tmp_path.iterdir()] == ["pipe"]


def test_a_name_that_is_too_long_is_an_error_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="too long") as raised:
        open_store(f"sqlite:///{tmp_path / ('n' * 300)}", passphrase=None)
    assert isinstance(raised.value, StoreError)
    assert raised.value.hint


def test_a_store_that_is_not_there_is_not_made_unless_wanted(tmp_path: Path, url: str) -> None:
    with pytest.raises(NotFound, match="no store"):
        open_store(url, passphrase=None, create=False)
    assert contents(tmp_path) == {}


def test_a_store_that_was_emptied_is_not_taken_for_a_new_one(path: Path, url: str) -> None:
    write_and_close(open_store(url, passphrase=None))
    path.write_bytes(b"")
    before = contents(path.parent)
    with pytest.raises(StoreDamaged, match="empty"):
        open_store(url, passphrase=None, create=False)
    assert contents(path.parent) == before


def test_a_new_store_is_never_empty_while_it_is_open(path: Path, url: str) -> None:
    """So that one whose program was killed opens again."""
    with contextlib.closing(open_store(url, passphrase=None)):
        assert path.stat().st_size > 0


def test_folders_above_a_new_store_are_made(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/a/b/notes.db", passphrase=None).close()
    assert sorted(contents(tmp_path / "a" / "b")) == ["notes.db", "notes.db.key"]


# Keys


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_store_opens_again_with_what_it_was_made_with(url: str, passphrase: str | None) -> None:
    write_and_close(open_store(url, passphrase=passphrase))
    assert read_and_close(open_store(url, passphrase=passphrase, create=False)) == b"value"


def test_every_file_is_for_this_user_only(tmp_path: Path, url: str) -> None:
    store = open_store(url, passphrase=None)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == [f"notes.db{suffix}" for suffix in ("", "-shm", "-wal", ".key", ".lock")]
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    store.close()


def test_a_wrong_or_missing_passphrase_opens_nothing_and_changes_nothing(tmp_path: Path, url: str) -> None:
    write_and_close(open_store(url, passphrase=PASSPHRASE))
    before = contents(tmp_path)
    for wrong in (None, "", "another"):
        with pytest.raises(WrongPassphrase) as raised:
            open_store(url, passphrase=wrong)
        assert raised.value.hint
    assert contents(tmp_path) == before


def test_a_passphrase_that_protects_nothing_opens_nothing_and_changes_nothing(tmp_path: Path, url: str) -> None:
    write_and_close(open_store(url, passphrase=None))
    before = contents(tmp_path)
    with pytest.raises(WrongPassphrase, match="protected by no passphrase") as raised:
        open_store(url, passphrase=PASSPHRASE)
    assert "open it without" in str(raised.value.hint)
    assert contents(tmp_path) == before


def test_it_is_known_whether_a_store_has_a_passphrase(path: Path, url: str) -> None:
    assert needs_passphrase(url)  # a new one should
    open_store(url, passphrase=None).close()
    assert not needs_passphrase(url)
    open_store(f"{url}2", passphrase=PASSPHRASE).close()
    assert needs_passphrase(f"{url}2")
    assert needs_passphrase("postgresql://host/notes")
    Path(f"{path}.key").write_bytes(b"{}")
    with pytest.raises(StoreDamaged):
        needs_passphrase(url)


def test_the_key_is_not_in_its_file_when_there_is_a_passphrase(path: Path, url: str) -> None:
    open_store(url, passphrase=PASSPHRASE).close()
    content = Path(f"{path}.key").read_bytes()
    assert b"argon2id" in content
    assert b'"key"' not in content


def test_a_store_moved_without_its_key_file_names_what_is_missing(path: Path, url: str) -> None:
    write_and_close(open_store(url, passphrase=None))
    Path(f"{path}.key").unlink()
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match=r"notes\.db\.key is not") as raised:
        open_store(url, passphrase=None)
    assert "key file" in raised.value.hint
    assert path.read_bytes() == before
    assert not Path(f"{path}.key").exists()


def test_a_store_copied_with_its_key_file_opens_elsewhere(tmp_path: Path, path: Path, url: str) -> None:
    write_and_close(open_store(url, passphrase=PASSPHRASE))
    copy = tmp_path / "elsewhere.db"
    copy.write_bytes(path.read_bytes())
    Path(f"{copy}.key").write_bytes(Path(f"{path}.key").read_bytes())
    assert read_and_close(open_store(f"sqlite:///{copy}", passphrase=PASSPHRASE)) == b"value"


def test_the_key_file_of_another_store_does_not_open_it(tmp_path: Path, path: Path, url: str) -> None:
    write_and_close(open_store(url, passphrase=None))
    open_store(f"sqlite:///{tmp_path / 'other.db'}", passphrase=None).close()
    Path(f"{path}.key").write_bytes((tmp_path / "other.db.key").read_bytes())
    with pytest.raises(StoreDamaged):
        open_store(url, passphrase=None)


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": "lichen-key/1", "kind": "plain"}', b"[" * 10_000])
def test_a_malformed_key_file_is_told(path: Path, url: str, content: bytes) -> None:
    write_and_close(open_store(url, passphrase=None))
    Path(f"{path}.key").write_bytes(content)
    with pytest.raises(StoreDamaged, match="key file"):
        open_store(url, passphrase=None)


def test_a_plain_database_is_no_store(path: Path, url: str) -> None:
    path.write_bytes(b"SQLite format 3\x00" + bytes(8_000))
    with pytest.raises(StoreDamaged, match="plain SQLite"):
        open_store(url, passphrase=None)


def test_a_key_file_that_was_written_before_the_store_is_used(path: Path, url: str) -> None:
    """As after a crash between the two."""
    open_store(url, passphrase=None).close()
    path.unlink()
    write_and_close(open_store(url, passphrase=None))
    assert read_and_close(open_store(url, passphrase=None)) == b"value"


def test_the_rest_of_a_torn_key_file_is_not_in_the_way(path: Path, url: str) -> None:
    Path(f"{path}.key.new").write_bytes(b"{")
    write_and_close(open_store(url, passphrase=None))
    assert not Path(f"{path}.key.new").exists()


# One process at a time


def test_a_store_in_use_by_another_process_names_it(url: str) -> None:
    script = (
        "import sys; from lichen.runtime.unlock import open_store;"
        "store = open_store(sys.argv[1], passphrase=None); print('open', flush=True); sys.stdin.read(); store.close()"
    )
    command = [sys.executable, "-c", script, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreLocked, match=f"in use by process {holder.pid}") as raised:
            open_store(url, passphrase=None)
        assert raised.value.hint
        holder.stdin.close()
        assert holder.wait(30) == 0
    open_store(url, passphrase=None).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_store_whose_program_was_killed_is_free_though_a_fork_of_it_lives(url: str) -> None:
    script = (
        "import os, signal, sys; from lichen.runtime.unlock import open_store\n"
        "store = open_store(sys.argv[1], passphrase=None)\n"
        "if os.fork() == 0: print('forked', flush=True); sys.stdin.read(); os._exit(0)\n"
        "signal.pause()"
    )
    command = [sys.executable, "-W", "ignore", "-c", script, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"forked\n"
        with pytest.raises(StoreLocked, match=f"in use by process {holder.pid}"):
            open_store(url, passphrase=None)
        holder.kill()
        assert holder.wait(30) == -signal.SIGKILL
        open_store(url, passphrase=None).close()


def test_a_store_in_use_by_this_process_is_locked_under_every_name(tmp_path: Path, path: Path, url: str) -> None:
    (tmp_path / "link.db").symlink_to(path)
    store = open_store(url, passphrase=None)
    for other in (url, f"sqlite:///{tmp_path}/../{tmp_path.name}/notes.db", f"sqlite:///{tmp_path / 'link.db'}"):
        with pytest.raises(StoreLocked, match="open in this program already") as raised:
            open_store(other, passphrase=None)
        assert raised.value.hint == "use that engine, or close() it"
    store.close()
    open_store(url, passphrase=None).close()


def test_a_lock_file_that_was_left_behind_locks_nothing(path: Path, url: str) -> None:
    Path(f"{path}.lock").write_text("1\n")
    open_store(url, passphrase=None).close()
    assert not Path(f"{path}.lock").exists()


def test_a_lock_file_that_is_removed_just_before_it_is_locked_is_not_trusted(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder closes between our opening the file and locking it: others would lock a new file under that name."""
    flock, calls = fcntl.flock, itertools.count()

    def flock_late(handle: int, operation: int) -> None:
        if next(calls) == 0:
            Path(f"{path}.lock").unlink()
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", flock_late)
    store = open_store(url, passphrase=None)
    with pytest.raises(StoreLocked, match="open in this program already"):
        open_store(url, passphrase=None)
    store.close()


def test_a_store_that_could_not_be_opened_is_not_locked(url: str) -> None:
    open_store(url, passphrase=PASSPHRASE).close()
    with pytest.raises(WrongPassphrase):
        open_store(url, passphrase="another")
    open_store(url, passphrase=PASSPHRASE).close()


# Disks that refuse


def test_a_store_in_a_read_only_folder_is_told(
    tmp_path: Path, url: str, make_read_only: Callable[[Path], None]
) -> None:
    open_store(url, passphrase=None).close()
    before = contents(tmp_path)
    make_read_only(tmp_path)
    for address in (url, f"sqlite:///{tmp_path}/new.db", f"sqlite:///{tmp_path}/new/new.db"):
        with pytest.raises(StoreReadOnly, match="cannot be written") as raised:
            open_store(address, passphrase=None)
        assert raised.value.hint
    assert contents(tmp_path) == before


def test_a_read_only_file_is_told(path: Path, url: str, make_read_only: Callable[[Path], None]) -> None:
    open_store(url, passphrase=None).close()
    make_read_only(path)
    with pytest.raises(StoreReadOnly):
        open_store(url, passphrase=None)


def test_a_full_disk_makes_no_store_and_leaves_nothing_in_the_way(small_disk: SmallDisk) -> None:
    url = f"sqlite:///{small_disk.folder / 'notes.db'}"
    small_disk.fill()
    with pytest.raises(StoreFull) as raised:
        open_store(url, passphrase=None)
    assert raised.value.hint
    small_disk.free()
    assert contents(small_disk.folder) == {}
    write_and_close(open_store(url, passphrase=None))


def test_a_store_on_a_full_disk_keeps_everything_until_there_is_room(small_disk: SmallDisk) -> None:
    url = f"sqlite:///{small_disk.folder / 'notes.db'}"
    write_and_close(open_store(url, passphrase=None))
    small_disk.fill()
    with pytest.raises(StoreFull):
        open_store(url, passphrase=None)
    small_disk.free()
    assert read_and_close(open_store(url, passphrase=None)) == b"value"
