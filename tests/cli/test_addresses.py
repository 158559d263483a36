"""Where other nodes are: a person is told when nobody can be reached, and when somebody is."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from lichen.testing.commands import lichen, refused


@contextlib.contextmanager
def told(folder: Path, *arguments: str) -> Iterator[tuple[dict[str, object], IO[str]]]:
    """A command that runs until it is told to end: what it prints first, and its stderr."""
    environment = {"LICHEN_PASSPHRASE": "right", "PATH": os.environ["PATH"], "HOME": str(folder)}
    command = [sys.executable, "-m", "lichen.cli", *arguments, "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield json.loads(process.stdout.readline()), process.stderr
        finally:
            process.terminate()
            assert process.wait(20) == 0


def test_a_ticket_without_an_address_is_told_and_nobody_waits_with_it(folder: Path) -> None:
    made = lichen(folder, "invite", "Family", "--store", "a.db")
    assert "names no address" in made.stderr
    error = refused(folder, "join", json.loads(made.stdout)["ticket"], "--store", "b.db")
    assert error["type"] == "Unreachable"
    assert "--connect" in error["hint"]
    assert "names no address" not in lichen(folder, "invite", "--hint", "ws://127.0.0.1:1", "--store", "a.db").stderr


def test_a_device_that_nobody_could_reach_does_not_serve(folder: Path) -> None:
    error = refused(folder, "serve", "--store", "a.db")
    assert error["type"] == "ConfigError"
    assert "--connect" in error["hint"]


@pytest.mark.timeout(120)
def test_a_serving_device_tells_whom_it_reaches_and_who_refuses_it(folder: Path) -> None:
    listening = ("relay", "--listen", "ws://127.0.0.1:0", "--store", "sqlite:///relay.db", "--token", "s3cret")
    with told(folder, *listening) as (relay, _):
        address = str(relay["listening"])
        with told(folder, "serve", "--connect", address, "--store", "a.db") as (_, messages):
            assert messages.readline() == f"reached  {address}\n"
            assert "refused: this relay admits new spaces only with its token" in messages.readline()
    with told(folder, "serve", "--connect", "ws://127.0.0.1:1", "--store", "a.db") as (_, messages):
        assert messages.readline().startswith("not reached: ws://127.0.0.1:1: ")


def test_one_is_counted_as_one(folder: Path) -> None:
    with told(folder, "relay", "--listen", "ws://127.0.0.1:0", "--store", "sqlite:///relay.db") as (relay, _):
        synced = lichen(folder, "sync", "--connect", str(relay["listening"]), "--store", "a.db", as_json=False)
    assert synced.stdout.startswith("1 space in sync with 1 peer: ")


def test_a_sync_that_reaches_nobody_says_so_while_it_tries_and_at_its_end(folder: Path) -> None:
    arguments = ("sync", "--connect", "ws://127.0.0.1:1", "--store", "a.db", "--timeout", "2")
    tried = lichen(folder, *arguments, as_json=False)
    assert tried.returncode == 1
    waiting, error, _hint = tried.stderr.splitlines()
    assert waiting.startswith("not reached so far: ws://127.0.0.1:1: ")
    assert "ws://127.0.0.1:1: " in error
    as_json = lichen(folder, *arguments)
    assert as_json.stderr == ""
    assert "ws://127.0.0.1:1: " in json.loads(as_json.stdout)["error"]["message"]
