"""Changes that no honest program makes: each is refused, and leaves the document as it was."""

from __future__ import annotations

import resource
import time
import tracemalloc
import zlib
from dataclasses import replace

import pytest
from crdt_forge import (
    DELETE,
    HEAD,
    INCREMENT,
    MAKE_LIST,
    MAKE_MAP,
    MAKE_TEXT,
    MARK,
    SET,
    Change,
    Op,
    chunk,
    counter,
    integer,
    prefixed,
    sleb,
    string,
    uleb,
)
from lichen_crdt import (
    ActorReused,
    CrdtError,
    Document,
    InvalidChange,
    MissingDependencies,
    Undo,
    apply_patches,
    inspect,
)

ALICE, MALLORY, BOB = b"\x11" * 16, b"\x66" * 16, b"\x22" * 16

BASE = Change(
    actor=ALICE,
    ops=(
        Op(MAKE_TEXT, key="body"),
        Op(SET, obj=(1, ALICE), key=HEAD, insert=True, value=string("h")),
        Op(SET, obj=(1, ALICE), key=(2, ALICE), insert=True, value=string("i")),
        Op(MAKE_LIST, key="list"),
        Op(SET, obj=(4, ALICE), key=HEAD, insert=True, value=integer(1)),
        Op(SET, key="n", value=counter(3)),
        Op(SET, key="k", value=string("v")),
    ),
)
LATER = Change(actor=ALICE, seq=2, start_op=8, deps=(BASE.hash,), ops=(Op(key="later", value=string("x")),))
NEXT = Change(actor=MALLORY, start_op=8, deps=(BASE.hash,))


def op(**fields: object) -> tuple[Op, ...]:
    return (Op(**fields),)  # type: ignore[arg-type]


def in_text(**fields: object) -> tuple[Op, ...]:
    return op(**{"obj": (1, ALICE), "key": (2, ALICE), "insert": True, "value": string("x"), **fields})


