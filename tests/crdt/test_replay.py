from __future__ import annotations

import random
from typing import Any

import pytest
from crdt_forge import HEAD, MAKE_TEXT, MARK, SET, Change, Op, string
from crdt_strategies import Edit, exact, perform, transactions
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen_crdt import Document, Mark, Patch, Text, TextPatch, apply_patches

ALICE, BOB = b"\x11" * 16, b"\x22" * 16


def check_patches(before: dict[str, Any], patches: list[Patch], doc: Document) -> None:
    assert exact(apply_patches(before, patches)) == exact(doc.to_py())


@settings(max_examples=100)
@given(st.lists(transactions, min_size=1, max_size=8))
def test_a_follower_replays_what_one_writer_does(history: list[list[Edit]]) -> None:
    writer, follower, control = Document(actor=b"\x01" * 16), Document(actor=b"\x02" * 16), Document()
    for number, edits in enumerate(history):
        with writer.change(f"change {number}", time=number) as tx:
            for one in edits:
                perform(writer, one)
        for data in [data for _, data in tx.changes]:
            before = follower.to_py()
            check_patches(before, follower.apply_changes([data], strict=True), follower)
            control.apply_changes([data], replay=False)
    assert follower.heads == writer.heads == control.heads
    assert exact(follower.to_py()) == exact(writer.to_py()) == exact(control.to_py())
    assert follower.save() == control.save()
    assert follower.actor == b"\x02" * 16
    assert follower.mismatched == 0


MARKED = Change(
    actor=ALICE,
    ops=(
        Op(MAKE_TEXT, key="body"),
        Op(SET, obj=(1, ALICE), key=HEAD, insert=True, value=string("h")),
        Op(SET, obj=(1, ALICE), key=(2, ALICE), insert=True, value=string("i")),
        Op(MARK, obj=(1, ALICE), key=HEAD, insert=True, mark="bold", value=(2, b""), expand=True),
        Op(MARK, obj=(1, ALICE), key=(2, ALICE), insert=True, expand=True),
    ),
)


def test_a_replay_that_makes_another_change_is_taken_back() -> None:
    # A local insertion at 0 comes after the begin of the mark; this one comes before it.
    other = Change(
        actor=BOB,
        start_op=6,
        deps=(MARKED.hash,),
        ops=(Op(SET, obj=(1, ALICE), key=HEAD, insert=True, value=string("x")),),
    )
    doc, control = Document(actor=b"\x07" * 16), Document()
    doc.apply_changes([MARKED.encode()])
    patches = doc.apply_changes([other.encode()], strict=True)
    control.apply_changes([MARKED.encode(), other.encode()], replay=False)
    assert doc.mismatched == 1
    assert patches == [TextPatch(("body",), 0, "x", 0)]
    assert doc.heads == control.heads == (other.hash,)
    assert doc.save() == control.save()
    assert doc.actor == b"\x07" * 16
    assert doc.text("body").marks() == control.text("body").marks() == [Mark(1, 2, "bold", True)]


def test_after_a_mismatch_replay_is_tried_again_later() -> None:
    doc, writer = Document(), Document()
    writer.apply_changes([MARKED.encode()])
    doc.apply_changes([MARKED.encode()])
    after, start = MARKED.hash, 6
    for seq in range(1, 4):
        odd = Change(BOB, seq, start, (after,), ops=(Op(SET, (1, ALICE), HEAD, insert=True, value=string("x")),))
        doc.apply_changes([odd.encode()])
        after, start = odd.hash, start + 1
    assert doc.mismatched == 1
    before = doc.replayed
    writer.apply_changes(doc.changes(), replay=False)
    for _ in range(10):
        with writer.change() as tx:
            writer.text("body").append("z")
        doc.apply_changes([data for _, data in tx.changes])
    assert doc.replayed > before
    assert doc.heads == writer.heads
    assert str(doc["body"]) == str(writer["body"]) == "xxxhi" + "z" * 10


def test_a_value_written_again_over_two_of_it_is_not_replayed() -> None:
    # A local write of what is there already keeps it, and deletes what is there beside it.
    one, two = Change(ALICE, ops=(Op(key="a"),)), Change(BOB, ops=(Op(key="a"),))
    both, heads = ((1, ALICE), (1, BOB)), tuple(sorted((one.hash, two.hash)))
    again = Change(b"\x33" * 16, start_op=2, deps=heads, ops=(Op(key="a", pred=both),))
    doc = Document()
    doc.apply_changes([change.encode() for change in (one, two, again)], replay=False)
    late = Document()
    late.apply_changes([one.encode(), two.encode()], replay=False)
    assert late.apply_changes([again.encode()]) != []
    assert (late.heads, late.save(), late.mismatched) == (doc.heads, doc.save(), 0)


def test_typing_is_replayed() -> None:
    writer, follower = Document(), Document()
    with writer.change() as tx:
        writer["body"] = Text()
    follower.apply_changes([tx.bytes or b""])
    rng = random.Random(5)
    for _ in range(300):
        body = writer.text("body")
        with writer.change() as tx:
            at = rng.randrange(len(body) + 1)
            count = min(rng.choice([0, 0, 1, 4]), len(body) - at)
            body.splice(at, count, rng.choice(["a", "🥚b", "" if count else "c"]))
        follower.apply_changes([tx.bytes or b""])
    assert follower.replayed == 301
    assert follower.heads == writer.heads
    assert str(follower["body"]) == str(writer["body"])


@pytest.mark.parametrize("characters", [4, 6_000])
def test_taking_turns_is_replayed(characters: int) -> None:
    one, other = Document(actor=ALICE), Document(actor=BOB)
    with one.change() as tx:
        one["body"] = Text("x" * characters)
    other.apply_changes([data for _, data in tx.changes])
    replayed = one.replayed + other.replayed
    for turn in range(8):
        writer, reader = (one, other) if turn % 2 else (other, one)
        with writer.change() as tx:
            writer["body"].insert(1, "a")
        reader.apply_changes([data for _, data in tx.changes], strict=True)
    assert one.replayed + other.replayed - replayed == 8
    late = Document.load(one.fork(at=()).save())
    late.apply_changes(one.changes()[:2])
    replayed = late.replayed
    late.apply_changes(one.changes()[2:])
    assert late.replayed - replayed == 7
    assert late.save() == one.save() == other.save()
    assert one.mismatched == other.mismatched == late.mismatched == 0


@pytest.mark.parametrize("also", [False, True])
def test_a_change_that_does_not_name_its_actors_last_one_is_not_replayed(also: bool) -> None:
    first = Change(actor=ALICE, ops=(Op(SET, key="a", value=string("1")),))
    second = Change(actor=ALICE, seq=2, start_op=2, deps=(first.hash,), ops=(Op(SET, key="b", value=string("2")),))
    bob = Change(actor=BOB, start_op=3, deps=(second.hash,), ops=(Op(SET, key="c", value=string("3")),))
    deps = tuple(sorted({bob.hash, first.hash} if also else {bob.hash}))
    third = Change(actor=ALICE, seq=3, start_op=4, deps=deps, ops=(Op(SET, key="d", value=string("4")),))
    doc, control = Document(), Document()
    for change in (first, second, bob, third):
        doc.apply_changes([change.encode()])
        control.apply_changes([change.encode()], replay=False)
    assert doc.save() == control.save()
    assert (doc.replayed, doc.mismatched) == (3, 0)
