"""What makes a change valid, clause by clause: one test for each, with what is just allowed beside what is not.

Clause                                                      Test
an uncompressed change chunk                                test_only_an_uncompressed_change_chunk_is_taken
at most 65,536 operations, counted before any is built      test_at_most_65536_operations_are_counted_from_run_lengths
no column stands for more rows than there are operations    test_no_column_stands_for_more_than_the_operations
its dependencies are here                                   test_a_change_whose_dependencies_are_not_here_waits
seq is the actor's last + 1, which lies in its past         test_seq_follows_the_actors_last_change_in_the_past
start_op is (strict: one) above the highest of its past     test_start_op_lies_above_the_highest_of_the_past
the last operation lies below 2^31                          test_the_last_operation_lies_below_2_to_the_31
every object lies in its past                               test_an_object_lies_in_the_past
every element lies in its past                              test_an_element_lies_in_the_past
every predecessor lies in its past                          test_a_predecessor_lies_in_the_past
all of these exist                                          test_what_an_operation_names_exists
all of these fit the type of their object                   test_what_an_operation_names_fits_its_object
its time lies in -2^62 .. 2^62                               test_a_time_leaves_room_for_its_differences
an author is named by the first change of an actor alone    test_an_author_is_named_by_the_first_change_of_an_actor
objects nest at most 200 deep                               test_objects_nest_at_most_200_deep
no two operations have one id                               test_operation_ids_do_not_overlap

The many single cases of the last clauses are in test_hostile.py and test_replay_attacks.py.
"""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Iterator

import pytest
from crdt_forge import (
    DELETE,
    HEAD,
    MAKE_LIST,
    MAKE_TEXT,
    SET,
    Change,
    Id,
    Op,
    chunk,
    encode_ops,
    integer,
    prefixed,
    sleb,
    string,
    uleb,
)
from crdt_strategies import exact
from lichen_crdt import ActorReused, CrdtError, Document, InvalidChange, MissingDependencies, inspect

ALICE, MALLORY, BOB = b"\x11" * 16, b"\x66" * 16, b"\x22" * 16
TEXT, LIST = (1, ALICE), (3, ALICE)
BASE = Change(
    actor=ALICE,
    ops=(
        Op(MAKE_TEXT, key="text"),
        Op(SET, obj=TEXT, key=HEAD, insert=True, value=string("a")),
        Op(MAKE_LIST, key="list"),
        Op(SET, obj=LIST, key=HEAD, insert=True, value=integer(1)),
    ),
)
# Alice goes on; whoever builds on BASE alone has not seen it.
LATER = Change(
    actor=ALICE,
    seq=2,
    start_op=5,
    deps=(BASE.hash,),
    ops=(
        Op(MAKE_LIST, key="unseen"),
        Op(SET, obj=TEXT, key=(2, ALICE), insert=True, value=string("b")),
        Op(key="value", value=string("v")),
    ),
)
NEXT = Change(actor=MALLORY, start_op=5, deps=(BASE.hash,))
AFTER = Change(actor=MALLORY, start_op=8, deps=(LATER.hash,))


def documents() -> list[Document]:
    """One whose heads are BASE, and one that has LATER too."""
    plain, later = Document(actor=BOB), Document(actor=BOB)
    plain.apply_changes([BASE.encode()])
    later.apply_changes([BASE.encode(), LATER.encode()])
    return [plain, later]


def refuse(doc: Document, *changes: bytes, error: type[CrdtError] = InvalidChange, strict: bool = False) -> None:
    """They are refused with and without replay, the document stays as it was, goes on, and can be loaded again."""
    before = (doc.heads, doc.save(), doc.actor, exact(doc.to_py()))
    for replay in (True, False):
        with pytest.raises(error) as caught:
            doc.apply_changes(changes, strict=strict, replay=replay)
        assert type(caught.value) is error
        assert (doc.heads, doc.save(), doc.actor, exact(doc.to_py())) == before
    going_on = doc.fork()
    with going_on.change():
        going_on["goes"] = "on"
    assert Document.load(going_on.save()) == going_on


