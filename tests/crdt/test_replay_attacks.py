"""Changes on exactly the heads, which replay tries: each ends as without replay, and leaves nothing half done."""

from __future__ import annotations

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
    Id,
    Op,
    counter,
    integer,
    string,
)
from crdt_strategies import exact
from lichen_crdt import CrdtError, Document, InvalidChange

ALICE, MALLORY, BOB, CAROL = b"\x11" * 16, b"\x66" * 16, b"\x22" * 16, b"\x33" * 16
MAKE_TABLE = 6
TRUE = (2, b"")


def at(number: int, actor: bytes = ALICE) -> Id:
    return number, actor


BODY, LIST, MAP, MARKED = at(1), at(5), at(10), at(11)
SECOND = at(3)

BASE = Change(
    actor=ALICE,
    ops=(
        Op(MAKE_TEXT, key="body"),
        Op(SET, obj=BODY, key=HEAD, insert=True, value=string("h")),
        Op(SET, obj=BODY, key=at(2), insert=True, value=string("i")),
        Op(SET, obj=BODY, key=at(3), insert=True, value=string("!")),
        Op(MAKE_LIST, key="list"),
        Op(SET, obj=LIST, key=HEAD, insert=True, value=integer(1)),
        Op(SET, obj=LIST, key=at(6), insert=True, value=integer(2)),
        Op(SET, key="n", value=counter(3)),
        Op(SET, key="k", value=string("v")),
        Op(MAKE_MAP, key="m"),
        Op(MAKE_TEXT, key="marked"),
        Op(SET, obj=MARKED, key=HEAD, insert=True, value=string("a")),
        Op(SET, obj=MARKED, key=at(12), insert=True, value=string("b")),
        Op(MARK, obj=MARKED, key=HEAD, insert=True, mark="bold", value=TRUE, expand=True),
        Op(MARK, obj=MARKED, key=at(12), insert=True, expand=True),
    ),
)
# Two heads: they write `k` at once, and one of them deletes the last of the text and of the list.
LEFT = Change(
    actor=ALICE,
    seq=2,
    start_op=16,
    deps=(BASE.hash,),
    ops=(
        Op(SET, key="k", value=string("w"), pred=(at(9),)),
        Op(DELETE, obj=LIST, key=at(7), pred=(at(7),)),
        Op(DELETE, obj=BODY, key=at(4), pred=(at(4),)),
    ),
)
RIGHT = Change(actor=CAROL, start_op=16, deps=(BASE.hash,), ops=(Op(SET, key="k", value=string("z"), pred=(at(9),)),))
NEXT = Change(actor=MALLORY, start_op=19, deps=(LEFT.hash, RIGHT.hash), ops=(Op(SET, key="new", value=string("x")),))
BOTH = (at(16), at(16, CAROL))


def of(*ops: Op) -> Change:
    return NEXT.but(ops=ops)


def put(value: tuple[int, bytes]) -> Change:
    return of(Op(key="new", value=value))


def into(obj: Id, key: str | Id, value: tuple[int, bytes] = string("x"), action: int = SET) -> Change:
    return of(Op(action, obj=obj, key=key, insert=True, value=value))


def mark(
    begin: str | Id = HEAD, end: str | Id = SECOND, obj: Id = BODY, value: tuple[int, bytes] = TRUE, **last: object
) -> Change:
    ops = (
        Op(MARK, obj=obj, key=begin, insert=True, mark="bold", value=value),
        Op(**{"action": MARK, "obj": obj, "key": end, "insert": True, **last}),  # type: ignore[arg-type]
    )
    return of(*ops)


GOOD = (
    Op(key="new", value=string("x")),
    Op(SET, obj=BODY, key=at(2), insert=True, value=string("y")),
    Op(DELETE, obj=LIST, key=at(6), pred=(at(6),)),
)

