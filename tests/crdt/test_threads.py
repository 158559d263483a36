from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from lichen_crdt import Counter, Document, DocumentBusy, Patch, Text, TransactionOpen, apply_patches


def typed(count: int) -> tuple[Document, list[bytes]]:
    """A document with a text, and the changes of someone who typed on it."""
    doc = Document(actor=b"\x01" * 16)
    with doc.change():
        doc["body"] = Text("x" * 6_000)
        doc["n"] = Counter(0)
    writer, changes = doc.fork(), []
    for n in range(count):
        with writer.change() as tx:
            writer.text("body").insert(n, "y")
        changes += [data for _, data in tx.changes]
    return doc, changes


def test_two_threads_write_apply_and_read_without_deadlock() -> None:
    doc, changes = typed(200)
    started = threading.Barrier(4)

    def write(who: int) -> None:
        started.wait()
        for _ in range(200):
            with doc.change():
                doc["n"] += 1
                doc[f"last {who}"] = str(doc["n"])

    def apply() -> None:
        started.wait()
        for change in changes:
            doc.apply_changes([change])

    def read() -> None:
        started.wait()
        for _ in range(200):
            assert len(doc.to_py()["body"]) >= 6_000
            assert Document.load(doc.save()).heads

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, 1), pool.submit(write, 2), pool.submit(apply), pool.submit(read)]:
            done.result(60)
    assert doc["n"] == 400
    assert str(doc["body"]).startswith("y" * 200 + "x")
    assert Document.load(doc.save()) == doc


def test_edits_made_while_a_large_apply_runs_are_kept_and_its_patches_lead_on_from_them() -> None:
    doc, changes = typed(5)  # each may take its patience of two seconds
    with doc.change():
        doc["n"] += 1  # from here on the changes are concurrent, so that replay cannot take them
    shown = {"body": str(doc["body"])}
    done = threading.Event()
    patches: list[Patch] = []

    def apply() -> None:
        for change in changes:
            patches.extend(doc.apply_changes([change], strict=True))
        done.set()

    with ThreadPoolExecutor(1) as pool:
        applying = pool.submit(apply)
        edits = 0
        while not done.is_set():
            with doc.change():
                doc["mine"] = edits
            edits += 1
        applying.result(60)
    assert edits > 0
    assert doc.replayed == 0
    assert apply_patches(shown, patches)["body"] == str(doc["body"])
    assert Document.load(doc.save()) == doc


def test_an_apply_waits_for_a_transaction_of_another_thread() -> None:
    doc, changes = typed(1)
    with ThreadPoolExecutor(1) as pool:
        with doc.change():
            doc["title"] = "open"
            applying = pool.submit(doc.apply_changes, changes)
            with pytest.raises(TransactionOpen):
                doc.apply_changes(changes)
            assert not applying.done()
        applying.result(60)
    assert str(doc["body"]).startswith("yx")
    assert doc["title"] == "open"


def test_a_transaction_that_does_not_end_is_a_clear_error_for_others() -> None:
    doc, changes = typed(1)
    doc.wait_at_most(0.02)
    with ThreadPoolExecutor(1) as pool, doc.change():
        doc["title"] = "open"
        for call in (lambda: doc.apply_changes(changes), doc.save, lambda: doc["title"], doc.change().__enter__):
            with pytest.raises(DocumentBusy):
                pool.submit(call).result(60)
    assert doc["title"] == "open"


def test_a_write_of_another_thread_never_joins_a_transaction() -> None:
    doc, _ = typed(1)
    doc.wait_at_most(0.02)

    def write() -> None:
        doc["title"] = "theirs"

    with ThreadPoolExecutor(1) as pool, doc.change() as tx:
        doc["own"] = 1
        with pytest.raises(DocumentBusy):
            pool.submit(write).result(60)
    assert "title" not in doc
    assert tx.hash in doc.heads


def test_documents_are_handed_from_thread_to_thread() -> None:
    doc = Document()
    for n in range(20):
        with ThreadPoolExecutor(1) as pool:

            def write(n: int = n) -> None:
                with doc.change():
                    doc["n"] = n

            pool.submit(write).result(60)
    assert doc["n"] == 19
