"""Files that no honest program writes: refused in proportion to their bytes, or loaded as what their changes are."""

from __future__ import annotations

import time

import pytest
from crdt_forge import HEAD, MAKE_LIST, Change, Op, chunk, delta, prefixed, rle, sleb, uleb
from crdt_forged_files import (
    ALICE,
    BOB,
    EXAMPLE,
    FILE,
    body,
    encode,
    refuse,
    with_body,
    with_column,
)
from crdt_format import DocumentBody, Meta, Row, Saved, deflate, join, pack
from crdt_strategies import Edit, perform, transactions
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen_crdt import (
    Document,
    InvalidDocument,
    MissingDependencies,
    Text,
)


def test_changes_after_a_document_are_checked_as_any_others() -> None:
    later = Change(actor=BOB, seq=2, start_op=30, deps=EXAMPLE.heads)
    loaded = Document.load(FILE + later.encode())
    assert loaded["k"] is None
    assert Document.load(FILE + pack(later.body())) == loaded
    for bad in (later.but(seq=3), later.but(start_op=3), later.but(ops=(Op(obj=(99, ALICE)),))):
        refuse(FILE + bad.encode())
        refuse(FILE + pack(bad.body()))
    refuse(FILE + later.encode()[:-1])
    refuse(FILE + b"\x00")
    refuse(chunk(b"", kind=3))


def test_two_documents_in_one_file_are_merged() -> None:
    other = EXAMPLE.fork(actor=b"\x33" * 16)
    with other.change():
        other["more"] = 1
    assert Document.load(FILE + other.save()) == other
    assert Document.load(other.save() + FILE) == other


def test_changes_that_build_on_what_is_missing_are_refused_or_left_out() -> None:
    doc = Document(actor=ALICE)
    for number in range(3):
        with doc.change():
            doc["n"] = number
    first, _, third = doc.changes()
    with pytest.raises(MissingDependencies):
        Document.load(first + third)
    assert Document.load(first + third, partial=True).to_py() == {"n": 0}
    assert Document.load(third, partial=True).to_py() == {}


def test_nothing_at_all_is_an_empty_document() -> None:
    assert Document.load(b"").to_py() == {}


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 2), transactions), min_size=1, max_size=6), st.sets(st.integers(0, 9)))
def test_what_honest_writers_save_is_loaded(history: list[tuple[int, list[Edit]]], merges: set[int]) -> None:
    docs = [Document(actor=bytes([number]) * 16) for number in range(3)]
    for step, (writer, edits) in enumerate(history):
        with docs[writer].change():
            for edit in edits:
                perform(docs[writer], edit)
        if step in merges:
            docs[(writer + 1) % 3].merge(docs[writer])
    for doc in docs[1:]:
        docs[0].merge(doc)
    loaded = Document.load(docs[0].save())
    assert loaded.heads == docs[0].heads
    assert repr(loaded.to_py()) == repr(docs[0].to_py())  # not-a-number is equal to nothing


# Bombs: few bytes that stand for much.


def quickly(data: bytes, seconds: float = 0.2) -> None:
    began = time.process_time()
    refuse(data)
    assert time.process_time() - began < seconds


def test_a_compressed_column_is_inflated_only_up_to_the_limit() -> None:
    forged = body()
    packed = deflate(bytes(30_000_000))
    columns = [(spec, packed if spec == 0x57 else data) for spec, data in forged.ops]
    layout = uleb(len(columns)) + b"".join(uleb(spec | 8 * (spec == 0x57)) + uleb(len(data)) for spec, data in columns)
    whole = forged.encode()
    head = whole[: whole.index(forged.heads[0]) + 32 * len(forged.heads)]
    changes = b"".join(data for _, data in forged.changes)
    changes_layout = uleb(len(forged.changes))
    changes_layout += b"".join(uleb(spec) + uleb(len(data)) for spec, data in forged.changes)
    bomb = head + changes_layout + layout + changes + b"".join(data for _, data in columns)
    refuse(join([(0, bomb)]), max_bytes=1_000_000)


def test_compressed_changes_together_are_inflated_only_up_to_the_limit() -> None:
    packed = deflate(bytes(900_000))
    bomb = (b"\x85\x6f\x4a\x83" + bytes(4) + b"\x02" + prefixed(packed)) * 2000
    quickly(bomb[:-1] + b"\x00", seconds=2)


