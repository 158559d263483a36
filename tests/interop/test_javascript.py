"""Files and changes go both ways between lichen_crdt and Automerge for JavaScript, which runs as a child process."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lichen_crdt import Branches, Counter, Document, Text, Undo
from lichen_crdt.spans import Expand

HERE = Path(__file__).parent
JS, OURS = "aa" * 16, b"\xbb" * 16
EXPANDS: tuple[Expand, ...] = ("none", "before", "after", "both")


class JavaScript:
    """Automerge for JavaScript: what it has after each call."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, *edit: str, load: bytes = b"", apply: list[bytes] | None = None) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"actor": JS, "load": load.hex(), "apply": [change.hex() for change in apply or []], "edit": edit}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))


@pytest.fixture(scope="module")
def javascript() -> Iterator[JavaScript]:
    if not shutil.which("node") or not (HERE / "node_modules").is_dir():
        pytest.skip("node, or Automerge for JavaScript, is not here: `make setup` installs it where npm is")
    command = ["node", str(HERE / "javascript.mjs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield JavaScript(process)
        process.terminate()


def spelled(value: Any) -> Any:
    """Our content as the other program spells it."""
    match value:
        case bytes():
            return {"$bytes": value.hex()}
        case datetime():
            return {"$time": round(value.timestamp() * 1000)}
        case list():
            return [spelled(item) for item in value]
        case dict():
            return {key: spelled(item) for key, item in value.items()}
        case _:
            return value


def alike(theirs: dict[str, Any], doc: Document) -> None:
    """The same heads and the same content on both sides."""
    assert sorted(theirs["heads"]) == sorted(head.hex() for head in doc.heads)
    assert unwrapped(theirs["content"]) == spelled(doc.to_py())


def unwrapped(value: Any) -> Any:
    """Their content, counters and scalar strings as plain values."""
    match value:
        case {"$counter": inner} | {"$string": inner}:
            return inner
        case list():
            return [unwrapped(item) for item in value]
        case dict():
            return {key: unwrapped(item) for key, item in value.items()}
        case _:
            return value


def ours() -> Document:
    doc = Document(actor=OURS)
    with doc.change("types", time=5):
        doc["text"] = Text("hello 🥚 there")
        doc["string"], doc["int"], doc["float"], doc["none"] = "s", -5, 2.5, None
        doc["bytes"], doc["time"] = b"\x00\xff", datetime(2023, 1, 1, tzinfo=UTC)
        doc["count"], doc["list"], doc["map"] = Counter(3), [1, [], {"a": Text("b")}], {"k": {"v": True}}
    with doc.change():
        doc["text"].mark(0, 5, "bold", True, expand="both")
        doc["text"].delete(6, 2)
        doc["list"].insert(1, "x")
    return doc


@pytest.mark.parametrize("way", ["file", "changes", "file and changes"])
def test_they_read_what_we_write(javascript: JavaScript, way: str) -> None:
    doc = ours()
    first = doc.changes()[:1]
    match way:
        case "file":
            theirs = javascript.run(load=doc.save())
        case "changes":
            theirs = javascript.run(apply=doc.changes())
        case _:
            begun = Document()
            begun.apply_changes(first)
            theirs = javascript.run(load=begun.save() + doc.save_after(begun.heads))
    alike(theirs, doc)
    assert [(mark["start"], mark["end"], mark["name"]) for mark in theirs["marks"]] == [(0, 5, "bold")]
    assert theirs["content"]["count"] == {"$counter": 3}
    assert theirs["content"]["string"] == {"$string": "s"}


@pytest.mark.parametrize("way", ["file", "changes", "file and changes"])
def test_we_read_what_they_write(javascript: JavaScript, way: str) -> None:
    theirs = javascript.run("types", "concurrent", "mark", "type")
    changes = [bytes.fromhex(change) for change in theirs["changes"]]
    match way:
        case "file":
            doc = Document.load(bytes.fromhex(theirs["save"]))
        case "changes":
            doc = Document()
            doc.apply_changes(changes)
        case _:
            begun = javascript.run("types")
            later = javascript.run("concurrent", "mark", "type", load=bytes.fromhex(begun["save"]))
            doc = Document.load(bytes.fromhex(begun["save"]) + bytes.fromhex(later["since"]))
            theirs = later
    alike(theirs, doc)
    assert isinstance(doc["string"], str)
    assert isinstance(doc["text"], Text)
    assert doc["uint"] == 2**53 - 1
    assert doc["time"] == datetime.fromtimestamp(1700000000.123, UTC)
    found = [(mark.start, mark.end, mark.name, mark.value) for mark in doc["text"].marks()]
    assert found == [(mark["start"], mark["end"], mark["name"], mark["value"]) for mark in theirs["marks"]]
    assert [info.message for info in doc.history()] == ["types", "concurrent", "mark", "type"]
    assert Document.load(doc.save()) == doc


EDGES = {"none": [2, 4], "before": [1, 4], "after": [2, 5], "both": [1, 5]}
"""What is marked of abcd, marked at bc by each rule, after a character was typed at both edges."""


def marked(doc: Document) -> dict[str, list[list[int]]]:
    return {rule: [[mark.start, mark.end] for mark in doc.text(rule).marks()] for rule in EDGES}


def test_they_expand_our_marks_by_the_four_rules(javascript: JavaScript) -> None:
    doc = Document(actor=OURS)
    with doc.change():
        for rule in EXPANDS:
            doc[rule] = Text("abcd")
            doc.text(rule).mark(1, 3, "bold", True, expand=rule)
    theirs = javascript.run("edges", load=doc.save())
    assert theirs["marked"] == {rule: [edges] for rule, edges in EDGES.items()}
    doc.apply_changes([bytes.fromhex(change) for change in theirs["changes"]])
    assert marked(doc) == theirs["marked"]
    alike(theirs, doc)


def test_we_expand_their_marks_by_the_four_rules(javascript: JavaScript) -> None:
    theirs = javascript.run("texts", "rules")
    doc = Document.load(bytes.fromhex(theirs["save"]), actor=OURS)
    with doc.change():
        for rule in EDGES:
            doc.text(rule).insert(3, "_")
            doc.text(rule).insert(1, "_")
    assert marked(doc) == {rule: [edges] for rule, edges in EDGES.items()}
    again = javascript.run(load=bytes.fromhex(theirs["save"]), apply=doc.changes())
    assert again["marked"] == marked(doc)
    alike(again, doc)


def test_concurrent_edits_of_both_merge_to_one_content(javascript: JavaScript) -> None:
    base = ours()
    theirs = javascript.run("concurrent", "mark", load=base.save())
    with base.change():
        base["count"] += 100
        base["title"] = "from python"
        base["text"].insert(3, "PY")
        base["list"].append("py")
        base["map"]["k"]["v"] = False
    base.apply_changes([bytes.fromhex(change) for change in theirs["changes"]])
    merged = javascript.run(load=bytes.fromhex(theirs["save"]), apply=base.changes())
    alike(merged, base)
    assert base["count"] == 113
    values = [str(conflict.value) for conflict in base.conflicts("title")]
    assert sorted(values) == sorted(merged["conflicts"]["title"]) == ["from javascript", "from python"]
    assert Document.load(bytes.fromhex(merged["save"])) == base


def test_blocks_keep_their_place_in_the_text(javascript: JavaScript) -> None:
    theirs = javascript.run("types", "block")
    assert "block" in theirs["spans"]
    doc = Document.load(bytes.fromhex(theirs["save"]))
    assert sorted(theirs["heads"]) == sorted(head.hex() for head in doc.heads)
    with doc.change():
        doc["text"].insert(0, "> ")
    again = javascript.run(load=doc.save())
    assert again["spans"] == theirs["spans"]
    assert again["content"]["text"] == "> " + theirs["content"]["text"]


def test_a_change_of_more_operations_than_we_write_loads_from_a_file(javascript: JavaScript) -> None:
    theirs = javascript.run("large")
    doc = Document.load(bytes.fromhex(theirs["save"]))
    alike(theirs, doc)
    assert len(doc["text"]) == 70_000


def test_they_read_what_was_undone_and_the_main_line_of_branches(javascript: JavaScript) -> None:
    doc = ours()
    undo = Undo(doc)
    undo.undo()
    alike(javascript.run(apply=doc.changes()), doc)
    undo.redo()
    branches = Branches(doc)
    with branches.create("draft").change():
        branches.open("draft")["int"] = 7
    alike(javascript.run(load=branches.save()), doc)
