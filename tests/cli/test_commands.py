"""Every command as a script uses it: exit code 0 and exactly one JSON object on stdout."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from lichen.cli.documents import _plain, _when
from lichen.testing.commands import done, lichen, refused

KEYS = ["edits", "seconds", "edits_per_s", "batches", "wire_bytes", "store_bytes", "peak_rss", "equal", "end_sha256"]
"""What `lichen replay --json` prints, in order."""
AT_A_TERMINAL = """
import fcntl, termios
from lichen.cli import main
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # where Ctrl-C comes from
main()
"""


def at_prompts(folder: Path, arguments: tuple[str, ...], answers: list[bytes]) -> tuple[int, int]:
    """Run a command at a terminal; returns its exit code, and how often it asked for something."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    here, there = pty.openpty()
    command = [sys.executable, "-c", AT_A_TERMINAL, *arguments]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=there, stdout=there, stderr=there, start_new_session=True
    )
    os.close(there)
    shown, asked = b"", 0
    with contextlib.suppress(OSError):  # the terminal ends with its last process
        while part := os.read(here, 4096):
            shown += part
            if shown.count(b": ") > asked:
                os.write(here, answers[asked])
                asked += 1
    os.close(here)
    assert b"Traceback" not in shown
    assert b"Aborted" not in shown  # said by typer, not by us
    return process.wait(20), asked


class SmallDisk(Protocol):
    folder: Path

    def fill(self) -> None: ...
    def free(self) -> None: ...


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[dict[str, Any]]:
    """A command that runs until it is told to end: the object that it prints first."""
    environment = {"LICHEN_PASSPHRASE": "right", "PATH": os.environ["PATH"], "HOME": str(folder)}
    command = [sys.executable, "-m", "lichen.cli", *arguments, "--json"]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            rest, code = process.stdout.read(), process.wait(20)
    assert (rest, code) == ("", 0)


def test_devices_spaces_and_documents(tmp_path: Path) -> None:
    device = done(tmp_path, "init", "--store", "sqlite:///a.db")["device"]
    assert done(tmp_path, "init", "--store", "a.db")["device"] == device
    assert done(tmp_path, "id", "--store", "a.db") == {"device": device}

    space = done(tmp_path, "space", "create", "Family", "--name", "Ann", "--store", "a.db")
    assert space["recovery_key"]
    listed = done(tmp_path, "space", "list", "--store", "a.db")["spaces"]
    assert listed == [{key: value for key, value in space.items() if key != "recovery_key"}]
    assert done(tmp_path, "space", "show", space["id"][:8], "--store", "a.db") == listed[0]
    other = done(tmp_path, "space", "create", "Other", "--store", "a.db")
    assert "--yes" in refused(tmp_path, "space", "leave", "Other", "--store", "a.db")["hint"]
    assert done(tmp_path, "space", "leave", "Other", "--yes", "--store", "a.db") == {
        "left": other["id"],
        "documents": 0,
    }
    assert done(tmp_path, "space", "list", "--store", "a.db")["spaces"] == listed
    assert listed[0]["members"][0] == {
        "id": listed[0]["members"][0]["id"],
        "name": "Ann",
        "role": "owner",
        "devices": [device],
    }

    plans = done(tmp_path, "doc", "create", "Plans", "--text", "eggs", "--store", "a.db")
    assert plans["content"] == {"title": "Plans", "body": "eggs"}
    edited = done(tmp_path, "doc", "edit", "Plans", "--append", " and milk 🥛", "--title", "Food", "--store", "a.db")
    assert edited["content"] == {"title": "Food", "body": "eggs and milk 🥛"}
    assert done(tmp_path, "doc", "show", "Food", "--store", "a.db") == edited
    [row] = done(tmp_path, "doc", "list", "Family", "--store", "a.db")["documents"]
    assert (row["id"], row["title"], row["heads"]) == (plans["id"], "Food", edited["heads"])
    history = done(tmp_path, "doc", "history", "Food", "--store", "a.db")
    assert history["count"] == 2
    assert [change["hash"] for change in history["changes"]][:1] == edited["heads"]
    assert len(done(tmp_path, "doc", "history", "Food", "--limit", "1", "--store", "a.db")["changes"]) == 1


def test_a_history_says_when(folder: Path) -> None:
    shown = lichen(folder, "doc", "history", "Plans", "--store", "a.db", as_json=False).stdout
    [change] = done(folder, "doc", "history", "Plans", "--store", "a.db")["changes"]
    assert datetime.fromtimestamp(change["time"], UTC).isoformat() in shown
    assert [_when(made_up) for made_up in (2**62, -(2**62))] == ["unknown", "unknown"]