def take(doc: Document, *changes: bytes, strict: bool = False) -> None:
    """They are taken with and without replay, alike, and the document can be loaded again."""
    control = doc.fork()
    control.apply_changes(changes, strict=strict, replay=False)
    doc.apply_changes(changes, strict=strict)
    assert doc.save() == control.save()
    assert exact(Document.load(doc.save()).to_py()) == exact(doc.to_py())


def test_only_an_uncompressed_change_chunk_is_taken() -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(NEXT.body()) + deflate.flush()
    compressed = NEXT.encode()[:8] + b"\x02" + prefixed(packed)
    for doc in documents():
        assert Document.load(doc.save() + compressed).heads != doc.heads  # a file may compress it
        refuse(doc, compressed)
        for kind in (0, 2, 3, 255):
            refuse(doc, chunk(NEXT.body(), kind))
        refuse(doc, doc.save())
        take(doc, NEXT.encode())


ROW = {
    0x15: sleb(-1) + prefixed(b"k"),
    0x34: uleb(1),
    0x42: sleb(-1) + uleb(1),
    0x56: sleb(-1) + uleb(0),
    0x70: sleb(-1) + uleb(0),
}
ONE = {0x34: uleb, 0x94: uleb, 0x13: lambda n: sleb(n) + sleb(1), 0x73: lambda n: sleb(n) + sleb(1)}
STRINGS = {0x15: b"k", 0xA5: b"b"}


def repeated(column: int, count: int) -> bytes:
    """A column that stands for so many rows."""
    if column in STRINGS:
        return sleb(count) + prefixed(STRINGS[column])
    return ONE[column](count) if column in ONE else sleb(count) + uleb(0 if column != 0x42 else 1)


def with_columns(columns: dict[int, bytes]) -> bytes:
    head = NEXT.but(ops=()).body()[:-1]
    found = sorted(columns.items())
    layout = uleb(len(found)) + b"".join(uleb(column) + uleb(len(data)) for column, data in found)
    return chunk(head + layout + b"".join(data for _, data in found))


def test_at_most_65536_operations_are_counted_from_run_lengths() -> None:
    keys = [f"{number:05}" for number in range(65_537)]
    take(documents()[0], NEXT.but(ops=tuple(map(write_at, keys[:-1]))).encode(), strict=True)
    refuse(documents()[0], NEXT.but(ops=tuple(map(write_at, keys))).encode())
    with pytest.raises(InvalidChange, match="limits"):
        inspect(with_columns(ROW | {0x42: repeated(0x42, 10**15)}))


def write_at(key: str) -> Op:
    return Op(key=key)


@pytest.mark.parametrize("column", [0x01, 0x02, 0x11, 0x13, 0x15, 0x34, 0x56, 0x70, 0x71, 0x73, 0x94, 0xA5, 0xC2])
def test_no_column_stands_for_more_than_the_operations(column: int) -> None:
    assert inspect(with_columns(ROW)).operations == 1
    for count in (2, 65_537, 10**15):
        with pytest.raises(InvalidChange, match="stands for more"):
            inspect(with_columns(ROW | {column: repeated(column, count)}))
    nulls = b"\x00" + uleb(10**15)
    if column not in (0x34, 0x94):
        with pytest.raises(InvalidChange, match="stands for more"):
            inspect(with_columns(ROW | {column: nulls}))


def test_no_column_is_there_twice() -> None:
    head = NEXT.but(ops=()).body()[:-1]
    two = uleb(2) + (uleb(0x42) + uleb(len(ROW[0x42]))) * 2 + ROW[0x42] * 2
    with pytest.raises(InvalidChange, match="sorted and unique"):
        inspect(chunk(head + two))


