"""Where a program has a store's passphrase from: the environment, or whoever sits at its terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from lichen import passphrase_of
from lichen.blocking import Engine
from lichen.crypto import passphrase
from lichen.errors import ConfigError

PROGRAM = """
import fcntl, sys, termios
from lichen import in_words, passphrase_of
from lichen.blocking import Engine
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # where Ctrl-C comes from
with in_words(), Engine.open(sys.argv[1], passphrase=passphrase_of(sys.argv[1])):
    print("it is open")
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store whose passphrase is `right`; its key file asks for as little work as one may."""
    monkeypatch.delenv("LICHEN_PASSPHRASE", raising=False)
    monkeypatch.setattr(passphrase, "MEMORY_KIB", 8)
    monkeypatch.setattr(passphrase, "PASSES", 1)
    with Engine.open(url := f"sqlite:///{tmp_path}/ann.db", passphrase="right"):
        pass
    return url


def test_it_is_that_of_the_environment_and_a_store_without_one_needs_none(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = f"sqlite:///{tmp_path}/ben.db"
    assert passphrase_of(plain) is None, "a new store"
    with Engine.open(plain):
        pass
    assert passphrase_of(plain) is None
    with pytest.raises(ConfigError, match="passphrase is needed"):  # here is no terminal
        passphrase_of(store)
    monkeypatch.setenv("LICHEN_PASSPHRASE", "right")
    with Engine.open(store, passphrase=passphrase_of(store)):
        pass
    assert passphrase_of(f"sqlite:///{tmp_path}/new.db") == "right"
    monkeypatch.setenv("LICHEN_PASSPHRASE", "")
    with pytest.raises(ConfigError, match="LICHEN_PASSPHRASE holds an empty passphrase"):
        passphrase_of(store)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (b"right\n", 0, "it is open"),
        (b"wrong\n", 1, "passphrase"),
        (b"\n", 1, "empty"),
        (b"\x04", 1, "no passphrase was entered"),
        (b"\x03", 130, "interrupted"),
    ],
    ids=["right", "wrong", "empty", "ctrl-d", "ctrl-c"],
)
def test_it_is_asked_for_in_the_terminal_and_not_shown(store: str, answer: bytes, code: int, said: str) -> None:
    here, there = pty.openpty()
    command = [sys.executable, "-W", "error", "-c", PROGRAM, store]
    process = subprocess.Popen(command, stdin=there, stdout=there, stderr=there, start_new_session=True)
    os.close(there)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal ends with its last process
        while part := os.read(here, 4096):
            shown += part
            if shown == b"Passphrase: ":
                os.write(here, answer)
    os.close(here)
    assert process.wait(20) == code, shown
    prompt, line = shown.decode().replace("^C", "").splitlines()
    assert prompt == "Passphrase: "
    assert said in line
    assert "right" not in line