def test_two_devices_meet_at_a_relay(folder: Path) -> None:
    with running(folder, "relay", "--listen", "ws://127.0.0.1:0", "--store", "sqlite:///relay.db") as relay:
        address = relay["listening"]
        assert relay["open"] is True
        assert done(folder, "sync", "--connect", address, "--store", "a.db")["peers"] == 1
        ticket = done(folder, "invite", "Family", "--role", "writer", "--store", "a.db")["ticket"]
        with running(folder, "serve", "--no-direct", "--store", "a.db") as serving:
            assert serving["connecting"] == [address]
            joined = done(folder, "join", ticket, "--name", "Bob", "--store", "sqlite:///b.db")
            assert joined["name"] == "Family"
            assert refused(folder, "join", ticket, "--timeout", "5", "--store", "c.db")["type"] == "TicketError"
        done(folder, "doc", "edit", "Plans", "--append", " milk", "--store", "b.db")
        done(folder, "doc", "edit", "Plans", "--append", " bread", "--store", "a.db")
        for store in ("b.db", "a.db", "b.db"):
            synced = done(folder, "sync", "--store", store)
            assert set(synced) == {"spaces", "peers", "unreached", "bytes_sent", "bytes_received"}
    a, b = (done(folder, "doc", "show", "Plans", "--store", store) for store in ("a.db", "b.db"))
    assert a == b
    assert sorted(a["content"]["body"].split()) == ["bread", "eggs", "milk"]


def test_a_trace_is_replayed_and_followed(tmp_path: Path) -> None:
    transactions = [{"time": "", "patches": [[index, 0, chr(97 + index % 26)]]} for index in range(200)]
    text = "".join(chr(97 + index % 26) for index in range(200))
    trace = {"startContent": "", "endContent": text, "txns": transactions}
    (tmp_path / "t.json.gz").write_bytes(gzip.compress(json.dumps(trace).encode()))
    for path in ("websocket", "webrtc"):
        found = done(tmp_path, "replay", "t.json.gz", "--follow", "--path", path)
        assert (found["equal"], found["edits"]) == (True, 200)
        assert list(found) == KEYS
        assert set(found["peak_rss"]) == {"a", "b"}
    assert done(tmp_path, "replay", "t.json.gz", "--follow", "--limit", "10")["edits"] == 10


def test_a_store_that_cannot_be_written_is_told(folder: Path, make_read_only: Callable[[Path], None]) -> None:
    before = (folder / "a.db").read_bytes()
    make_read_only(folder / "a.db")
    error = refused(folder, "doc", "edit", "Plans", "--append", "x", "--store", "a.db")
    assert error["type"] == "StoreReadOnly"
    assert (folder / "a.db").read_bytes() == before


def test_a_full_disk_is_told_and_loses_nothing(small_disk: SmallDisk) -> None:
    done(small_disk.folder, "init", "--store", "a.db")
    done(small_disk.folder, "space", "create", "Family", "--store", "a.db")
    done(small_disk.folder, "doc", "create", "Plans", "--text", "eggs", "--store", "a.db")
    small_disk.fill()
    assert refused(small_disk.folder, "doc", "edit", "Plans", "--append", "x", "--store", "a.db")["type"] == "StoreFull"
    small_disk.free()
    assert done(small_disk.folder, "doc", "show", "Plans", "--store", "a.db")["content"]["body"] == "eggs"


def test_without_json_it_is_for_people(folder: Path) -> None:
    result = lichen(folder, "doc", "list", "--store", "a.db", as_json=False)
    assert result.returncode == 0
    assert "Plans" in result.stdout
    wrong = lichen(folder, "doc", "show", "nothing", "--store", "a.db", as_json=False)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "lichen doc list" in wrong.stderr


def test_the_version_is_told(tmp_path: Path) -> None:
    result = lichen(tmp_path, "--version", as_json=False)
    assert (result.returncode, result.stdout[:7]) == (0, "lichen ")