def test_a_change_whose_dependencies_are_not_here_waits() -> None:
    plain, _ = documents()
    unknown = b"\x77" * 32
    for deps, missing in (((LATER.hash,), [LATER.hash]), ((BASE.hash, unknown), [unknown])):
        before = plain.save()
        with pytest.raises(MissingDependencies) as caught:
            plain.apply_changes([AFTER.but(deps=deps).encode()])
        assert caught.value.hashes == missing or list(caught.value.hashes) == missing
        assert plain.save() == before
    # It is no verdict on the change, whatever else is wrong with it, and it is taken once they are here.
    refuse(plain, AFTER.but(seq=7).encode(), error=MissingDependencies)
    take(plain, AFTER.encode(), LATER.encode(), strict=True)


def test_seq_follows_the_actors_last_change_in_the_past() -> None:
    for doc in documents():
        for seq in (0, 2, 3, 2**63):
            refuse(doc, NEXT.but(seq=seq).encode())
    _, later = documents()
    third = Change(actor=ALICE, seq=3, start_op=8, deps=(LATER.hash,))
    refuse(later, third.but(deps=(BASE.hash,)).encode())  # two is not in its past
    refuse(later, third.but(seq=4).encode())
    refuse(later, third.but(seq=2).encode(), error=ActorReused)
    take(later, third.encode(), strict=True)
    # Nor may it lie elsewhere in the same batch.
    plain, _ = documents()
    refuse(plain, LATER.encode(), third.but(deps=(BASE.hash,)).encode())


def test_start_op_lies_above_the_highest_of_the_past() -> None:
    for doc in documents():
        for start in (0, 1, 4):
            refuse(doc, NEXT.but(start_op=start).encode())
        refuse(doc, NEXT.but(start_op=6).encode(), strict=True)
        take(doc.fork(), NEXT.but(start_op=6).encode())
        take(doc, NEXT.encode(), strict=True)
    # The past ends with the highest of all dependencies, not of the first or last.
    one, two = NEXT.but(start_op=50), NEXT.but(actor=BOB, seq=1)
    for deps in itertools.permutations((one.hash, two.hash)):
        doc = Document()
        doc.apply_changes([BASE.encode(), one.encode(), two.encode()])
        both = Change(actor=ALICE, seq=2, start_op=51, deps=deps)
        refuse(doc, both.but(start_op=50).encode())
        refuse(doc, both.but(start_op=52).encode(), strict=True)
        take(doc, both.encode(), strict=True)


def test_the_last_operation_lies_below_2_to_the_31() -> None:
    ops = (Op(key="a"), Op(key="b"))
    for doc in documents():
        for start in (2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1):
            refuse(doc, NEXT.but(start_op=start, ops=ops).encode())
        take(doc, NEXT.but(start_op=2**31 - 2, ops=ops).encode())
        with pytest.raises(CrdtError, match="used up"), doc.change():
            doc["x"] = 1


def unseen(name: Op, seen: Op) -> None:
    """Refused where what it names is here but not in its past, in either order, and taken where it is in its past."""
    plain, later = documents()
    refuse(later, NEXT.but(ops=(name,)).encode())
    refuse(plain, LATER.encode(), NEXT.but(ops=(name,)).encode())
    refuse(plain, NEXT.but(ops=(name,)).encode(), LATER.encode())
    refuse(plain, NEXT.but(ops=(name,)).encode())
    take(later, AFTER.but(ops=(name,)).encode(), strict=True)
    take(plain, LATER.encode(), AFTER.but(ops=(seen, name)).encode(), strict=True)


def test_an_object_lies_in_the_past() -> None:
    unseen(Op(obj=(5, ALICE), key=HEAD, insert=True, value=integer(1)), Op(key="a"))


def test_an_element_lies_in_the_past() -> None:
    unseen(Op(obj=TEXT, key=(6, ALICE), insert=True, value=string("c")), Op(key="a"))


def test_a_predecessor_lies_in_the_past() -> None:
    unseen(Op(key="value", pred=((7, ALICE),)), Op(key="a"))