ATTACKS: dict[str, Change] = {
    "no predecessors where values are": of(Op(key="k")),
    "one predecessor of two": of(Op(key="k", pred=BOTH[:1])),
    "the other predecessor of two": of(Op(key="k", pred=BOTH[1:])),
    "a predecessor that was superseded": of(Op(key="k", pred=(at(9),))),
    "a predecessor of another key": of(Op(key="n", pred=(at(16),))),
    "a predecessor where nothing is": of(Op(key="new", pred=(at(8),))),
    "a predecessor of another actor": of(Op(key="n", pred=(at(8, CAROL),))),
    "deletion of one of two": of(Op(DELETE, key="k", pred=BOTH[:1])),
    "deletion of what is deleted": of(Op(DELETE, obj=LIST, key=at(7), pred=(at(7),))),
    "deletion of nothing": of(Op(DELETE, key="new")),
    "deletion without predecessors": of(Op(DELETE, key="k")),
    "deletion in a text without predecessors": of(Op(DELETE, obj=BODY, key=at(2))),
    "increment of a string": of(Op(INCREMENT, key="k", value=integer(1), pred=BOTH)),
    "increment without predecessors": of(Op(INCREMENT, key="n", value=integer(1))),
    "increment beyond 64 bits": of(Op(INCREMENT, key="n", value=integer(2**63 - 1), pred=(at(8),))),
    "increment by a counter": of(Op(INCREMENT, key="n", value=counter(1), pred=(at(8),))),
    "write on a deleted element": of(Op(obj=LIST, key=at(7), value=integer(9))),
    "write back a deleted element": of(Op(obj=LIST, key=at(7), value=integer(9), pred=(at(7),))),
    "insertion after a deleted element": into(LIST, at(7)),
    "insertion after a deleted character": into(BODY, at(4)),
    "insertion after an element of another object": into(BODY, at(6)),
    "insertion after an element of a text in a list": into(LIST, at(2)),
    "insertion after a map entry": into(BODY, at(9)),
    "insertion after itself": into(BODY, at(19, MALLORY)),
    "insertion after what is not there": into(BODY, at(99)),
    "insertion in a map": into(MAP, HEAD),
    "insertion in a value": into(at(9), HEAD),
    "insertion in no object": into(at(99), HEAD),
    "insertion before a mark": into(MARKED, HEAD),
    "insertion after the begin of a mark": into(MARKED, at(14)),
    "insertion after the end of a mark": into(MARKED, at(15)),
    "write on a mark": of(Op(obj=MARKED, key=at(14), value=string("x"))),
    "deletion of a mark": of(Op(DELETE, obj=MARKED, key=at(14), pred=(at(14),))),
    "map key in a text": of(Op(obj=BODY, key="x")),
    "element in a map": of(Op(key=at(2))),
    "mark": mark(),
    "mark over a deleted character": mark(end=at(4)),
    "mark of nothing": mark(begin=at(2), end=at(19, MALLORY)),
    "mark that ends before it begins": mark(begin=at(3), end=HEAD),
    "mark that ends just before it begins": mark(begin=at(3), end=at(3)),
    "mark that ends in another text": mark(obj=BODY, end=at(12)),
    "mark whose end is of another text": of(
        Op(MARK, obj=BODY, key=HEAD, insert=True, mark="bold", value=TRUE),
        Op(MARK, obj=MARKED, key=at(12), insert=True),
    ),
    "mark in a list": mark(obj=LIST, end=at(6)),
    "mark in a map": mark(obj=MAP),
    "mark whose end is no insertion": mark(insert=False),
    "mark whose end has predecessors": mark(pred=(at(2),)),
    "mark whose end has a value": mark(value=string("x"), mark=None, expand=True),
    "mark whose end is a begin": mark(mark="bold", value=TRUE),
    "mark begin alone": of(Op(MARK, obj=BODY, key=HEAD, insert=True, mark="bold", value=TRUE)),
    "mark end alone": of(Op(MARK, obj=BODY, key=HEAD, insert=True)),
    "mark begin, a character, mark end": of(
        Op(MARK, obj=BODY, key=HEAD, insert=True, mark="bold", value=TRUE),
        Op(SET, obj=BODY, key=at(2), insert=True, value=string("x")),
        Op(MARK, obj=BODY, key=at(3), insert=True),
    ),
    "mark without a name": of(
        Op(MARK, obj=BODY, key=HEAD, insert=True, mark="", value=TRUE), Op(MARK, obj=BODY, key=at(3), insert=True)
    ),
    "mark taken away": mark(begin=HEAD, end=at(12), obj=MARKED, value=(0, b"")),
    "mark of a counter": mark(value=counter(1)),
    "mark name on a character": of(Op(SET, obj=BODY, key=HEAD, insert=True, value=string("x"), mark="bold")),
    "expand on a character": of(Op(SET, obj=BODY, key=HEAD, insert=True, value=string("x"), expand=True)),
    **{f"value of type {kind}": put((kind, b"")) for kind in range(16)},
    **{f"value of type {kind} with a byte": put((kind, b"\x01")) for kind in range(16)},
    **{f"value of type {kind} with eight bytes": put((kind, b"\xff" * 7 + b"\x00")) for kind in (3, 4, 5, 6, 8, 9, 12)},
    "number with a byte too many": put((4, b"\x81\x00")),
    "not-a-number of another kind": put((5, b"\x01\x00\x00\x00\x00\x00\xf8\x7f")),
    "word in one operation": into(BODY, at(2), string("word")),
    "empty string in a text": into(BODY, at(2), string("")),
    "number in a text": into(BODY, at(2), integer(7)),
    "counter in a text": into(BODY, at(2), counter(7)),
    "counter in a text, and an increment of it": of(
        Op(SET, obj=BODY, key=at(2), insert=True, value=counter(7)),
        Op(INCREMENT, obj=BODY, key=at(19, MALLORY), value=integer(1), pred=(at(19, MALLORY),)),
    ),
    "bytes in a text": into(BODY, at(2), (7, b"\xff")),
    "write on a character": of(Op(obj=BODY, key=at(2), value=string("X"), pred=(at(2),))),
    "block in a text": into(BODY, at(2), (0, b""), MAKE_MAP),
    "list in a text": into(BODY, at(2), (0, b""), MAKE_LIST),
    "text in a text": into(BODY, at(2), (0, b""), MAKE_TEXT),
    "object with a value": into(LIST, HEAD, string("x"), MAKE_MAP),
    "table": of(Op(MAKE_TABLE, key="new")),
    "unknown action": of(Op(8, key="new")),
    "empty key": of(Op(key="")),
    "key with a zero": of(Op(key="a\x00b")),
    "message": NEXT.but(message=b"m\x00\xc3\xa9"),
    "message that is not UTF-8": NEXT.but(message=b"\xff"),
    "first time": NEXT.but(time=-(2**62)),
    "last time": NEXT.but(time=2**62 - 1),
    "time before the first": NEXT.but(time=-(2**62) - 1),
    "time before all": NEXT.but(time=-(2**63)),
    "time after the last": NEXT.but(time=2**62),
    "time after all": NEXT.but(time=2**63 - 1),
    "bytes after the columns": NEXT.but(extra=b"\x00more"),
    "no operations": NEXT.but(ops=()),
    "numbers that leave a gap": NEXT.but(start_op=20),
    "numbers that begin too early": NEXT.but(start_op=18),
    "numbers that end too late": NEXT.but(start_op=2**31),
    "seq with a gap": NEXT.but(seq=2),
    "actor of the document": NEXT.but(actor=BOB),
    "actor of the document, seq with a gap": NEXT.but(actor=BOB, seq=2),
    "another's actor": NEXT.but(actor=ALICE, seq=3),
    "another's actor and seq": NEXT.but(actor=ALICE, seq=2),
    "actor of no bytes": NEXT.but(actor=b""),
    "actor of 128 bytes": NEXT.but(actor=b"\x01" * 128),
    "actor of 129 bytes": NEXT.but(actor=b"\x01" * 129),
    "actors that are not used": NEXT.but(others=(BOB,)),
    "one dependency of two": NEXT.but(deps=(LEFT.hash,)),
    "a dependency too many": NEXT.but(deps=(BASE.hash, LEFT.hash, RIGHT.hash)),
    "good operations alone": of(*GOOD),
    "good operations, then a wrong predecessor": of(*GOOD, Op(key="n", pred=(at(99),))),
    "good operations, then a wrong element": of(*GOOD, Op(SET, obj=BODY, key=at(6), insert=True, value=string("x"))),
    "good operations, then an element in the wrong object": of(*GOOD, Op(DELETE, obj=BODY, key=at(6), pred=(at(6),))),
    "good operations, then half a mark": of(*GOOD, Op(MARK, obj=BODY, key=HEAD, insert=True, mark="b", value=TRUE)),
    "good operations, then an increment of a string": of(*GOOD, Op(INCREMENT, key="k", value=integer(1), pred=BOTH)),
    "good operations, then a deletion of nothing": of(*GOOD, Op(DELETE, key="none")),
    "good operations, one of them twice": of(*GOOD, GOOD[2]),
    "what the change itself made, at another number": of(
        Op(MAKE_MAP, key="new"), Op(obj=at(20, MALLORY), key="x"), Op(obj=at(19, MALLORY), key="y")
    ),
    "characters that follow one another in two texts": of(
        Op(SET, obj=BODY, key=at(2), insert=True, value=string("x")),
        Op(SET, obj=MARKED, key=at(19, MALLORY), insert=True, value=string("y")),
    ),
}