def test_names_and_texts_are_data_and_no_orders_to_the_terminal(tmp_path: Path) -> None:
    done(tmp_path, "init", "--store", "a.db")
    hostile = "[/x] [bold]evil[/bold] \x1b]0;pwn\x07\x1b[2J"
    for names in ((hostile, "--name", "Ada"), ("Family", "--name", hostile)):
        assert refused(tmp_path, "space", "create", *names, "--store", "a.db")["type"] == "ConfigError"
    done(tmp_path, "space", "create", "[/q]", "--name", "[/x] [bold]evil[/bold]", "--store", "a.db")
    note = done(tmp_path, "doc", "create", hostile, "--text", hostile, "--store", "a.db")["id"]
    for command in (
        ("space", "list"),
        ("space", "show"),
        ("doc", "list"),
        ("doc", "show", note),
        ("doc", "history", note),
    ):
        result = lichen(tmp_path, *command, "--store", "a.db", as_json=False)
        assert (result.returncode, result.stderr) == (0, "")
        assert not {"\x1b", "\x07"} & set(result.stdout)
    shown = lichen(tmp_path, "doc", "show", note, "--store", "a.db", as_json=False).stdout
    assert shown.count("[/x] [bold]evil[/bold]") == 2


def test_an_address_where_nobody_is_does_not_keep_the_others_from_syncing(folder: Path) -> None:
    with running(folder, "relay", "--listen", "ws://127.0.0.1:0", "--store", "sqlite:///relay.db") as relay:
        both = ("--connect", relay["listening"], "--connect", "ws://127.0.0.1:1")
        synced = done(folder, "sync", *both, "--store", "a.db")
        assert (synced["peers"], synced["unreached"]) == (1, ["ws://127.0.0.1:1"])
        assert done(folder, "sync", "--store", "a.db")["unreached"] == []  # only who answered is remembered


def test_a_relay_that_asks_for_a_token_says_so_and_the_token_is_not_shown(folder: Path) -> None:
    arguments = ("relay", "--listen", "ws://127.0.0.1:0", "--store", "sqlite:///relay.db", "--token", "s3cret")
    with running(folder, *arguments) as relay:
        address = relay["listening"]
        for shown in (address, f"{address}?token=wr0ng"):
            error = refused(folder, "sync", "--connect", shown, "--timeout", "2", "--store", "a.db")
            assert "token" in error["message"]
            assert "?token=" in error["hint"]
            assert "wr0ng" not in error["message"]
        with running(folder, "serve", "--connect", f"{address}?token=s3cret", "--store", "a.db") as serving:
            assert serving["connecting"] == [address]