@pytest.mark.parametrize("known", [0, 150, 299])
def test_the_past_is_that_of_any_graph_of_many_actors(known: int) -> None:
    """Changes of 300 actors that fork and merge at random; then one that writes over what an earlier one wrote."""
    rng = random.Random(known)
    made: list[Change] = []
    pasts: list[set[int]] = []
    for number in range(300):
        near = range(max(0, number - rng.choice((1, 5, 300))), number)
        deps = rng.sample(near, min(len(near), rng.choice((0, 1, 1, 2, 3))))
        pasts.append({number}.union(*(pasts[dep] for dep in deps)))
        made.append(
            Change(
                actor=number.to_bytes(2, "big"),
                start_op=1 + max((made[at].start_op for at in pasts[number] - {number}), default=0),
                deps=tuple(made[dep].hash for dep in deps),
                ops=(Op(key=f"k{number}"),),
            )
        )
    changes = [change.encode() for change in made]
    doc = Document(actor=BOB)
    doc.apply_changes(changes[:known])
    for _ in range(20):
        heads = rng.sample(range(300), rng.choice((1, 2, 3)))
        past = set().union(*(pasts[head] for head in heads))
        over = rng.choice([*past]) if rng.random() < 0.5 else rng.randrange(300)
        probe = Change(
            actor=MALLORY,
            start_op=1 + max(made[at].start_op for at in past),
            deps=tuple(made[head].hash for head in heads),
            ops=(Op(key=f"k{over}", pred=((made[over].start_op, made[over].actor),)),),
        )
        copy = doc.fork()
        if over in past:
            copy.apply_changes([*changes, probe.encode()], strict=True)
            assert len(copy.changes()) == 301
        else:
            with pytest.raises(InvalidChange, match="a predecessor is not in the past"):
                copy.apply_changes([*changes, probe.encode()])


def test_what_an_operation_names_exists() -> None:
    for doc in documents():
        for actor in (ALICE, MALLORY, BOB):
            ident: Id = (99, actor)
            refuse(doc, NEXT.but(ops=(Op(obj=ident, key="k"),)).encode())
            refuse(doc, NEXT.but(ops=(Op(obj=TEXT, key=ident, insert=True, value=string("x")),)).encode())
            refuse(doc, NEXT.but(ops=(Op(key="list", pred=(ident,)),)).encode())
        # An operation after it in the same change does not exist yet.
        refuse(doc, NEXT.but(ops=(Op(obj=(6, MALLORY), key="k"), Op(0, key="map"))).encode())
        take(doc, NEXT.but(ops=(Op(0, key="map"), Op(obj=(5, MALLORY), key="k"))).encode(), strict=True)


def test_what_an_operation_names_fits_its_object() -> None:
    for doc in documents():
        for op in (
            Op(obj=(2, ALICE), key="k"),  # a character is no object
            Op(obj=TEXT, key="k"),
            Op(key=(2, ALICE)),
            Op(obj=TEXT, key=(4, ALICE), insert=True, value=string("x")),  # an element of the list
            Op(obj=TEXT, key=(3, ALICE), insert=True, value=string("x")),  # an entry of the root
            Op(key="text", pred=((3, ALICE),)),
            Op(DELETE, obj=TEXT, key=(2, ALICE), pred=((4, ALICE),)),
        ):
            refuse(doc, NEXT.but(ops=(op,)).encode())
        take(doc, NEXT.but(ops=(Op(DELETE, obj=TEXT, key=(2, ALICE), pred=((2, ALICE),)),)).encode(), strict=True)


def test_objects_nest_at_most_200_deep() -> None:
    for doc in documents():
        ops = [Op(MAKE_LIST, key="deep")]
        ops += [Op(MAKE_LIST, obj=(number, MALLORY), key=HEAD, insert=True) for number in range(5, 204)]
        one_more = Op(MAKE_LIST, obj=(204, MALLORY), key=HEAD, insert=True)
        refuse(doc, NEXT.but(ops=(*ops, one_more)).encode())
        deep = NEXT.but(ops=tuple(ops))
        take(doc, deep.encode(), strict=True)
        refuse(doc, NEXT.but(seq=2, start_op=205, deps=(deep.hash,), ops=(one_more,)).encode())


