"""Transactions: what they make, what they refuse, and what may go wrong around them."""

from __future__ import annotations

import gc
import random
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from crdt_example import filled
from lichen_crdt import Document, NoTransaction, Text, TransactionError, TransactionOpen, inspect


def test_an_exception_takes_the_transaction_back() -> None:
    doc = filled()
    before, heads = doc.save(), doc.heads
    tx = doc.change()

    def write_and_fail() -> None:
        with tx:
            doc["title"] = "other"
            doc.text("body").append("!")
            assert doc["title"] == "other"
            raise LookupError

    with pytest.raises(LookupError):
        write_and_fail()
    assert doc.save() == before
    assert doc.heads == heads
    assert tx.hash is None


def test_a_transaction_that_writes_nothing_makes_no_change() -> None:
    doc = filled()
    heads = doc.heads
    with doc.change() as tx:
        pass
    assert (tx.hash, tx.bytes, tx.changes) == (None, None, [])
    assert doc.heads == heads


def test_writing_outside_a_transaction_is_refused() -> None:
    doc = filled()
    with pytest.raises(NoTransaction):
        doc["title"] = "x"
    with pytest.raises(NoTransaction):
        doc.text("body").append("x")


def test_nesting_and_applying_inside_a_transaction_are_refused() -> None:
    doc, other = filled(), Document()
    with other.change() as tx:
        other["x"] = 1
    assert tx.bytes is not None
    with doc.change():
        for call in (doc.change().__enter__, doc.save, lambda: doc.apply_changes([tx.bytes or b""]), doc.fork):
            with pytest.raises(TransactionOpen):
                call()
        doc["title"] = "still open"
    assert doc["title"] == "still open"


def test_a_change_says_who_when_and_why() -> None:
    doc = Document(actor=b"\x05" * 16)
    with doc.change("first", time=1_700_000_000) as tx:
        doc["a"] = [1, 2]
    assert tx.bytes is not None
    info = inspect(tx.bytes)
    assert info.actor == b"\x05" * 16
    assert (info.seq, info.start_op, info.operations) == (1, 1, 3)
    assert (info.deps, info.time, info.message) == ((), 1_700_000_000, "first")
    assert info.hash == tx.hash == doc.heads[0]
    assert info.size == len(tx.bytes)


def test_a_transaction_beyond_the_limit_becomes_several_changes() -> None:
    doc = filled()
    with doc.change("big") as tx:
        doc["body"] = Text("x" * 100_000)
        doc.text("body").splice(10, 70_000, "y" * 70_000)
        doc["rows"] = [{"n": n} for n in range(40_000)]
    assert len(tx.changes) > 3
    assert all(inspect(data).operations <= 65_536 for _, data in tx.changes)
    assert doc["body"] == "x" * 10 + "y" * 70_000 + "x" * 29_990
    assert len(doc["rows"]) == 40_000
    other = filled()
    other.apply_changes(reversed([data for _, data in tx.changes]))
    assert other == doc


def test_a_large_transaction_is_taken_back_whole() -> None:
    doc = filled()
    before = doc.save()

    def write_and_fail() -> None:
        with doc.change():
            doc.text("body").append("x" * 70_000)
            raise LookupError

    with pytest.raises(LookupError):
        write_and_fail()
    assert doc.save() == before
    assert doc.actor == b"\x01" * 16
    with doc.change():
        doc["title"] = "goes on"
    assert Document.load(doc.save()) == doc


def test_an_interrupt_takes_the_transaction_back() -> None:
    doc = Document()

    def interrupted() -> None:
        with doc.change():
            doc["x"] = 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (doc.to_py(), doc.in_transaction) == ({}, False)


def test_an_abandoned_generator_takes_its_transaction_back() -> None:
    doc = Document()

    def writing() -> Iterator[int]:
        with doc.change():
            doc["x"] = 1
            yield 1

    generator = writing()
    next(generator)
    assert doc["x"] == 1
    del generator
    gc.collect()
    assert (doc.to_py(), doc.in_transaction) == ({}, False)


def test_a_transaction_that_nobody_can_end_is_taken_back_with_a_warning() -> None:
    doc = Document()
    tx: Any = doc.change().__enter__()
    doc["x"] = 1
    with pytest.warns(ResourceWarning, match="never ended"):
        del tx
    with doc.change():
        doc["y"] = 2
    assert doc == {"y": 2}


def test_it_is_taken_back_also_where_warnings_are_errors() -> None:
    doc = Document()
    tx: Any = doc.change().__enter__()
    doc["x"] = 1
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patched:
        warnings.simplefilter("error", ResourceWarning)
        patched.setattr(sys, "unraisablehook", lambda _: None)
        del tx
    assert (doc.to_py(), doc.in_transaction) == ({}, False)


def test_a_transaction_is_entered_once_and_ended_once() -> None:
    doc = Document()
    with doc.change() as tx:
        doc["x"] = 1
    made = tx.changes
    with pytest.raises(TransactionError, match="once"):
        tx.__enter__()
    with pytest.raises(NoTransaction):
        doc.change().__exit__(None, None, None)
    with doc.change() as other:
        with pytest.raises(NoTransaction):
            tx.__exit__(None, None, None)
        with pytest.raises(TransactionOpen):
            doc.change().__enter__()
        tx["y"] = 2  # a view of the document, as any other
    assert tx.changes == made
    assert len(other.changes) == 1
    with pytest.raises(NoTransaction):
        tx["z"] = 3