def test_a_relay_without_files_for_more_links_says_so_once_and_goes_on(folder: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    arguments = ("relay", "--listen", "ws://127.0.0.1:0", "--store", "relay.db", "--json")
    command = ["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", sys.executable, "-m", "lichen.cli", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        assert process.stderr is not None
        address = json.loads(process.stdout.readline())["listening"]
        port = int(address.rpartition(":")[2])
        with contextlib.ExitStack() as strangers:
            for _ in range(60):
                strangers.enter_context(socket.create_connection(("127.0.0.1", port)))
            said = process.stderr.readline()
        assert done(folder, "sync", "--connect", address, "--store", "a.db")["peers"] == 1
        process.terminate()
        rest, told = process.communicate(timeout=20)
    assert (rest, process.returncode) == ("", 0)
    assert " ".join((said + told).split()).count("too many files are open") == 1
    assert "Traceback" not in told


def test_a_store_put_back_from_a_backup_is_heard_again(folder: Path) -> None:
    """What is written after that has positions that no peer has read yet."""
    with running(folder, "relay", "--listen", "ws://127.0.0.1:0", "--store", "sqlite:///relay.db") as relay:
        done(folder, "sync", "--connect", relay["listening"], "--store", "a.db")
        ticket = done(folder, "invite", "--store", "a.db")["ticket"]
        with running(folder, "serve", "--no-direct", "--store", "a.db"):
            done(folder, "join", ticket, "--name", "Bob", "--store", "b.db")
        backup = {name: (folder / name).read_bytes() for name in ("b.db", "b.db.key")}
        done(folder, "doc", "edit", "Plans", "--append", " later", "--store", "b.db")
        done(folder, "sync", "--store", "b.db")
        for name, content in backup.items():
            (folder / name).write_bytes(content)
        done(folder, "doc", "edit", "Plans", "--append", " fork", "--store", "b.db")
        done(folder, "sync", "--store", "b.db")
        done(folder, "sync", "--store", "a.db")
    text = done(folder, "doc", "show", "Plans", "--store", "a.db")["content"]["body"]
    assert sorted(text.split()) == ["eggs", "fork", "later"]


def test_a_name_comes_before_the_beginning_of_an_id(tmp_path: Path) -> None:
    done(tmp_path, "init", "--store", "a.db")
    first = done(tmp_path, "space", "create", "one", "--store", "a.db")
    named = done(tmp_path, "space", "create", first["id"][0], "--store", "a.db")
    assert done(tmp_path, "space", "show", first["id"][0], "--store", "a.db")["id"] == named["id"]
    done(tmp_path, "space", "create", "one", "--store", "a.db")
    assert first["id"][:12] in refused(tmp_path, "space", "show", "one", "--store", "a.db")["hint"]


def test_an_editor_that_fails_is_told(folder: Path) -> None:
    error = refused(folder, "doc", "edit", "Plans", "--store", "a.db")
    assert "terminal" in error["message"]


def test_json_is_utf8_whatever_the_terminal_takes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    assert done(folder, "doc", "create", "漢字 😀", "--store", "a.db")["content"]["title"] == "漢字 😀"
    monkeypatch.delenv("PYTHONIOENCODING")
    titles = [row["title"] for row in done(folder, "doc", "list", "--store", "a.db")["documents"]]
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    shown = lichen(folder, "doc", "list", "--store", "a.db", as_json=False)
    assert "漢字 😀" in titles
    assert (shown.returncode, shown.stderr) == (0, "")


def test_a_new_store_s_passphrase_is_asked_for_twice_and_any_other_once(tmp_path: Path) -> None:
    assert at_prompts(tmp_path, ("init", "--store", "p.db"), [b"word\n", b"word\n"]) == (0, 2)
    assert at_prompts(tmp_path, ("init", "--store", "p.db"), [b"word\n"]) == (0, 1)
    assert at_prompts(tmp_path, ("id", "--store", "p.db"), [b"wrong\n"]) == (1, 1)
    for key in (b"\x03", b"\x04"):
        assert at_prompts(tmp_path, ("id", "--store", "p.db"), [key]) == (1, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_ended_prints_no_object_and_says_by_which_signal(folder: Path, number: int) -> None:
    """It ends at once, also in the middle of a join that waits for somebody."""
    ticket = done(folder, "invite", "Family", "--hint", "ws://127.0.0.1:1", "--store", "a.db")["ticket"]
    arguments = ("join", ticket, "--store", "b.db", "--json")
    environment = {"LICHEN_PASSPHRASE": "right", "PATH": os.environ["PATH"], "HOME": str(folder)}
    command = [sys.executable, "-m", "lichen.cli", *arguments, "--verbose"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stderr is not None
        while not (folder / "b.db.lock").exists():
            assert process.poll() is None
        process.send_signal(number)
        printed, told = process.communicate(timeout=20)
    assert (printed, process.returncode) == ("", 128 + number)
    assert "Traceback" not in told


def test_a_trace_that_is_being_read_is_left_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "trace.json")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "lichen.cli", "replay", "trace.json", "--json"]
    for number in (signal.SIGINT, signal.SIGTERM):
        with (
            subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process,
            (tmp_path / "trace.json").open("wb"),  # opens once the command reads
        ):
            process.send_signal(number)
            printed, _ = process.communicate(timeout=20)
        assert (printed, process.returncode) == ("", 128 + number)


def test_a_store_is_named_by_a_file_or_a_url(tmp_path: Path) -> None:
    """What stands in a file's name is that name; in a URL it is written as URLs are."""
    for store, file in (
        ("half%20 done.db", "half%20 done.db"),
        ("sqlite:///in%20a%20url.db", "in a url.db"),
        ("sqlite:///new/folder/a.db", "new/folder/a.db"),
        (f"sqlite:///{tmp_path}/absolute.db", "absolute.db"),
    ):
        device = done(tmp_path, "init", "--store", store)["device"]
        assert (tmp_path / file).exists()
        assert done(tmp_path, "id", "--store", store)["device"] == device
    assert at_prompts(tmp_path, ("init", "--store", "sqlite:///p%20q.db"), [b"word\n", b"word\n"]) == (0, 2)
    assert at_prompts(tmp_path, ("init", "--store", "sqlite:///p%20q.db"), [b"word\n"]) == (0, 1)
    here = sorted(tmp_path.iterdir())
    for wrong in (":memory:", "sqlite:///:memory:", "sqlite://", "sqlite:///", "mysql://host/db", "."):
        assert refused(tmp_path, "init", "--store", wrong)["type"] == "ConfigError"
    assert sorted(tmp_path.iterdir()) == here


def test_numbers_that_json_has_not_are_shown_as_text() -> None:
    """Another device may have written them, and the output must stay one JSON object."""
    content = {"n": float("nan"), "list": [float("inf"), 1.5]}
    assert json.dumps(_plain(content), allow_nan=False) == '{"n": "nan", "list": ["inf", 1.5]}'