def test_a_time_leaves_room_for_its_differences() -> None:
    # A save holds the difference of one time and the next: beyond 64 bits, every later write failed.
    for doc in documents():
        for time in (-(2**63), -(2**62) - 1, 2**62, 2**63 - 1):
            refuse(doc, NEXT.but(time=time).encode())
            with pytest.raises(ValueError, match="time"):
                doc.change(time=time).__enter__()
        take(doc, NEXT.but(time=-(2**62)).encode(), strict=True)
        with doc.change(time=2**62 - 1):
            doc["x"] = 1
        assert Document.load(doc.save()) == doc


def test_an_author_is_named_by_the_first_change_of_an_actor() -> None:
    # In the bytes after the columns; the core panicked, also where a file had brought the change.
    author, no_author = b"\x01\x02me", b"\x01\x05me"
    for doc in documents():
        first = NEXT.but(extra=author)
        going_on = NEXT.but(seq=2, start_op=6, deps=(first.hash,), ops=(Op(key="more"),))
        take(doc, first.encode(), strict=True)
        refuse(doc, going_on.but(extra=author).encode())
        refuse(doc, going_on.but(extra=b"\x81\x00\x82\x00me").encode())  # the same in longer numbers
        take(doc, going_on.but(extra=no_author).encode(), strict=True)
        fork = doc.fork(actor=MALLORY[::-1])
        with fork.change():
            fork["x"] = 1
        doc.merge(fork)
        assert Document.load(doc.save()) == doc


def test_operation_ids_do_not_overlap() -> None:
    long = NEXT.but(ops=tuple(map(write_at, "abcdef")))
    second = NEXT.but(seq=2, deps=(long.hash,))
    for doc in documents():
        for start in (5, 8, 10):
            refuse(doc, long.encode(), second.but(start_op=start).encode())
        refuse(doc, long.encode(), second.but(seq=1, start_op=11).encode(), error=ActorReused)
        take(doc, long.encode(), second.but(start_op=11).encode(), strict=True)


def test_a_change_is_encoded_in_the_one_way_that_a_save_keeps() -> None:
    idle = NEXT.but(others=(b"\x33" * 16,)).encode()  # an actor that no operation names
    crowd = [*many(2_000)]
    for doc in documents():
        refuse(doc, idle)
        refuse(doc, *crowd, idle)
        take(doc, *crowd, NEXT.encode())


def test_a_keystroke_in_a_large_batch_is_encoded_in_the_one_way_that_a_save_keeps() -> None:
    crowd = [*many(600)]
    typed = Op(SET, obj=TEXT, key=(2, ALICE), insert=True, value=string("é"))
    first = Op(SET, obj=TEXT, key=HEAD, insert=True, value=string("b"))
    deleted = Op(DELETE, obj=TEXT, key=(2, ALICE), pred=((2, ALICE),))
    for op in (typed, first, deleted):
        change = NEXT.but(ops=(op,))
        doc = documents()[0]
        for body in otherwise(change):
            refuse(doc, *crowd, chunk(body))
        take(doc, *crowd, change.encode())


def otherwise(change: Change) -> Iterator[bytes]:
    """The bodies of a change with a longer seq, with an idle actor, and with a repetition of one for a value."""
    body = change.body()
    seq = 1 + 32 + 1 + 16
    yield body[:seq] + b"\x81\x00" + body[seq + 1 :]
    yield change.but(others=(ALICE, b"\x33" * 16)).body()
    columns = b"".join(data for _, data in encode_ops(change.ops, [MALLORY, ALICE].index))
    start = len(body) - len(columns)
    for at in range(start, len(body)):
        if body[at] == 0x7F:
            yield body[:at] + b"\x01" + body[at + 1 :]


def test_a_large_batch_is_taken_in_any_order_and_each_change_once() -> None:
    crowd = [*many(2_000)]
    for doc in documents():
        take(doc, *reversed(crowd), *crowd, crowd[7])


def many(count: int) -> Iterator[bytes]:
    """Changes, each on the one before it, the first on BASE."""
    change = NEXT.but(actor=b"\x77" * 16)
    for _ in range(count):
        yield change.encode()
        change = change.but(seq=change.seq + 1, start_op=change.start_op + 1, deps=(change.hash,))
