"""The document that tests of undo begin with, and who writes it."""

from __future__ import annotations

from lichen_crdt import Counter, Document, Text

ANN, PHONE, BEN = b"a" * 16, b"p" * 16, b"b" * 16


def started() -> Document:
    doc = Document(actor=ANN)
    with doc.change("start"):
        doc["body"] = Text("hello")
        doc["votes"] = Counter(1)
        doc["title"] = "one"
        doc["items"] = [1, {"deep": Text("x")}, 3]
    return doc


def edited(doc: Document) -> None:
    with doc.change("edit"):
        doc["body"].splice(1, 3, "ipp")
        doc["votes"] += 5
        doc["title"] = "two"
        doc["new"] = {"inner": [1]}
        doc["items"][0] = 9
        del doc["items"][1]
