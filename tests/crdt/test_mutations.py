"""Honest changes with bytes altered and the checksum made right again: refused, or taken and kept whole."""

from __future__ import annotations

from typing import Any

from crdt_forge import chunk, uleb
from crdt_strategies import Edit, exact, perform, transactions
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen_crdt import CrdtError, Document

alterations = st.lists(
    st.tuples(st.integers(0, 2**16), st.integers(0, 255), st.sampled_from(["set", "add", "drop"])),
    min_size=1,
    max_size=3,
)


def body_of(change: bytes) -> bytes:
    return change[-_length(change) :]


def _length(change: bytes) -> int:
    for size in range(1, 5):
        length = len(change) - 9 - size
        if change[9 : 9 + size] == uleb(length):
            return length
    raise AssertionError


def altered(body: bytes, steps: list[tuple[int, int, str]]) -> bytes:
    data = bytearray(body)
    for where, byte, how in steps:
        at = where % len(data)
        if how == "set":
            data[at] = byte
        elif how == "add":
            data.insert(at, byte)
        elif len(data) > 1:
            del data[at]
    return bytes(data)


@settings(max_examples=400)
@given(st.lists(transactions, min_size=1, max_size=4), alterations, st.booleans(), st.booleans())
def test_altered_changes_are_refused_or_kept_whole(
    history: list[list[Edit]], steps: Any, concurrent: bool, replay: bool
) -> None:
    writer = Document(actor=b"\x01" * 16)
    for edits in history:
        with writer.change() as tx:
            for edit in edits:
                perform(writer, edit)
    changes = writer.changes()
    if not changes:
        return
    doc = Document(actor=b"\x02" * 16)
    doc.apply_changes(changes[:-1])
    if concurrent:
        with doc.change() as tx:
            doc["mine"] = 1
    assert tx is not None
    before, heads = exact(doc.to_py()), doc.heads
    hostile = chunk(altered(body_of(changes[-1]), steps))
    try:
        doc.apply_changes([hostile], replay=replay)
    except CrdtError:
        assert (exact(doc.to_py()), doc.heads) == (before, heads)
    with doc.change():
        doc["goes"] = "on"
    reloaded = Document.load(doc.save())
    assert reloaded.heads == doc.heads
    assert exact(reloaded.to_py()) == exact(doc.to_py())