def document() -> Document:
    doc = Document(actor=BOB)
    doc.apply_changes([BASE.encode()])
    doc.apply_changes([LEFT.encode(), RIGHT.encode()])
    return doc


def state(doc: Document) -> object:
    """All that a document is; a save may list concurrent changes in another order after a rebuild."""
    marks = [doc.text(name).marks() for name in ("body", "marked")]
    return doc.heads, sorted(doc.changes()), exact(doc.to_py()), repr(doc.conflicts("k")), marks, doc.actor


def outcome(doc: Document, change: Change, *, replay: bool, strict: bool) -> str:
    """What became of a change: the type of the error, or taken."""
    try:
        doc.apply_changes([change.encode()], replay=replay, strict=strict)
    except CrdtError as error:
        return type(error).__name__
    return "taken"


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "not strict"])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_change_on_the_heads_ends_as_it_does_without_replay(name: str, strict: bool) -> None:
    doc, control = document(), document()
    before = state(doc)
    became = outcome(doc, ATTACKS[name], replay=True, strict=strict)
    assert became == outcome(control, ATTACKS[name], replay=False, strict=strict)
    assert state(doc) == state(control)
    assert (became == "taken") == (ATTACKS[name].hash in doc.heads)
    assert (became == "taken") != (state(doc) == before)
    assert state(Document.load(doc.save(), actor=BOB)) == state(doc)
    for one in (doc, control):
        with one.change(time=1):
            one["goes"] = "on"
            one.text("body").insert(0, ">")
            one.text("marked").append("<")
    assert state(doc) == state(control) == state(Document.load(doc.save(), actor=BOB))


