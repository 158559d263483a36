"""What type checkers must refuse: an ignore that is not needed is an error, so each of these is one."""

from __future__ import annotations

from lichen_crdt import Counter, Document, List, Text


def values_that_a_document_cannot_hold(doc: Document, items: List) -> None:
    doc["x"] = object()  # type: ignore[assignment]
    doc["x"] = {1, 2}  # type: ignore[assignment]
    doc["x"] = {1: 2}  # type: ignore[dict-item]
    doc["x"] = [1j]  # type: ignore[list-item]
    items.append(object())  # type: ignore[arg-type]
    items.insert(0, {1})  # type: ignore[arg-type]
    items[0] = object()  # type: ignore[call-overload]


def plain_data_is_not_what_one_hopes(doc: Document) -> str:
    return doc.to_py()["title"]  # type: ignore[return-value]


def wrong_arguments(doc: Document, body: Text, votes: Counter) -> None:
    Document(actor=7)  # type: ignore[arg-type]
    doc.apply_changes(b"one change")  # type: ignore[arg-type]
    doc.change(7)  # type: ignore[arg-type]
    doc.change("message", 0, True)  # type: ignore[call-arg]
    body.mark(0, 1, "bold", True, expand="sideways")  # type: ignore[arg-type]
    body.mark(0, 1, "bold", [True])  # type: ignore[arg-type]
    body.insert("a", 0)  # type: ignore[arg-type]
    votes.increment(0.5)  # type: ignore[arg-type]


def heads_cannot_be_set(doc: Document) -> None:
    doc.heads = ()  # type: ignore[misc]