@pytest.mark.parametrize("spec", [0x01, 0x02, 0x11, 0x13, 0x15, 0x21, 0x23, 0x34, 0x42, 0x56, 0x80, 0x81, 0x83, 0xA5])
def test_a_run_of_a_trillion_is_refused_at_once(spec: int) -> None:
    run = uleb(10**12) if spec == 0x34 else sleb(10**12) + (prefixed(b"x") if spec in (0x15, 0xA5) else b"\x01")
    quickly(with_column(spec, run))


def test_a_trillion_changes_are_refused() -> None:
    runs = [(0x01, sleb(10**12) + b"\x00"), (0x03, sleb(10**12) + b"\x01"), (0x13, sleb(10**12) + b"\x01")]
    bomb = with_body(changes=[*runs, (0x40, sleb(10**12) + b"\x00"), (0x56, sleb(10**12) + b"\x07")])
    quickly(bomb, seconds=5)
    with pytest.raises(InvalidDocument, match="too many changes"):
        Document.load(bomb, max_operations=1_000)


def test_thousands_of_chunks_cost_what_their_bytes_do() -> None:
    quickly(chunk(b"") * 20_000)
    changes = [Change(actor=n.to_bytes(16, "big")).encode() for n in range(2_000)]
    assert len(Document.load(b"".join(changes)).heads) == 2_000


def test_the_limits_are_exact() -> None:
    doc = Document(actor=ALICE)
    with doc.change():
        doc["t"] = Text("x" * 99)
    data = doc.save()
    assert Document.load(data, max_operations=100) == doc
    refuse(data, max_operations=99)
    with doc.change():
        doc["t"].delete(0, 99)
    data = doc.save()
    assert Document.load(data, max_operations=199) == doc
    refuse(data, max_operations=198)
    refuse(data, max_bytes=len(data) - 1)
    log = b"".join(doc.changes())
    assert Document.load(log, max_operations=199) == doc
    refuse(log, max_operations=198)


def test_a_document_of_thousands_of_branches_loads() -> None:
    branches = [Change(actor=n.to_bytes(2, "big"), ops=(Op(key=str(n)),)) for n in range(4_200)]
    deps = tuple(branch.hash for branch in branches)
    over = Op(key="0", pred=((1, branches[0].actor),))  # so that it is looked at what lies in its past
    doc = Document()
    doc.apply_changes([*(branch.encode() for branch in branches), Change(start_op=2, deps=deps, ops=(over,)).encode()])
    assert Document.load(doc.save()) == doc


def test_a_history_too_tangled_to_check_is_refused() -> None:
    """Two long chains, each change of another actor, are merged again and again, and all of that at the end."""
    count, merges = 20_000, 900
    columns: dict[int, list[int]] = {
        0x01: [*range(count), *range(merges), count - 1],
        0x03: [1] * count + [2] * (merges + 1),
        0x13: [0] * (count + merges + 1),
        0x40: [0, 0] + [1] * (count - 2) + [2] * merges + [merges],
        0x43: [*range(count - 2)] + [count - 2, count - 1] * merges + [*range(count, count + merges)],
        0x56: [7] * (count + merges + 1),
    }
    deltas = (0x03, 0x13, 0x43)
    changes = [(spec, delta(rows) if spec in deltas else rle(rows, uleb)) for spec, rows in columns.items()]
    forged = DocumentBody([n.to_bytes(3, "big") for n in range(count)], [], changes, [], b"")
    with pytest.raises(InvalidDocument, match="tangled"):
        Document.load(join([(0, forged.encode())]))


def test_objects_nest_as_deep_in_a_file_as_in_a_document() -> None:
    for levels in (200, 201):
        rows = [Row((1, 0), Op(MAKE_LIST, key="deep"), ())]
        rows += [Row((n + 1, 0), Op(MAKE_LIST, obj=(n, ALICE), key=HEAD, insert=True), ()) for n in range(1, levels)]
        data = encode(Saved([ALICE], [Meta(0, 1, levels, 0, ())], rows))
        change = Change(ops=tuple(row.op for row in rows)).encode()
        if levels == 200:
            assert Document.load(data) == Document.load(change)
        else:
            refuse(data)
            refuse(change)