def test_the_changes_that_the_attacks_are_made_from_are_replayed() -> None:
    for name in ("mark", "good operations alone", "message", "last time", "actor of the document"):
        doc = document()
        before = doc.replayed
        doc.apply_changes([ATTACKS[name].encode()])
        assert doc.replayed == before + 1


PREDECESSORS = [
    "no predecessors where values are",
    "one predecessor of two",
    "the other predecessor of two",
    "a predecessor that was superseded",
    "deletion of one of two",
]


@pytest.mark.parametrize("name", [*PREDECESSORS, "bytes after the columns", "numbers that leave a gap"])
def test_what_no_local_write_makes_is_seen_before_anything_is_replayed(name: str) -> None:
    doc = document()
    before = doc.replayed
    doc.apply_changes([ATTACKS[name].encode()])
    assert (doc.mismatched, doc.rebuilt, doc.replayed) == (0, 0, before)


def test_a_replay_of_which_only_the_hash_differs_is_taken_back() -> None:
    doc = document()
    doc.apply_changes([ATTACKS["insertion before a mark"].encode()])
    assert (doc.mismatched, doc.rebuilt) == (1, 1)
    assert doc.heads == (ATTACKS["insertion before a mark"].hash,)


def test_a_stranger_who_writes_as_the_documents_own_actor_is_followed_on() -> None:
    doc = document()
    theirs = NEXT.but(actor=BOB)
    doc.apply_changes([theirs.encode()])
    with doc.change() as tx:
        doc["mine"] = 1
    assert [info.seq for info in doc.history() if info.actor == BOB] == [1, 2]
    follower = document()
    follower.apply_changes([theirs.encode(), tx.changes[0][1]], strict=True)
    assert follower.heads == doc.heads


