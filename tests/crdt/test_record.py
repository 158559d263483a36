"""A record reads and writes what a document does, as long as changes put scalars at the root, one after the other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from crdt_forge import Change, Op, integer
from crdt_strategies import exact
from hypothesis import given
from hypothesis import strategies as st
from lichen_crdt import Counter, CrdtError, Document, Record, Text

ACTORS = (b"a" * 16, b"b" * 16)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
puts = st.dictionaries(st.text(max_size=3), scalars, min_size=1, max_size=4)
lines = st.lists(st.tuples(st.sampled_from(ACTORS), puts), min_size=1, max_size=6)


def written(doc: Document, actor: bytes, values: dict[str, Any], time: int) -> list[bytes]:
    doc.actor = actor
    with doc.change(None, time) as tx:
        doc.update(values)
    return [change for _, change in tx.changes]


@given(lines)
def test_a_document_takes_what_a_record_writes_and_holds_the_same(line: list[tuple[bytes, dict[str, Any]]]) -> None:
    record, doc = Record(), Document()
    for time, (actor, values) in enumerate(line):
        change_hash, change = record.change(actor, values, time)
        doc.apply_changes([change], strict=True)
        assert (doc.heads, record.heads) == ((change_hash,),) * 2
        assert exact(record.to_py()) == exact(doc.to_py())
    assert exact(Document.load(doc.save()).to_py()) == exact(record.to_py())


@given(lines, st.integers(0, 6))
def test_a_record_takes_what_a_document_writes(line: list[tuple[bytes, dict[str, Any]]], at: int) -> None:
    doc = Document()
    changes = [change for time, (actor, values) in enumerate(line) for change in written(doc, actor, values, time)]
    record = Record()
    assert record.take(changes[:at]) is not None
    keys = record.take(changes[at:])
    assert keys is not None
    assert set(keys) <= {key for _, values in line for key in values}
    assert exact(record.to_py()) == exact(doc.to_py())
    assert record.heads == doc.heads
    values = {"another": 1, "more": None}
    assert written(doc, ACTORS[0], values, 7) == [record.change(ACTORS[0], values, 7)[1]]


OTHER_THAN_PUTS: dict[str, Any] = {
    "a text": lambda doc: doc.update(a=Text("x")),
    "a counter": lambda doc: doc.update(a=Counter(1)),
    "a map": lambda doc: doc.update(a={}),
    "a list": lambda doc: doc.update(a=[1]),
    "a deletion": lambda doc: doc.pop("key"),
}


@pytest.mark.parametrize("name", OTHER_THAN_PUTS)
def test_what_is_more_than_putting_scalars_is_not_taken_and_changes_nothing(name: str) -> None:
    doc, record = Document(), Record()
    record.take(written(doc, ACTORS[0], {"key": 1}, 0))
    first = written(doc, ACTORS[0], {"key": 2}, 0)
    with doc.change() as tx:
        OTHER_THAN_PUTS[name](doc)
    assert record.take([*first, *(change for _, change in tx.changes)]) is None
    assert record.to_py() == {"key": 1}
    assert record.take(first) == ["key"]


def test_what_does_not_follow_or_is_not_valid_is_not_taken() -> None:
    doc, record = Document(), Record()
    first = written(doc, ACTORS[0], {"key": 1}, 0)
    beside = doc.fork()
    second, third = (written(doc, ACTORS[0], {"key": value}, 0) for value in (2, 3))
    other = written(beside, ACTORS[1], {"key": 4}, 0)
    assert record.take(second) is None, "the first is missing"
    record.take(first)
    assert record.take(first) is None, "it is there"
    assert record.take(third) is None, "the second is missing"
    record.take(second)
    assert record.take(other) is None, "it is beside the second"
    assert record.take([b"no change"]) is None
    assert record.take([third[0][:-1] + bytes([third[0][-1] ^ 1])]) is None, "its checksum is wrong"
    doc.merge(beside)
    assert record.take(doc.changes([record.heads[0]])) is None
    assert record.to_py() == {"key": 2}


A, B = ACTORS
FIRST = Change(actor=A, ops=(Op(key="key", value=integer(1)), Op(key="more", value=integer(1))))
NEXT = Change(actor=A, seq=2, start_op=3, deps=(FIRST.hash,), ops=(Op(key="key", value=integer(2), pred=((1, A),)),))
FORGED = {
    "no predecessor": NEXT.but(ops=(Op(key="key", value=integer(2)),)),
    "another predecessor": NEXT.but(ops=(Op(key="key", value=integer(2), pred=((2, A),)),)),
    "two predecessors": NEXT.but(ops=(Op(key="key", value=integer(2), pred=((1, A), (2, A))),)),
    "a predecessor of nobody": NEXT.but(ops=(Op(key="new", value=integer(2), pred=((1, B),)),)),
    "a number that is too high": NEXT.but(start_op=4),
    "a number that is taken": NEXT.but(start_op=2),
    "a seq that is taken": NEXT.but(seq=1),
    "a seq that is too high": NEXT.but(seq=3),
    "another actor's seq": NEXT.but(actor=B, seq=2),
    "an object that is not there": NEXT.but(ops=(Op(obj=(1, A), key="key", value=integer(2)),)),
    "an author beside the first change": NEXT.but(extra=b"\x01\x02me"),
    "an insertion": NEXT.but(ops=(Op(key="key", insert=True, value=integer(2)),)),
    "no operations": NEXT.but(ops=()),
    "an actor that is not used": NEXT.but(others=(B,)),
    "a value of no known type": NEXT.but(ops=(Op(key="key", value=(14, b"x"), pred=((1, A),)),)),
}


def test_a_change_of_another_program_is_taken() -> None:
    record = Record()
    assert record.take([FIRST.encode(), NEXT.encode()]) == ["key", "more", "key"]
    assert record.to_py() == {"key": 2, "more": 1}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_change_is_not_taken_and_changes_nothing(name: str) -> None:
    record = Record()
    record.take([FIRST.encode()])
    assert record.take([FORGED[name].encode()]) is None
    assert (record.to_py(), record.heads) == ({"key": 1, "more": 1}, (FIRST.hash,))


def test_what_cannot_be_written_changes_nothing() -> None:
    record = Record()
    record.change(ACTORS[0], {"key": 1})
    heads = record.heads
    for values in ({"key": Counter(1)}, {"key": [1]}, {"key": Text("x")}, {"key": {}}):
        with pytest.raises(TypeError):
            record.change(ACTORS[0], values)  # type: ignore[arg-type]  # none of them is a scalar
    with pytest.raises(TypeError):
        record.change(ACTORS[0], {1: 1})  # type: ignore[dict-item]  # it is refused
    with pytest.raises(OverflowError):
        record.change(ACTORS[0], {"key": "x" * 200}, max_bytes=100)
    with pytest.raises(CrdtError):
        record.change(ACTORS[0], {})
    for actor in (b"", bytes(129)):
        with pytest.raises(ValueError, match="1 to 128 bytes"):
            record.change(actor, {"key": 1})
    with pytest.raises(OverflowError, match="others would not take"):
        record.change(A, {f"{number}{'k' * 200_000}": number for number in range(90)})
    with pytest.raises(ValueError, match="time"):
        record.change(ACTORS[0], {"key": 2}, 1 << 62)
    assert (record.heads, record.to_py()) == (heads, {"key": 1})


@given(st.lists(st.tuples(lines, st.integers(0, 6)), max_size=5))
def test_many_records_are_what_each_is_that_takes_its_changes(
    many: list[tuple[list[tuple[bytes, dict[str, Any]]], int]],
) -> None:
    """Of each document a change may be missing, which no record passes over."""
    lists = []
    for line, missing in many:
        doc = Document()
        changes = [change for time, (actor, values) in enumerate(line) for change in written(doc, actor, values, time)]
        lists.append(changes[:missing] + changes[missing + 1 :])
    for record, changes in zip(Record.many(lists), lists, strict=True):
        alone = Record()
        if alone.take(changes) is None:
            assert record is None
        else:
            assert record is not None
            assert (record.heads, exact(record.to_py())) == (alone.heads, exact(alone.to_py()))
            assert record.change(ACTORS[0], {"more": 1}) == alone.change(ACTORS[0], {"more": 1})