def test_a_transaction_is_no_asynchronous_context_manager() -> None:
    assert not hasattr(Document().change(), "__aenter__")


@pytest.mark.parametrize("fails", [False, True])
def test_a_transaction_may_end_on_another_thread(fails: bool) -> None:
    doc = Document()
    tx = doc.change().__enter__()
    doc["x"] = 1
    error = LookupError() if fails else None
    with ThreadPoolExecutor(1) as pool:
        pool.submit(tx.__exit__, type(error) if error else None, error, None).result(60)
    assert doc == ({} if fails else {"x": 1})
    with doc.change():
        doc["y"] = 2


@pytest.mark.parametrize(
    "bad",
    [
        {"time": 2**62},
        {"time": -(2**63) - 1},
        {"time": 0.5},
        {"time": 0.0},
        {"time": ""},
        {"message": "\ud800"},
        {"message": b"x"},
    ],
)
def test_a_message_and_a_time_that_do_not_fit_are_refused(bad: Any) -> None:
    doc = Document()
    with pytest.raises((ValueError, TypeError)):  # UnicodeEncodeError is a ValueError
        doc.change(**bad).__enter__()
    with doc.change("ok", time=-1):
        doc["t"] = Text("x")
    assert [(info.message, info.time) for info in doc.history()] == [("ok", -1)]


def test_an_update_of_a_text_after_another_write_is_one_change() -> None:
    doc = Document()
    with doc.change():
        doc["body"] = Text("milk")
    with doc.change() as tx:
        doc["title"] = "Groceries"
        doc["body"].update("oat milk")
    assert len(tx.changes) == 1


@pytest.mark.parametrize("parts", [1, 70_000], ids=["one change", "several"])
def test_a_change_larger_than_asked_for_is_taken_back(parts: int) -> None:
    document = Document(actor=b"\x01" * 16)
    with document.change():
        document["body"] = "before"
    heads, saved = document.heads, document.save()

    def write_much() -> None:
        with document.change(max_bytes=1_000):
            document["list"] = ["x"] * parts
            document["body"] = "x" * 1_000

    with pytest.raises(OverflowError, match="larger than 1000"):
        write_much()
    assert (document.heads, document.save(), document.in_transaction) == (heads, saved, False)
    with document.change(max_bytes=1_000) as made:
        document["body"] = "x" * 800
    assert len(made.changes) == 1
    other = Document.load(saved)
    other.apply_changes([made.changes[0][1]], strict=True)
    assert other.to_py() == document.to_py() == {"body": "x" * 800}


@pytest.mark.parametrize("seed", range(4))
def test_the_bytes_of_an_edit_are_those_that_the_document_keeps(seed: int) -> None:
    rng = random.Random(seed)
    doc = Document(b"\x02" * 16)
    with doc.change():
        doc["body"] = Text("spring")
        doc["list"] = ["a"]
    other = doc.fork(bytes([rng.choice((1, 3))]) * 16)  # sorted before or after the writer, where a change names it
    at = 0
    for number in range(150):
        body = doc.text("body")
        at = rng.choice((at, at + 1, max(at - 1, 0), rng.randrange(len(body) + 1)))
        at = min(at, len(body))
        with doc.change(rng.choice((None, "", "é")), rng.choice((None, -1, 1 << 40))) as tx:
            body.splice(at, min(rng.choice((0, 0, 1, 3)), len(body) - at), rng.choice(("x", "é🎉", "", "x" * 70)))
            match rng.randrange(6):
                case 0:
                    ends = sorted(rng.randrange(len(body) + 1) for _ in "ab")
                    body.mark(*ends, "bold", rng.choice((True, None)), expand=rng.choice(("none", "both")))
                case 1:
                    body.insert(0, "twice")
                case 2:
                    doc["list"][0] = number
        for digest, data in tx.changes:
            assert doc.change_by_hash(digest) == data
        other.apply_changes([data for _, data in tx.changes], strict=True)
        if rng.random() < 0.3:
            with other.change():
                other.text("body").insert(rng.randrange(len(other.text("body")) + 1), "o")
            if rng.random() < 0.5:
                doc.merge(other)
    doc.merge(other)
    other.merge(doc)
    assert (doc.heads, doc.to_py()) == (other.heads, other.to_py())


def test_a_change_with_more_keys_than_others_take_is_taken_back() -> None:
    doc = Document()
    with pytest.raises(OverflowError, match="for others to take it: it was taken back"), doc.change():
        doc["map"] = {f"{number}{'k' * 200_000}": number for number in range(90)}
    assert (doc.heads, doc.to_py(), doc.in_transaction) == ((), {}, False)
    with doc.change():
        doc["map"] = {f"{number}{'k' * 200_000}": number for number in range(80)}
    other = Document()
    other.apply_changes(doc.changes())
    assert other == doc