HOSTILE = {
    "start_op below its past": NEXT.but(start_op=7),
    "start_op of one": NEXT.but(start_op=1),
    "start_op of zero": NEXT.but(start_op=0),
    "start_op of 2^31": NEXT.but(start_op=2**31),
    "start_op near 2^32": NEXT.but(start_op=2**32 - 2),
    "start_op near 2^64": NEXT.but(start_op=2**64 - 1),
    "no operations, and a gap before them": NEXT.but(start_op=9, ops=()),
    "seq zero": NEXT.but(seq=0),
    "seq with a gap": NEXT.but(seq=2),
    "seq of another's past": NEXT.but(seq=2**40),
    "own change not in the past": LATER.but(seq=3, deps=(BASE.hash,), start_op=9),
    "map key in a text": NEXT.but(ops=op(obj=(1, ALICE), key="x")),
    "map key in a list": NEXT.but(ops=op(obj=(4, ALICE), key="x")),
    "element in a map": NEXT.but(ops=op(key=(2, ALICE))),
    "insertion in a map": NEXT.but(ops=op(key="x", insert=True)),
    "head in a map": NEXT.but(ops=op(key=HEAD, insert=True)),
    "write on the head of a list": NEXT.but(ops=op(obj=(4, ALICE), key=HEAD)),
    "unknown object": NEXT.but(ops=op(obj=(99, ALICE), key="x")),
    "object of an unknown actor": NEXT.but(ops=op(obj=(1, BOB), key="x")),
    "object that is a value": NEXT.but(ops=op(obj=(7, ALICE), key="x")),
    "object made by a later change": NEXT.but(ops=op(obj=(8, ALICE), key="x")),
    "object that the change makes afterwards": NEXT.but(ops=(Op(obj=(9, MALLORY), key="x"), Op(MAKE_MAP, key="m"))),
    "unknown element": NEXT.but(ops=in_text(key=(99, ALICE))),
    "element of another object": NEXT.but(ops=in_text(key=(5, ALICE))),
    "element that is a map entry": NEXT.but(ops=in_text(key=(7, ALICE))),
    "element of an unknown actor": NEXT.but(ops=in_text(key=(2, BOB))),
    "element after itself": NEXT.but(ops=in_text(key=(8, MALLORY))),
    "unknown predecessor": NEXT.but(ops=op(pred=((99, ALICE),))),
    "predecessor of an unknown actor": NEXT.but(ops=op(pred=((7, BOB),))),
    "predecessor at another key": NEXT.but(ops=op(key="other", pred=((7, ALICE),))),
    "predecessor in another object": NEXT.but(
        ops=op(obj=(1, ALICE), key=(2, ALICE), value=string("x"), pred=((5, ALICE),))
    ),
    "predecessors out of order": NEXT.but(ops=op(key="n", pred=((7, ALICE), (6, ALICE)))),
    "predecessor twice": NEXT.but(ops=op(pred=((7, ALICE), (7, ALICE)))),
    "insertion with a predecessor": NEXT.but(ops=in_text(pred=((2, ALICE),))),
    "deletion of nothing": NEXT.but(ops=op(action=DELETE, key="k")),
    "insertion of a deletion": NEXT.but(ops=in_text(action=DELETE, value=(0, b""))),
    "increment of a string": NEXT.but(ops=op(action=INCREMENT, value=integer(1), pred=((7, ALICE),))),
    "increment of nothing": NEXT.but(ops=op(action=INCREMENT, key="k", value=integer(1))),
    "increment by a string": NEXT.but(ops=op(action=INCREMENT, key="n", value=string("x"), pred=((6, ALICE),))),
    "unknown action": NEXT.but(ops=op(action=44)),
    "value longer than its bytes": NEXT.but(ops=op(value=(9, b""))),
    "text that is not UTF-8": NEXT.but(ops=op(value=(6, b"\xff\xfe"))),
    "mark begin alone": NEXT.but(ops=in_text(action=MARK, mark="b", value=(2, b""))),
    "mark end alone": NEXT.but(ops=in_text(action=MARK, value=(0, b""))),
    "mark in a map": NEXT.but(ops=op(action=MARK, mark="b", value=(2, b""))),
    "mark in a list": NEXT.but(
        ops=(
            Op(MARK, obj=(4, ALICE), key=HEAD, insert=True, mark="b", value=(2, b"")),
            Op(MARK, obj=(4, ALICE), key=(5, ALICE), insert=True),
        )
    ),
    "mark that ends before it begins": NEXT.but(
        ops=(
            Op(MARK, obj=(1, ALICE), key=(3, ALICE), insert=True, mark="b", value=(2, b"")),
            Op(MARK, obj=(1, ALICE), key=HEAD, insert=True),
        )
    ),
    "mark that ends just before it begins": NEXT.but(
        ops=(
            Op(MARK, obj=(1, ALICE), key=(3, ALICE), insert=True, mark="b", value=(2, b"")),
            Op(MARK, obj=(1, ALICE), key=(3, ALICE), insert=True),
        )
    ),
    **{
        f"{what} in the place of the {part} of a mark": NEXT.but(
            ops=(
                Op(MARK, obj=(1, ALICE), key=(2, ALICE), insert=True, mark="b", value=(2, b"")),
                Op(MARK, obj=(1, ALICE), key=(3, ALICE), insert=True),
                Op(action, obj=(1, ALICE), key=(number, MALLORY), value=value),
            )
        )
        for part, number in (("begin", 8), ("end", 9))
        for what, action, value in (("character", SET, string("x")), ("block", MAKE_MAP, (0, b"")))
    },
    "actors that are not used": NEXT.but(others=(BOB,)),
    "dependencies on itself twice": NEXT.but(deps=(BASE.hash, BASE.hash)),
}


def document(concurrent: bool) -> Document:
    doc = Document(actor=BOB)
    doc.apply_changes([BASE.encode()])
    if concurrent:
        doc.apply_changes([LATER.encode()])
    return doc


