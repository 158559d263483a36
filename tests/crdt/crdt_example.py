"""A small document to begin tests with."""

from __future__ import annotations

from lichen_crdt import Counter, Document, Text


def filled() -> Document:
    """Something of most types."""
    doc = Document(actor="01" * 16)
    with doc.change("begin", time=7):
        doc["title"] = "Groceries"
        doc["body"] = Text("milk, eggs")
        doc["votes"] = Counter(3)
        doc["items"] = [1, {"deep": ["x", None]}, True]
    return doc
