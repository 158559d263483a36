"""Files that no honest program writes: refused in proportion to their bytes, or loaded as what their changes are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from crdt_forge import DELETE, HEAD, INCREMENT, MAKE_LIST, SET, Change, Op, chunk, prefixed, sleb, string, uleb
from crdt_format import DocumentBody, Meta, Row, Saved, deflate, join, pack, split
from crdt_strategies import Edit, perform, transactions
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen_crdt import Counter as Count
from lichen_crdt import (
    Document,
    InvalidDocument,
    MissingDependencies,
    Text,
)

ALICE, BOB = b"\x11" * 16, b"\x22" * 16


def example() -> Document:
    """Two writers, every type, concurrent edits of the same places."""
    alice = Document(actor=ALICE)
    with alice.change(time=5):
        alice["text"] = Text("hello")
        alice["list"] = [1, {"x": 2.5}, b"z"]
        alice["count"] = Count(2)
        alice["map"] = {"k": None}
    bob = alice.fork(actor=BOB)
    with alice.change():
        alice["text"].insert(2, "XX")
        alice["count"] += 3
        alice["list"][0] = 7
        alice["text"].mark(1, 3, "bold", True)
    with bob.change():
        bob["text"].delete(1, 2)
        bob["count"] += 4
        bob["list"][0] = 8
        del bob["map"]["k"]
    alice.merge(bob)
    return alice


EXAMPLE = example()
FILE = EXAMPLE.save()


def saved() -> Saved:
    [(kind, body)] = split(FILE)
    assert kind == 0
    return Saved.parse(body)


def encode(forged: Saved) -> bytes:
    return join([(0, forged.encode())])


def refuse(data: bytes, **limits: int) -> None:
    with pytest.raises(InvalidDocument):
        Document.load(data, **limits)  # type: ignore[arg-type]


def test_an_honest_file_taken_apart_and_put_together_again_is_the_same() -> None:
    assert encode(saved()) == FILE
    assert Document.load(FILE).to_py() == EXAMPLE.to_py()


def test_no_two_operations_can_change_places() -> None:
    rows = saved().rows
    for first in range(len(rows)):
        for second in range(first + 1, len(rows)):
            forged = saved()
            forged.rows[first], forged.rows[second] = rows[second], rows[first]
            assert forged.hashes() == saved().hashes() or first < second
            refuse(encode(forged))


def row_of(forged: Saved, wanted: Callable[[Op], bool]) -> int:
    return next(index for index, row in enumerate(forged.rows) if wanted(row.op))


def change_row(wanted: Callable[[Op], bool], **fields: object) -> bytes:
    forged = saved()
    index = row_of(forged, wanted)
    row = forged.rows[index]
    forged.rows[index] = replace(row, op=replace(row.op, **fields))  # type: ignore[arg-type]
    return encode(forged)


def change_meta(index: int, **fields: object) -> bytes:
    forged = saved()
    forged.changes[index] = replace(forged.changes[index], **fields)  # type: ignore[arg-type]
    return encode(forged)


def drop_row(wanted: Callable[[Op], bool]) -> bytes:
    forged = saved()
    del forged.rows[row_of(forged, wanted)]
    return encode(forged)


def supersede(wanted: Callable[[Op], bool], *succ: tuple[int, int]) -> bytes:
    forged = saved()
    index = row_of(forged, wanted)
    forged.rows[index] = replace(forged.rows[index], succ=succ)
    return encode(forged)


def in_root(op: Op) -> bool:
    return op.obj is None and op.key == "text"


def is_character(op: Op) -> bool:
    return op.insert and op.value == string("l")


FORGED = {
    "an object that does not exist": lambda: change_row(is_character, obj=(3, ALICE)),
    "an element that does not exist": lambda: change_row(is_character, key=(99, ALICE)),
    "an element of another object": lambda: change_row(is_character, key=(8, ALICE)),
    "an element of a map": lambda: change_row(in_root, key=(2, ALICE)),
    "a map key in a text": lambda: change_row(is_character, key="x"),
    "an insertion in a map": lambda: change_row(in_root, insert=True),
    "a write on the head": lambda: change_row(lambda op: op.key == HEAD, insert=False),
    "a key out of order": lambda: change_row(in_root, key="aaa"),
    "a text that is a value": lambda: change_row(in_root, action=SET),
    "a text that is a list": lambda: change_row(in_root, action=MAKE_LIST),
    "a deletion as a row": lambda: change_row(is_character, action=DELETE, insert=False),
    "an object with a value": lambda: change_row(lambda op: op.key == "map", value=string("x")),
    "an end of a mark with a value": lambda: change_row(lambda op: op.action == 7 and not op.mark, value=string("x")),
    "an unknown action": lambda: change_row(is_character, action=9),
    "an increment of nothing": lambda: change_row(lambda op: op.key == "map", action=INCREMENT, value=(4, b"\x01")),
    "an increment by a string": lambda: change_row(lambda op: op.action == INCREMENT, value=string("x")),
    "a counter that is none": lambda: change_row(lambda op: op.value[0] == 8, value=(4, b"\x02")),
    "a string that is not UTF-8": lambda: change_row(is_character, value=(6, b"\xff")),
    "a number with a byte too many": lambda: change_row(lambda op: op.value == (4, b"\x01"), value=(4, b"\x81\x00")),
    "a float of three bytes": lambda: change_row(lambda op: op.value[0] == 5, value=(5, b"abc")),
    "null with a byte": lambda: change_row(lambda op: op.value[0] == 0 and op.key == "k", value=(0, b"x")),
    "a mark without an end": lambda: drop_row(lambda op: op.action == 7 and op.mark is None),
    "a mark without a begin": lambda: drop_row(lambda op: op.mark is not None),
    "a name of a mark on a character": lambda: change_row(is_character, mark="bold"),
    "a character that is missing": lambda: drop_row(is_character),
    "a successor that is an insertion": lambda: supersede(is_character, (6, 0)),
    "a successor in another place": lambda: supersede(is_character, (18, 1)),
    "a successor twice": lambda: supersede(is_character, (15, 1), (15, 1)),
    "a successor of no change": lambda: supersede(is_character, (999, 1)),
    "a successor that came before": lambda: supersede(is_character, (1, 0)),
    "a dependency on itself": lambda: change_meta(1, deps=(1,)),
    "a dependency on a later change": lambda: change_meta(1, deps=(2,)),
    "a dependency twice": lambda: change_meta(1, deps=(0, 0)),
    "no dependency on the actor's change before": lambda: change_meta(1, deps=()),
    "a seq of two at first": lambda: change_meta(0, seq=2),
    "an actor that does not exist": lambda: with_change_column(0x01, b"\x7d\x00\x00\x05"),
    "a later change numbered as an earlier one": lambda: change_meta(2, actor=1, seq=7),
    "a last operation beyond the last": lambda: change_meta(2, max_op=500),
    "a last operation before the last": lambda: change_meta(2, max_op=16),
    "a last operation of 2^31": lambda: change_meta(2, max_op=2**31),
    "a time that leaves no room for its differences": lambda: change_meta(2, time=-(2**63)),
    "actors out of order": lambda: with_actors([BOB, ALICE]),
    "an actor twice": lambda: with_actors([ALICE, ALICE]),
    "heads of another document": lambda: with_body(heads=[bytes(32), b"\x01" * 32]),
    "no heads": lambda: with_body(heads=[], tail=b""),
    "an unknown column": lambda: with_body(ops=[*body().ops, (0xC2, b"\x7f\x00")]),
    "a column too short": lambda: with_column(0x42, b"\x01\x01"),
    "a column too long": lambda: with_column(0x94, b"\x7f"),
    "a column that is missing": lambda: with_column(0x21, b""),
    "an empty run": lambda: with_column(0x42, b"\x00\x00"),
    "bytes after the heads": lambda: with_body(tail=b"\x01\x02\x03"),
}


def body() -> DocumentBody:
    return DocumentBody.parse(split(FILE)[0][1])


def with_body(**fields: object) -> bytes:
    return join([(0, replace(body(), **fields).encode())])  # type: ignore[type-var]


def with_column(spec: int, data: bytes) -> bytes:
    return with_body(ops=[(found, data if found == spec else old) for found, old in body().ops])


def with_change_column(spec: int, data: bytes) -> bytes:
    return with_body(changes=[(found, data if found == spec else old) for found, old in body().changes])


def with_actors(actors: list[bytes]) -> bytes:
    return join([(0, replace(body(), actors=actors).encode())])


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_document_is_refused(name: str) -> None:
    refuse(FORGED[name]())


def test_an_operation_must_lie_in_the_past_of_what_refers_to_it() -> None:
    base = Change(ops=(Op(4, key="t"), Op(obj=(1, ALICE), key=HEAD, insert=True, value=string("a"))))
    one = Change(seq=2, start_op=3, deps=(base.hash,), ops=(Op(obj=(1, ALICE), key=(2, ALICE), insert=True),))
    doc = Document(actor=BOB)
    doc.apply_changes([base.encode(), one.encode()])
    with doc.change():
        doc["t"].append("b")
    forged = Saved.parse(split(doc.save())[0][1])
    assert encode(forged) == doc.save()
    forged.changes[2] = replace(forged.changes[2], deps=(0,))
    refuse(encode(forged))
    forged.changes[2] = replace(forged.changes[2], deps=())
    refuse(encode(forged))


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


@settings(max_examples=150, deadline=None)
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
    quickly(with_body(changes=[*runs, (0x40, sleb(10**12) + b"\x00"), (0x56, sleb(10**12) + b"\x07")]), seconds=5)


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


def test_a_history_too_tangled_to_check_is_refused() -> None:
    count = 40_000
    actors = [n.to_bytes(3, "big") for n in range(count)]
    writers = sleb(-count) + b"".join(map(uleb, range(count))) + sleb(-1) + b"\x00"
    seqs = sleb(-1) + b"\x01" + sleb(count - 1) + b"\x00" + sleb(-1) + b"\x01"
    deps = [(0x40, sleb(count) + b"\x00" + sleb(-1) + b"\x01"), (0x43, sleb(-1) + b"\x01")]
    changes = [
        (0x01, writers),
        (0x03, seqs),
        (0x13, sleb(count + 1) + b"\x00"),
        *deps,
        (0x56, sleb(count + 1) + b"\x07"),
    ]
    forged = DocumentBody(actors, [], changes, [], b"")
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