LARGE = Change(
    actor=ALICE,
    seq=3,
    start_op=19,
    deps=NEXT.deps,
    ops=(
        Op(MAKE_TEXT, key="long"),
        *(
            Op(SET, obj=at(19), key=at(18 + n) if n > 1 else HEAD, insert=True, value=string("x"))
            for n in range(1, 5_001)
        ),
    ),
)
"""Enough that further changes are applied beside the document."""


@pytest.mark.parametrize(
    "name",
    [
        *PREDECESSORS,
        "insertion before a mark",
        "mark that ends before it begins",
        "good operations, then a wrong element",
        "good operations, then an element in the wrong object",
        "good operations, one of them twice",
    ],
)
def test_in_a_large_document_it_is_the_same(name: str) -> None:
    doc, control = document(), document()
    change = ATTACKS[name].but(start_op=19 + len(LARGE.ops), deps=(LARGE.hash,))
    for one in (doc, control):
        one.apply_changes([LARGE.encode()])
    became = [outcome(doc, change, replay=True, strict=True) for _ in range(2)]
    assert became == [outcome(control, change, replay=False, strict=True) for _ in range(2)]
    assert state(doc) == state(control) == state(Document.load(doc.save(), actor=BOB))


def after_the_mark(count: int) -> list[Change]:
    """Valid changes, each on the one before, that replay makes otherwise."""
    changes: list[Change] = []
    for number in range(count):
        deps = (changes[-1].hash,) if changes else NEXT.deps
        op = Op(SET, obj=MARKED, key=at(15), insert=True, value=string("x"))
        changes.append(NEXT.but(seq=number + 1, start_op=19 + number, deps=deps, ops=(op,)))
    return changes


def test_replays_that_fail_again_and_again_cost_one_rebuild_and_are_tried_less_and_less() -> None:
    doc, control = document(), document()
    changes = [change.encode() for change in after_the_mark(300)]
    for change in changes:
        doc.apply_changes([change], strict=True)
    control.apply_changes(changes, replay=False)
    assert state(doc) == state(control)
    assert doc.rebuilt == 1
    assert 1 < doc.mismatched <= 9  # 2, 4, 8 ... changes are left to the crate in between


def test_batches_that_end_in_an_invalid_change_cost_one_rebuild() -> None:
    doc = document()
    before = state(doc)
    bad = NEXT.but(actor=CAROL, seq=2, start_op=20, deps=(NEXT.hash,), ops=(Op(obj=(99, ALICE)),))
    for number in range(40):
        with pytest.raises(InvalidChange):
            doc.apply_changes([NEXT.encode(), bad.but(time=number).encode()])
        assert state(doc) == before
    assert (doc.rebuilt, doc.mismatched) == (1, 0)


def test_trust_that_was_earned_again_can_be_lost_once_more_at_the_cost_of_one_rebuild() -> None:
    doc = document()
    [first] = after_the_mark(1)
    doc.apply_changes([first.encode()])
    writer = Document.load(doc.save(), actor=CAROL[:15])
    for number in range(300):
        with writer.change() as tx:
            writer["number"] = number
        doc.apply_changes([data for _, data in tx.changes])
    assert doc.rebuilt == 1
    odd = Op(SET, obj=MARKED, key=at(15), insert=True, value=string("x"))
    later = NEXT.but(seq=2, start_op=320, deps=tuple(sorted((*doc.heads, first.hash))), ops=(odd,))
    doc.apply_changes([later.encode()])
    assert (doc.rebuilt, doc.mismatched) == (2, 2)
    assert Document.load(doc.save()) == doc


def test_half_a_batch_that_was_replayed_is_taken_back_with_the_rest() -> None:
    doc = document()
    before = state(doc)
    chain = [NEXT.but(ops=GOOD)]
    for number in range(4):
        last = chain[-1]
        op = Op(SET, obj=BODY, key=at(2), insert=True, value=string(str(number)))
        chain.append(last.but(seq=last.seq + 1, start_op=last.start_op + len(last.ops), deps=(last.hash,), ops=(op,)))
    bad = chain[-1].but(ops=(Op(SET, obj=BODY, key=at(6), insert=True, value=string("x")),))
    with pytest.raises(InvalidChange):
        doc.apply_changes([*(change.encode() for change in chain[:-1]), bad.encode()])
    assert state(doc) == before
    doc.apply_changes([change.encode() for change in chain])
    assert str(doc["body"]) == "h3210yi"
