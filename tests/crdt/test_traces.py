"""Recorded traces, run by the command as a person would and as a library; the small ones here are our own."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data.make_trace import make_trace
from lichen_crdt import CrdtError, Document, InvalidTrace
from lichen_crdt.trace_files import MOST_AGENTS, read_trace
from lichen_crdt.traces import Outcome, main, run_trace

CONCURRENT = Path(__file__).parent / "data" / "concurrent.json"
SEQUENTIAL = {
    "startContent": "egg 🥚",
    "endContent": "two 🥚🥚 eggs",
    "txns": [
        {"time": "2026-01-01T00:00:00Z", "patches": [[0, 3, "two"], [5, 0, "🥚"]]},
        {"patches": []},
        {"patches": [[6, 0, " eg"], [9, 0, "gs!"], [11, 1, ""]]},
    ],
}


def write(folder: Path, value: Any, name: str = "trace.json") -> Path:
    file = folder / name
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return file


def run(folder: Path, value: Any) -> Outcome:
    return run_trace(read_trace(write(folder, value)))


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-W", "error", "-m", "lichen_crdt.traces", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def concurrent(end: str, *steps: tuple[int, list[int], list[Any]], agents: int = 2) -> dict[str, Any]:
    """A concurrent trace of (agent, parents, patches)."""
    txns = [{"agent": agent, "parents": parents, "patches": patches} for agent, parents, patches in steps]
    return {"kind": "concurrent", "endContent": end, "numAgents": agents, "txns": txns}


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_a_sequential_trace_ends_as_recorded(tmp_path: Path, name: str) -> None:
    result = command(write(tmp_path, SEQUENTIAL, name), "--json")
    assert (result.returncode, result.stderr) == (0, "")
    outcome = json.loads(result.stdout)
    assert outcome.pop("seconds") >= 0
    assert outcome == {"kind": "sequential", "replicas": 1, "edits": 5, "equal": True, "end_equal": True}


def test_a_concurrent_trace_ends_as_recorded_on_every_replica() -> None:
    result = command(CONCURRENT, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    outcome = json.loads(result.stdout)
    assert outcome.pop("seconds") >= 0
    assert outcome == {"kind": "concurrent", "replicas": 4, "edits": 74, "equal": True, "end_equal": True}


def test_a_person_reads_two_lines() -> None:
    result = command(CONCURRENT)
    assert result.returncode == 0
    assert result.stdout.startswith("concurrent trace: 74 edits on 4 replicas in ")
    assert result.stdout.endswith(" s\nreplicas equal, end as recorded\n")


@pytest.mark.parametrize("seed", range(12))
def test_traces_that_fork_and_merge_many_times(tmp_path: Path, seed: int) -> None:
    agents = 1 + seed % 6
    outcome = run(tmp_path, make_trace(agents, 300, seed, merging=(0.05, 0.3, 0.9)[seed % 3]))
    assert (outcome.replicas, outcome.equal, outcome.end_equal) == (agents, True, True)


def test_another_end_is_told(tmp_path: Path) -> None:
    for trace in (SEQUENTIAL, json.loads(CONCURRENT.read_text())):
        outcome = run(tmp_path, trace | {"endContent": trace["endContent"] + "!"})
        assert (outcome.equal, outcome.end_equal) == (True, False)
    result = command(write(tmp_path, SEQUENTIAL | {"endContent": ""}))
    assert result.returncode == 0
    assert "end NOT AS RECORDED" in result.stdout


def test_a_replica_that_differs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = [((b"head",), "one"), ((b"head",), "two")]
    monkeypatch.setattr("lichen_crdt.traces._run_concurrent", lambda _: iter(ends))
    outcome = run(tmp_path, concurrent("one", (0, [], [[0, 0, "one"]])))
    assert (outcome.equal, outcome.end_equal) == (False, True)


def test_each_transaction_is_typed_into_its_parents_only(tmp_path: Path) -> None:
    steps = [
        (0, [], [[0, 0, "abc"]]),
        (1, [0], [[3, 0, "DEF"]]),
        (0, [0], [[0, 3, "x"]]),  # the text is "abc": what the other agent typed is not in it
        (0, [1, 2], [[0, 1, ""], [3, 0, "!"]]),  # the text is "xDEF"
    ]
    outcome = run(tmp_path, concurrent("DEF!", *steps))
    assert (outcome.replicas, outcome.equal, outcome.end_equal) == (2, True, True)
    steps[2] = (0, [0], [[3, 3, ""]])
    with pytest.raises(InvalidTrace, match="transaction 2 reaches beyond"):
        run(tmp_path, concurrent("DEF!", *steps))


def test_an_agent_on_two_branches_has_two_replicas(tmp_path: Path) -> None:
    steps = [
        (0, [], [[0, 0, "a b"]]),
        (0, [0], [[1, 0, "1"]]),  # one branch: "a1 b"
        (0, [0], [[3, 0, "2"]]),  # another from the same place: "a b2"
        (0, [1], [[2, 0, "1"]]),  # on with the first: "a11 b"
        (0, [2], [[4, 0, "2"]]),  # on with the second: "a b22"
        (0, [4, 3], [[0, 1, ""], [6, 0, "!"]]),
    ]
    outcome = run(tmp_path, concurrent("11 b22!", *steps, agents=1))
    assert (outcome.replicas, outcome.equal, outcome.end_equal) == (2, True, True)


def test_agents_and_transactions_that_write_nothing(tmp_path: Path) -> None:
    steps = [(1, [], []), (0, [0], [[0, 0, "a"]]), (1, [0], [[0, 0, ""]]), (1, [1, 2], [[1, 0, "b"]])]
    outcome = run(tmp_path, concurrent("ab", *steps, agents=3))
    assert (outcome.replicas, outcome.equal, outcome.end_equal) == (3, True, True)
    assert run(tmp_path, concurrent("", agents=1)).end_equal
    assert run(tmp_path, {"endContent": "", "txns": []}).end_equal


BROKEN = {
    "nothing": b"",
    "not json": b"{",
    "not text": b"\xff\xfe\xfd",
    "half of it": gzip.compress(b'{"endContent": ""}')[:-9],
    "gzip and more": gzip.compress(b"{}") + b"more",
    "too deep": b"[" * 100_000,
    "a list": [],
    "no end": {"txns": []},
    "no transactions": {"endContent": ""},
    "an unknown kind": {"kind": "\n" * 99, "endContent": "", "txns": []},
    "a start that is no text": {"startContent": 1, "endContent": "", "txns": []},
    "half a pair at the start": {"startContent": "\ud83e", "endContent": "", "txns": []},
    "a transaction that is a number": {"endContent": "", "txns": [7]},
    "beyond the text": {"endContent": "", "txns": [{"patches": [[1, 0, "a"]]}]},
    "deletes beyond the text": {"startContent": "ab", "endContent": "", "txns": [{"patches": [[1, 2, ""]]}]},
    "far beyond the text": {"endContent": "", "txns": [{"patches": [[2**70, 0, "a"]]}]},
    "a negative position": {"endContent": "", "txns": [{"patches": [[-1, 0, "a"]]}]},
    "a position that is true": {"endContent": "", "txns": [{"patches": [[True, 0, "a"]]}]},
    "a patch of two": {"endContent": "", "txns": [{"patches": [[0, 0]]}]},
    "half a pair": {"endContent": "", "txns": [{"patches": [[0, 0, "\ud83e"]]}]},
    "no agents": concurrent("", agents=0),
    "too many agents": concurrent("", agents=MOST_AGENTS + 1),
    "an agent that is none": concurrent("", (2, [], [])),
    "no parents": concurrent("") | {"txns": [{"agent": 0, "patches": []}]},
    "a parent to come": concurrent("", (0, [0], [])),
    "a parent that is a text": concurrent("", (0, [], []), (0, ["0"], [])),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_files_that_are_no_trace(tmp_path: Path, content: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, content)
    assert main([str(file), "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    error = json.loads(captured.out)["error"]
    assert set(error) == {"type", "message", "hint"}
    assert error["type"] == "InvalidTrace"
    assert error["message"]
    assert error["hint"]
    assert main([str(file)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("InvalidTrace: ")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("\n")
    assert len(captured.err) < 500


def test_a_file_larger_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lichen_crdt.trace_files.MOST_BYTES", 100)
    file = write(tmp_path, {"endContent": "", "txns": [], "more": " " * 100}, "trace.json.gz")
    with pytest.raises(InvalidTrace, match="larger than 100 bytes"):
        read_trace(file)


def test_replicas_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lichen_crdt.traces.MOST_REPLICAS", 3)
    forks = [(0, [], [[0, 0, "a"]]) for _ in range(4)]
    with pytest.raises(CrdtError, match="more than 3 replicas"):
        run(tmp_path, concurrent("aaaa", *forks))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_trace_may_come_through_a_pipe(pack: Callable[[bytes], bytes]) -> None:
    line = [sys.executable, "-W", "error", "-m", "lichen_crdt.traces", "/dev/stdin", "--json"]
    trace = pack(json.dumps(SEQUENTIAL).encode())
    result = subprocess.run(line, input=trace, capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert json.loads(result.stdout)["end_equal"] is True


def test_files_that_are_not_there_and_wrong_usage(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.json", tmp_path):
        result = command(missing)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("InvalidTrace: ")
        assert result.stderr.count("\n") == 1
    for arguments in ((), (CONCURRENT, CONCURRENT), (CONCURRENT, "--fly")):
        result = command(*arguments)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("json_too", [[], ["--json"]])
@pytest.mark.parametrize("name", ["trace.json", "none.json"])
def test_a_reader_who_has_left_is_no_traceback(tmp_path: Path, name: str, json_too: list[str]) -> None:
    write(tmp_path, SEQUENTIAL)
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-W", "error", "-m", "lichen_crdt.traces", tmp_path / name, *json_too]
    with os.fdopen(writer, "wb") as pipe:
        result = subprocess.run(line, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


def test_who_comes_later_begins_with_a_copy_of_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    apply = Document.apply_changes

    def counted(doc: Document, changes: list[bytes]) -> object:
        given.append(len(changes))
        return apply(doc, changes)

    monkeypatch.setattr(Document, "apply_changes", counted)
    agents = 12
    steps = [(agent, [agent - 1] if agent else [], [[agent, 0, "x"]]) for agent in range(agents)]
    outcome = run(tmp_path, concurrent("x" * agents, *steps, agents=agents))
    assert (outcome.replicas, outcome.equal, outcome.end_equal) == (agents, True, True)
    assert sorted(given) == [*range(1, agents)]  # what each lacks at the end, and nothing before
