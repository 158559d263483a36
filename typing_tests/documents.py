"""How an application uses `lichen_crdt`, as type checkers see it: checked by `make check`, never run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import assert_type

from lichen_crdt import (
    Blame,
    BlockInsert,
    ChangeInfo,
    Conflict,
    ConflictPatch,
    Counter,
    CounterPatch,
    CrdtError,
    Document,
    HistoryEntry,
    List,
    ListDelete,
    ListInsert,
    ListPut,
    Map,
    MapDelete,
    MapPut,
    Mark,
    MarkPatch,
    MissingDependencies,
    Patch,
    Plain,
    RichText,
    Text,
    TextPatch,
    Transaction,
    Value,
    Version,
    apply_patches,
    inspect,
)


def makes_documents() -> Document:
    assert_type(Document.load(b"", actor="ab"), Document)
    doc = Document(actor=b"\x01" * 16)
    assert_type(doc.actor, bytes)
    doc.actor = "0102"
    return doc


class Notebook(Document):
    """An application may have documents of its own class."""


def keeps_the_class(notebook: Notebook) -> None:
    assert_type(notebook.fork(), Notebook)
    assert_type(Notebook.load(b""), Notebook)


def writes_plain_data(doc: Document, lines: list[dict[str, int]], tags: tuple[str, ...], any_value: Value) -> None:
    with doc.change("all kinds", time=7) as tx:
        assert_type(tx, Transaction)
        doc["title"] = "Groceries"
        doc["body"] = Text("milk")
        doc["votes"] = Counter(0)
        doc["when"] = datetime.now(UTC)
        doc["nothing"] = None
        doc["items"] = [{"name": "eggs", "count": 6, "tags": ["a", Text("b")]}, 1.5, b"x"]
        doc["lines"] = lines
        doc["tags"] = tags
        doc["copy"] = doc.map("settings")
        doc["more"] = any_value
        doc["votes"] += 1
        doc.update(title="Other", done=False)
        doc.list("items").append({"name": "milk"})
        doc.list("items").insert(0, [1, 2])
        doc.list("items")[1:2] = ["a", None]
        del doc.list("items")[0]
    assert_type(tx.changes, list[tuple[bytes, bytes]])
    assert_type(tx.hash, bytes | None)
    assert_type(tx.patches, list[Patch])


def reads_with_types(doc: Document) -> None:
    assert_type(doc.text("body"), Text)
    assert_type(doc.map("settings"), Map)
    assert_type(doc.list("items"), List)
    assert_type(doc.counter("votes"), Counter)
    assert_type(doc.map("settings").list("colours"), List)
    assert_type(str(doc.text("body")[0:2]), str)
    assert_type(doc.counter("votes").value, int)
    assert_type(list(doc), list[str])
    assert_type(doc.list("items").to_py(), list[Plain])
    title: str = doc["title"]  # what lies at a key is known at run time only
    assert_type(title, str)


def reads_plain_data(doc: Document) -> str:
    content = doc.to_py()
    assert_type(content, dict[str, Plain])
    match content:
        case {"items": [{"name": str() as name}, *_]}:
            return name
        case _:
            return ""


def walks(value: Plain) -> Iterator[str]:
    """Plain data is recursive."""
    if isinstance(value, dict):
        for item in value.values():
            yield from walks(item)
    elif isinstance(value, list):
        for item in value:
            yield from walks(item)
    elif isinstance(value, str):
        yield value


def edits_text(body: Text) -> None:
    body.splice(0, 1, "a")
    assert_type(body.replace("a", "b"), int)
    body.mark(0, 1, "bold", True, expand="both")
    assert_type(body.marks(), list[Mark])
    assert_type(body.spans(), RichText)
    assert_type(body.split_block(0, {"type": "heading"}), Map)
    assert_type(body.blame(), list[Blame])
    assert_type(body.position(body.cursor(0)), int)


def exchanges(doc: Document, other: Document) -> None:
    try:
        patches = doc.apply_changes(other.changes(since=doc.heads), strict=True)
    except MissingDependencies as missing:
        assert_type(missing.hashes, tuple[bytes, ...])
    except CrdtError:
        pass
    else:
        assert_type(patches, list[Patch])
        assert_type(apply_patches(doc.to_py(), patches), dict[str, Plain])
    assert_type(doc.merge(other), list[Patch])
    assert_type(doc.heads, tuple[bytes, ...])
    assert_type(inspect(other.changes()[0]), ChangeInfo)


def looks_back(doc: Document) -> None:
    was = doc.at(doc.heads)
    assert_type(was, Version)
    assert_type(was.text("body"), Text)
    assert_type(doc.history(), list[HistoryEntry])
    for one in doc.conflicts("title"):
        assert_type(one, Conflict)
        assert_type(one.actor, bytes)


def redraws(patch: Patch) -> tuple[str | int, ...]:
    """A `match` over every kind of patch leaves nothing over."""
    match patch:
        case TextPatch(index=index, inserted=inserted):
            return index, inserted
        case MapPut(key=key) | MapDelete(key=key):
            return (key,)
        case ListPut(index=index) | ListInsert(index=index) | ListDelete(index=index) | BlockInsert(index=index):
            return (index,)
        case CounterPatch(key=place) | ConflictPatch(key=place):
            return (place,)
        case MarkPatch(name=name):
            return (name,)
