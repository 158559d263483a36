"""What a person gets who gives the command line something wrong: one typed error, no traceback, nothing changed."""

from __future__ import annotations

import gzip
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from lichen.cli.output import Report
from lichen.errors import ConfigError
from lichen.testing.commands import done, lichen, refused


class Garbage(socketserver.BaseRequestHandler):
    """Answers whatever it is sent with what is no protocol."""

    def handle(self) -> None:
        self.request.recv(1024)
        self.request.sendall(bytes(range(256)) * 16)


@pytest.fixture
def garbage() -> Iterator[str]:
    """The address of a server that speaks garbage."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Garbage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_stores_that_cannot_be_opened(folder: Path) -> None:
    (folder / "noise.db").write_bytes(os.urandom(8192))
    (folder / "noise.db.key").write_bytes((folder / "a.db.key").read_bytes())
    assert refused(folder, "id")["type"] == "ConfigError"
    assert refused(folder, "id", "--store", "sqlite:///none.db")["type"] == "NotFound"
    assert refused(folder, "id", "--store", "a.db", passphrase="wrong")["type"] == "WrongPassphrase"
    assert refused(folder, "id", "--store", "noise.db")["type"] == "StoreDamaged"
    assert not (folder / "none.db").exists()
    assert done(folder, "doc", "show", "Plans", "--store", "a.db")


def test_a_store_in_use_is_told_and_left_alone(folder: Path) -> None:
    environment = {"LICHEN_PASSPHRASE": "right", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "lichen.cli", "serve", "--store", "a.db", "--listen", "ws://127.0.0.1:0", "--json"]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        assert json.loads(serving.stdout.readline())
        error = refused(folder, "doc", "list", "--store", "a.db")
        serving.terminate()
        serving.wait(20)
    assert error["type"] == "StoreLocked"
    assert str(serving.pid) in error["message"]


def test_names_that_mean_nothing_here(folder: Path) -> None:
    before = done(folder, "doc", "list", "--store", "a.db")
    assert refused(folder, "space", "show", "nowhere", "--store", "a.db")["type"] == "NotFound"
    assert refused(folder, "doc", "show", "nothing", "--store", "a.db")["type"] == "NotFound"
    assert refused(folder, "doc", "edit", "nothing", "--text", "x", "--store", "a.db")["type"] == "NotFound"
    assert done(folder, "doc", "list", "--store", "a.db") == before


def test_tickets_that_are_none(folder: Path) -> None:
    ticket = done(folder, "invite", "Family", "--store", "a.db")["ticket"]
    middle = len(ticket) // 2
    flipped = ticket[:middle] + ("a" if ticket[middle] != "a" else "b") + ticket[middle + 1 :]
    for wrong in ("hello", ticket[:-8], flipped, "lichen1" + "a" * 8192):
        assert refused(folder, "join", wrong, "--store", "b.db")["type"] == "TicketError"
    assert not (folder / "b.db").exists()


def test_relays_that_do_not_answer_as_one(folder: Path, garbage: str) -> None:
    nobody = refused(folder, "sync", "--connect", "ws://127.0.0.1:1", "--timeout", "1", "--store", "a.db")
    assert nobody["type"] == "Unreachable"
    noise = refused(folder, "sync", "--connect", garbage, "--timeout", "1", "--store", "a.db")
    assert noise["type"] == "Unreachable"
    assert garbage in noise["message"]
    for wrong in ("127.0.0.1:9", "gopher://host"):
        assert refused(folder, "relay", "--listen", wrong, "--store", "sqlite:///r.db")["type"] == "ConfigError"
    assert not (folder / "r.db").exists()
    wrong = "ws://127.0.0.1:99999"
    assert refused(folder, "relay", "--listen", wrong, "--store", "sqlite:///r.db")["type"] == "ConfigError"


@pytest.mark.parametrize(
    "content",
    [
        b"not gzip",
        gzip.compress(b"not json", mtime=0),
        gzip.compress(b"[]", mtime=0),
        gzip.compress(b'{"startContent": "", "endContent": "a", "txns": []}', mtime=0),
        gzip.compress(b'{"startContent": "", "endContent": "", "txns": [{"patches": [[9, 1, ""]]}]}', mtime=0),
        gzip.compress(b'{"startContent": "", "endContent": "", "txns": [{"patches": [["x"]]}]}', mtime=0),
        gzip.compress(b'{"startContent": "", "endContent": "", "txns": [7]}', mtime=0),
        None,
    ],
)
def test_traces_that_are_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "trace.json.gz").write_bytes(content)
    assert refused(tmp_path, "replay", "trace.json.gz", "--follow")["type"] == "TraceError"


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "x", "--path", "pigeon"),
        ("replay", "x", "--limit", "0"),
        ("invite", "--role", "king"),
        ("invite", "--mode", "magic"),
        ("invite", "--uses", "0"),
        ("fly",),
    ],
)
def test_wrong_usage_ends_with_two(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = lichen(tmp_path, *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_names_that_are_no_line_of_text_make_no_space(tmp_path: Path) -> None:
    done(tmp_path, "init", "--store", "a.db")
    for name in ("\udcff\udcfe", "two\nlines", " "):
        assert refused(tmp_path, "space", "create", name, "--store", "a.db")["type"] == "ConfigError"
    assert refused(tmp_path, "space", "create", "F", "--name", "\x1b", "--store", "a.db")["type"] == "ConfigError"
    assert done(tmp_path, "space", "list", "--store", "a.db") == {"spaces": []}


def test_text_in_another_encoding_makes_no_document(folder: Path) -> None:
    before = done(folder, "doc", "list", "--store", "a.db")
    assert refused(folder, "doc", "create", "\udcff", "--store", "a.db")["type"] == "ConfigError"
    assert refused(folder, "doc", "create", "New", "--text", "\udcff", "--store", "a.db")["type"] == "ConfigError"
    assert done(folder, "doc", "list", "--store", "a.db") == before


def test_an_error_after_the_result_is_no_second_object(capfd: pytest.CaptureFixture[str]) -> None:
    report = Report(as_json=True)
    report.result({"listening": "here"})
    report.error(ConfigError("late"))
    printed, told = capfd.readouterr()
    assert json.loads(printed) == {"listening": "here"}
    assert "late" in told


@pytest.mark.parametrize("seconds", ["inf", "1e300", "nan", "0", "-1"])
def test_a_wait_of_no_sensible_length_is_wrong_usage(folder: Path, seconds: str) -> None:
    command = ("sync", "--connect", "ws://127.0.0.1:1", f"--timeout={seconds}", "--store", "a.db")
    assert lichen(folder, *command).returncode == 2


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_standard_stream_is_no_error(folder: Path, closed: str) -> None:
    command = f"exec {sys.executable} -m lichen.cli id --store a.db --json {closed}"
    environment = {"LICHEN_PASSPHRASE": "right", "PATH": os.environ["PATH"]}
    ended = subprocess.run(["sh", "-c", command], cwd=folder, env=environment, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert bool(ended.stdout) == ("1>" not in closed)