@pytest.mark.parametrize("concurrent", [False, True], ids=["on the heads", "concurrent"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_change_is_refused_and_changes_nothing(name: str, concurrent: bool) -> None:
    doc = document(concurrent)
    saved, heads = doc.save(), doc.heads
    change = HOSTILE[name].encode()
    for strict in (True, False):
        with pytest.raises(InvalidChange):
            doc.apply_changes([change], strict=strict)
    assert (doc.save(), doc.heads, doc.actor) == (saved, heads, BOB)
    with doc.change():
        doc["goes"] = "on"
    assert Document.load(doc.save()) == doc


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_change_spoils_its_whole_batch(name: str) -> None:
    doc = Document(actor=BOB)
    with pytest.raises(CrdtError):
        doc.apply_changes([BASE.encode(), LATER.encode(), HOSTILE[name].encode()])
    assert doc.heads == ()
    assert doc.to_py() == {}


def test_the_changes_that_the_hostile_ones_are_made_from_are_valid() -> None:
    doc = document(concurrent=True)
    good = NEXT.but(ops=(*in_text(), *op(pred=((7, ALICE),)), *op(action=DELETE, key="n", pred=((6, ALICE),))))
    doc.apply_changes([good.encode()], strict=True)
    assert doc.to_py() == {"body": "hxi", "k": None, "later": "x", "list": [1]}
    assert Document.load(doc.save()) == doc


@pytest.mark.parametrize("replay", [True, False])
def test_an_increment_that_takes_the_place_of_what_showed_has_its_patch(replay: bool) -> None:
    doc = document(concurrent=False)
    beside = NEXT.but(ops=op(key="n", value=string("x")))
    shown = doc.to_py() | {"n": "x"}
    preds = ((6, ALICE), (8, MALLORY))
    count = NEXT.but(
        seq=2, start_op=9, deps=(beside.hash,), ops=op(action=INCREMENT, key="n", value=integer(5), pred=preds)
    )
    doc.apply_changes([beside.encode()])
    assert doc.to_py() == shown
    patches = doc.apply_changes([count.encode()], strict=True, replay=replay)
    assert apply_patches(shown, patches) == doc.to_py()
    assert doc["n"] == 8


def test_a_write_that_others_would_not_take_is_taken_back() -> None:
    doc = document(concurrent=False)
    doc.apply_changes([NEXT.but(ops=op(key="many", value=counter(1)) * 1_024).encode()], strict=True)

    def count(times: int) -> None:
        with doc.change():
            for _ in range(times):  # each names all the counters
                doc["many"] += 1

    before = doc.save()
    with pytest.raises(OverflowError, match="for others to take it: it was taken back"):
        count(300)
    assert doc.save() == before
    count(200)
    other = Document()
    other.apply_changes(doc.changes(), strict=True)
    assert other == doc


def test_marks_of_counters_and_in_texts_that_lie_in_texts_have_patches_that_fit() -> None:
    doc = document(concurrent=False)
    mark = (
        Op(MARK, obj=(1, ALICE), key=(2, ALICE), insert=True, mark="b", value=counter(3)),
        Op(MARK, obj=(1, ALICE), key=(3, ALICE), insert=True),
    )
    inner = (
        Op(MAKE_TEXT, obj=(1, ALICE), key=(3, ALICE), insert=True),
        Op(SET, obj=(10, MALLORY), key=HEAD, insert=True, value=string("x")),
        Op(MARK, obj=(10, MALLORY), key=HEAD, insert=True, mark="b", value=(2, b"")),
        Op(MARK, obj=(10, MALLORY), key=(11, MALLORY), insert=True),
    )
    before, rich = doc.heads, doc.to_py(rich=True)
    patches = doc.apply_changes([NEXT.but(ops=(*mark, *inner)).encode()], strict=True)
    assert doc["body"].marks()[0].value == 3
    assert apply_patches(rich, patches, rich=True) == doc.to_py(rich=True)
    for start in ([], before):
        rich = doc.at(start).to_py(rich=True)
        assert apply_patches(rich, doc.diff(start), rich=True) == doc.to_py(rich=True)


def test_a_text_whose_items_are_as_many_as_its_characters_but_others_is_read_right() -> None:
    # Three characters in one item, and a mark of nothing, which is two more.
    doc = document(concurrent=False)
    text = (
        Op(MAKE_TEXT, obj=(4, ALICE), key=(5, ALICE), insert=True),
        Op(SET, obj=(8, MALLORY), key=HEAD, insert=True, value=string("xyz")),
        Op(MARK, obj=(8, MALLORY), key=(9, MALLORY), insert=True, mark="b", value=(2, b"")),
        Op(MARK, obj=(8, MALLORY), key=(10, MALLORY), insert=True),
    )
    doc.apply_changes([NEXT.but(ops=text).encode()], strict=True)
    before = doc.to_py(rich=True)
    assert doc["list"][1] == "xyz"
    for found in (doc["list"][1], doc.at(doc.heads)["list"][1]):
        assert [(run.start, run.end, run.actor) for run in found.blame()] == [(0, 3, MALLORY)]
    with doc.change():
        del doc["list"][1]
    Undo(doc).undo()
    assert doc.to_py(rich=True) == before


def test_a_gap_in_the_numbers_is_refused_only_when_strict() -> None:
    gap = NEXT.but(start_op=20)
    for concurrent in (False, True):
        with pytest.raises(InvalidChange):
            document(concurrent).apply_changes([gap.encode()], strict=True)
        doc = document(concurrent)
        doc.apply_changes([gap.encode()])
        assert Document.load(doc.save()) == doc


def test_a_change_that_replay_would_number_otherwise_goes_the_other_way() -> None:
    doc = document(concurrent=False)
    gap = NEXT.but(start_op=20, ops=op(key="x", value=string("y")))
    doc.apply_changes([gap.encode()])
    assert doc.heads == (gap.hash,)
    assert doc.replayed == 1  # the first change, not this one
    assert doc["x"] == "y"


def test_a_document_whose_numbers_are_used_up_takes_no_more_writes() -> None:
    doc = document(concurrent=False)
    doc.apply_changes([NEXT.but(start_op=2**31 - 1).encode()])
    for _ in range(2):
        with pytest.raises(CrdtError, match="used up"), doc.change():
            doc["x"] = 1
    assert Document.load(doc.save()) == doc


def test_bytes_after_the_columns_are_kept() -> None:
    doc = document(concurrent=True)
    change = NEXT.but(extra=b"\x00more").encode()
    doc.apply_changes([change])
    loaded = Document.load(doc.save())
    assert loaded.change_by_hash(inspect(change).hash) == change


def test_a_second_change_of_one_actor_and_seq_is_refused() -> None:
    doc = document(concurrent=False)
    doc.apply_changes([NEXT.encode()])
    with pytest.raises(ActorReused):
        doc.apply_changes([NEXT.but(time=5).encode()])
    with pytest.raises(ActorReused):
        document(concurrent=False).apply_changes([NEXT.encode(), NEXT.but(time=5).encode()])
    assert doc.heads == (NEXT.hash,)


def test_a_million_operations_in_a_hundred_bytes_are_refused_at_once() -> None:
    body = NEXT.body()
    columns = [(0x15, sleb(1_000_000) + prefixed(b"k")), (0x34, uleb(1_000_000)), (0x42, sleb(1_000_000) + uleb(1))]
    bomb = chunk(with_columns(body, columns))
    assert len(bomb) < 150
    refuse_quickly(bomb)


def test_a_million_predecessors_in_a_hundred_bytes_are_refused_at_once() -> None:
    runs = [(0x15, sleb(-1) + prefixed(b"k")), (0x34, uleb(1)), (0x42, sleb(-1) + uleb(1))]
    pred = [(0x70, sleb(-1) + uleb(2**40)), (0x71, sleb(2**40) + uleb(0)), (0x73, sleb(2**40) + sleb(1))]
    refuse_quickly(chunk(with_columns(NEXT.body(), [*runs, (0x56, sleb(-1) + uleb(0)), *pred])))


def test_a_long_key_repeated_is_refused_at_once() -> None:
    key = prefixed(b"k" * 10_000)
    columns = [(0x15, sleb(60_000) + key), (0x34, uleb(60_000)), (0x42, sleb(60_000) + uleb(1))]
    refuse_quickly(chunk(with_columns(NEXT.body(), columns)))


def with_columns(body: bytes, columns: list[tuple[int, bytes]]) -> bytes:
    """The head of a change with other columns."""
    head = NEXT.but(ops=()).body()
    assert body
    meta = uleb(len(columns)) + b"".join(uleb(spec) + uleb(len(data)) for spec, data in columns)
    return head[:-1] + meta + b"".join(data for _, data in columns)


def refuse_quickly(bomb: bytes) -> None:
    doc = document(concurrent=False)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(InvalidChange):
        inspect(bomb)
    with pytest.raises(InvalidChange):
        doc.apply_changes([bomb])
    assert time.process_time() - began < 0.05
    tracemalloc.stop()


def test_a_compressed_change_is_refused_without_inflating_it() -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(bytes(50_000_000)) + deflate.flush()
    bomb = b"\x85\x6f\x4a\x83" + b"\x00" * 4 + b"\x02" + uleb(len(packed)) + packed
    refuse_quickly(bomb)


def test_other_chunks_are_refused() -> None:
    doc = document(concurrent=False)
    for kind in (0, 2, 3, 4, 255):
        with pytest.raises(InvalidChange):
            doc.apply_changes([chunk(NEXT.body(), kind)])
    with pytest.raises(InvalidChange):
        doc.apply_changes([doc.save()])
    with pytest.raises(InvalidChange):
        doc.apply_changes([NEXT.encode() + b"\x00"])


def test_a_million_missing_dependencies_are_bounded() -> None:
    deps = tuple(sorted(n.to_bytes(32, "big") for n in range(10_000)))
    doc = document(concurrent=False)
    with pytest.raises(MissingDependencies) as caught:
        doc.apply_changes([NEXT.but(deps=deps).encode()])
    assert len(caught.value.hashes) == 10_000
    claimed = uleb(1_000_000) + bytes(32)
    with pytest.raises(InvalidChange):
        doc.apply_changes([chunk(claimed)])


def test_changes_of_thousands_of_actors_take_what_their_bytes_do() -> None:
    """Every start of a program is another actor: here each of 6,000 changes builds on that of another one."""
    changes, last = [], Change(actor=ALICE)
    for number in range(6_000):
        last = Change(
            actor=number.to_bytes(16, "big"),
            start_op=last.start_op + 1,
            deps=(last.hash,),
            ops=(Op(pred=((last.start_op, last.actor),)),),
        )
        changes.append(last.encode())
    doc = Document()
    doc.apply_changes([Change(actor=ALICE).encode()])
    before, began = peak_mb(), time.process_time()
    doc.apply_changes(changes)
    assert time.process_time() - began < 3
    assert peak_mb() - before < 150
    assert len(doc.changes()) == 6_001


def test_thousands_of_marks_at_one_place_take_what_their_operations_do() -> None:
    text = (1, ALICE)
    begin = Op(MARK, obj=text, key=(2, ALICE), insert=True, mark="m", value=string("v"))
    end = Op(MARK, obj=text, key=(3, ALICE), insert=True)
    change = Change(actor=MALLORY, start_op=8, deps=(BASE.hash,), ops=(begin, end) * 4_000)
    doc = document(concurrent=False)
    began = time.process_time()
    doc.apply_changes([change.encode()])
    assert time.process_time() - began < 2
    assert [(mark.start, mark.end) for mark in doc["body"].marks()] == [(1, 2)]


def peak_mb() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def test_exactly_the_most_operations_are_taken() -> None:
    ops = tuple(Op(key=f"{n:05}") for n in range(65_536))
    doc = Document()
    doc.apply_changes([Change(ops=ops).encode()])
    assert len(doc) == 65_536
    with pytest.raises(InvalidChange):
        Document().apply_changes([Change(ops=(*ops, Op(key="one more"))).encode()])


def test_values_nested_beyond_reading_are_refused_and_no_crash() -> None:
    ops = [Op(MAKE_LIST, key="deep")]
    ops += [Op(MAKE_LIST, obj=(n, ALICE), key=HEAD, insert=True) for n in range(1, 3_000)]
    doc = Document()
    with pytest.raises(InvalidChange, match="deeper"):
        doc.apply_changes([Change(actor=ALICE, ops=tuple(ops)).encode()])
    assert doc.heads == ()


def test_foreign_cursors_are_refused() -> None:
    doc = document(concurrent=False)
    body, items = doc.text("body"), doc.list("list")
    of_list = items.cursor(0)
    for cursor in (b"", b"\x01", b"\xff" * 40, of_list[:-1], of_list):
        with pytest.raises(CrdtError):
            body.position(cursor)
    assert replace(BASE).hash == BASE.hash
