"""Files and changes go both ways between lichen_crdt and the `automerge` package of PyPI."""

from __future__ import annotations

from datetime import UTC, datetime

from automerge.core import ROOT, ExpandMark, ObjType, ScalarType
from automerge.core import Document as Theirs
from lichen_crdt import Branches, Counter, Document, Text, Undo
from lichen_crdt.spans import Expand

THEM, US = b"\xaa" * 16, b"\xbb" * 16


def theirs() -> Theirs:
    doc = Theirs(THEM)
    with doc.transaction() as tx:
        text = tx.put_object(ROOT, "text", ObjType.Text)
        for index, character in enumerate("hello 🥚"):
            tx.insert(text, index, ScalarType.Str, character)
        tx.put(ROOT, "string", ScalarType.Str, "s")
        tx.put(ROOT, "int", ScalarType.Int, -5)
        tx.put(ROOT, "uint", ScalarType.Uint, 2**63)
        tx.put(ROOT, "float", ScalarType.F64, 2.5)
        tx.put(ROOT, "yes", ScalarType.Boolean, True)
        tx.put(ROOT, "none", ScalarType.Null, None)
        tx.put(ROOT, "bytes", ScalarType.Bytes, b"\x00\xff")
        items = tx.put_object(ROOT, "list", ObjType.List)
        inner = tx.insert_object(items, 0, ObjType.Map)
        tx.put(inner, "k", ScalarType.Str, "v")
    with doc.transaction() as tx:
        tx.mark(text, 0, 3, "bold", ScalarType.Boolean, True, ExpandMark.Both)
        tx.delete(text, 4)
    return doc


CONTENT = {
    "text": "hell 🥚",
    "string": "s",
    "int": -5,
    "uint": 2**63,
    "float": 2.5,
    "yes": True,
    "none": None,
    "bytes": b"\x00\xff",
    "list": [{"k": "v"}],
}


def test_we_read_their_files_and_changes() -> None:
    other = theirs()
    loaded = Document.load(other.save())
    assert loaded.to_py() == CONTENT
    assert sorted(loaded.heads) == sorted(bytes(head) for head in other.get_heads())
    [mark] = loaded["text"].marks()
    assert (mark.start, mark.end, mark.name, mark.value) == (0, 3, "bold", True)
    assert Document.load(loaded.save()) == loaded
    applied = Document()
    applied.apply_changes(loaded.changes())
    assert applied == loaded


def test_they_read_our_files() -> None:
    doc = Document(actor=US)
    with doc.change():
        doc["text"], doc["list"], doc["count"] = Text("hello 🥚"), [1, {"k": b"v"}], Counter(3)
        doc["time"] = datetime(2023, 1, 1, tzinfo=UTC)
    with doc.change():
        doc["text"].delete(0, 1)
        doc["text"].mark(0, 2, "bold", True)
        doc["count"] += 4
    other = Theirs.load(doc.save())
    assert sorted(bytes(head) for head in other.get_heads()) == sorted(doc.heads)
    assert other.text(other.get(ROOT, "text")[1]) == "ello 🥚"
    assert other.length(other.get(ROOT, "list")[1]) == 2
    [mark] = other.marks(other.get(ROOT, "text")[1])
    assert (mark.start, mark.end, mark.name) == (0, 2, "bold")
    assert Document.load(other.save()) == doc
    appended = Theirs.load(doc.save() + Document(actor=US).save_after(()))
    assert appended.get_heads() == other.get_heads()


RULES: list[tuple[ExpandMark, Expand]] = [
    (ExpandMark.Neither, "none"),
    (ExpandMark.Before, "before"),
    (ExpandMark.After, "after"),
    (ExpandMark.Both, "both"),
]
EDGES = {"none": (2, 4), "before": (1, 4), "after": (2, 5), "both": (1, 5)}
"""What is marked of abcd, marked at bc by each rule, after a character was typed at both edges."""


def their_marks(doc: Theirs) -> dict[str, tuple[int, int]]:
    found = {rule: doc.marks(doc.get(ROOT, rule)[1]) for rule in EDGES}
    return {rule: (mark.start, mark.end) for rule, [mark] in found.items()}


def our_marks(doc: Document) -> dict[str, tuple[int, int]]:
    found = {rule: doc.text(rule).marks() for rule in EDGES}
    return {rule: (mark.start, mark.end) for rule, [mark] in found.items()}


def test_they_expand_our_marks_by_the_four_rules() -> None:
    doc = Document(actor=US)
    with doc.change():
        for _, rule in RULES:
            doc[rule] = Text("abcd")
            doc.text(rule).mark(1, 3, "bold", True, expand=rule)
    other = Theirs.load(doc.save())
    other.set_actor(THEM)
    with other.transaction() as tx:
        for _, rule in RULES:
            for place in (3, 1):
                tx.insert(tx.get(ROOT, rule)[1], place, ScalarType.Str, "_")
    assert their_marks(other) == EDGES
    assert our_marks(Document.load(other.save())) == EDGES


def test_we_expand_their_marks_by_the_four_rules() -> None:
    other = Theirs(THEM)
    with other.transaction() as tx:
        for expand, rule in RULES:
            text = tx.put_object(ROOT, rule, ObjType.Text)
            for index, character in enumerate("abcd"):
                tx.insert(text, index, ScalarType.Str, character)
            tx.mark(text, 1, 3, "bold", ScalarType.Boolean, True, expand)
    doc = Document.load(other.save(), actor=US)
    with doc.change():
        for rule in EDGES:
            doc.text(rule).insert(3, "_")
            doc.text(rule).insert(1, "_")
    assert our_marks(doc) == EDGES
    assert their_marks(Theirs.load(doc.save())) == EDGES


def test_concurrent_edits_of_both_merge_to_one_content() -> None:
    # The other package increments counters, and does not make any.
    doc = Document.load(theirs().save(), actor=US)
    with doc.change():
        doc["count"] = Counter(7)
    other = Theirs.load(doc.save())
    other.set_actor(THEM[:-1])
    with other.transaction() as tx:
        tx.increment(ROOT, "count", 10)
        tx.put(ROOT, "title", ScalarType.Str, "theirs")
        tx.insert(tx.get(ROOT, "text")[1], 0, ScalarType.Str, "T")
    with doc.change():
        doc["count"] += 100
        doc["title"] = "ours"
        doc["text"].insert(0, "O")
    mine = Theirs.load(doc.save())
    other.merge(mine)
    doc.merge(Document.load(other.save()))
    merged = Document.load(other.save())
    assert merged == doc
    assert merged.heads == doc.heads
    assert doc["count"] == 117
    assert sorted(str(conflict.value) for conflict in doc.conflicts("title")) == ["ours", "theirs"]


def test_they_read_what_was_undone_and_the_main_line_of_branches() -> None:
    doc = Document(actor=US)
    with doc.change():
        doc["text"], doc["n"] = Text("hello"), 1
    with doc.change():
        doc["text"].splice(1, 3, "ipp")
        del doc["n"]
    undo = Undo(doc)
    undo.undo()
    branches = Branches(doc)
    with branches.create("draft").change():
        branches.open("draft")["n"] = 2
    other = Theirs.load(branches.save())
    assert other.text(other.get(ROOT, "text")[1]) == "hello"
    assert other.get(ROOT, "n")[0][1] == 1
    assert sorted(bytes(head) for head in other.get_heads()) == sorted(doc.heads)
    applied = Document()
    applied.apply_changes(Document.load(other.save(), partial=True).changes())
    assert applied == doc
