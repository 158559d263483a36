"""Concurrent changes into a large document: nobody waits for them, and nobody's edits are lost."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from crdt_forge import Change, Op
from lichen_crdt import CrdtError, Document, InvalidChange, Text, TextPatch, TransactionOpen, apply_patches, inspect

ALICE, BOB = b"\x01" * 16, b"\x02" * 16
SIZE = 6_000


def concurrent(count: int = 1) -> tuple[Document, list[bytes]]:
    """A large document with an edit of its own, and changes by someone who has not seen that edit."""
    doc = Document(actor=ALICE)
    with doc.change():
        doc["body"] = Text("x" * SIZE)
    writer, changes = doc.fork(BOB), []
    for _ in range(count):
        with writer.change() as tx:
            writer.text("body").insert(0, "y")
        changes += [data for _, data in tx.changes]
    edit(doc)
    return doc, changes


def edit(doc: Document) -> None:
    with doc.change():
        doc.text("body").append("!")


def test_a_change_that_can_be_replayed_is_in_with_the_first_step_and_not_before() -> None:
    doc, _ = concurrent()
    writer = doc.fork(BOB)
    with writer.change() as tx:
        writer.text("body").append("z")
    before, applying = doc.to_py(), doc.applying([tx.bytes or b""])
    assert doc.to_py() == before
    patches = applying.finish()
    assert patches is not None
    assert doc.to_py() == apply_patches(before, patches)
    assert str(doc["body"]).endswith("!z")


@pytest.mark.parametrize("runs", [False, True])
def test_what_is_typed_before_the_first_step_is_in_what_the_patches_lead_on_from(runs: bool) -> None:
    doc = Document(actor=ALICE)
    with doc.change():
        doc["body"] = Text("abc")
    writer = doc.fork(BOB)
    with writer.change() as tx:
        writer.text("body").insert(3, "z")
    applying = doc.applying([tx.bytes or b""])
    edit(doc)
    if runs:
        applying.run()
    before, patches = doc.to_py(), applying.finish()
    assert patches is not None
    assert apply_patches(before, patches) == doc.to_py() == {"body": "abcz!"}
    with pytest.raises(CrdtError):
        applying.finish()


def test_the_first_step_can_be_tried_again_after_a_transaction_and_ends_with_an_error() -> None:
    doc = Document(actor=ALICE)
    writer = doc.fork(BOB)
    with writer.change() as tx:
        writer["title"] = "new"
    good, bad = doc.applying([tx.bytes or b""]), doc.applying([b"no change"])
    with doc.change():
        doc["mine"] = 1
        with pytest.raises(TransactionOpen):
            good.finish()
    assert good.finish() is not None
    with pytest.raises(InvalidChange):
        bad.finish()
    with pytest.raises(CrdtError, match="has ended"):
        bad.finish()
    assert doc == {"title": "new", "mine": 1}


def test_the_document_changes_only_when_the_apply_is_finished() -> None:
    doc, changes = concurrent()
    before = doc.to_py()
    applying = doc.applying(changes)
    assert applying.finish() is None
    applying.run()
    assert doc.to_py() == before
    patches = applying.finish()
    assert patches is not None
    assert apply_patches(before, patches) == doc.to_py()
    assert str(doc["body"]) == "y" + "x" * SIZE + "!"
    with pytest.raises(CrdtError):
        applying.finish()


def test_edits_between_the_steps_are_kept_and_the_patches_lead_on_from_them() -> None:
    doc, changes = concurrent(3)
    applying = doc.applying(changes)
    for _ in range(3):
        applying.run()
        edit(doc)
        assert applying.finish() is None
    applying.run()
    before = doc.to_py()
    patches = applying.finish()
    assert patches is not None
    assert apply_patches(before, patches) == doc.to_py()
    assert str(doc["body"]) == "yyy" + "x" * SIZE + "!!!!"
    assert Document.load(doc.save()) == doc
    assert doc.actor == ALICE


def test_one_apply_after_another_continues_from_edits_made_between_them() -> None:
    doc, changes = concurrent(6)
    control = doc.fork(ALICE)
    for change in changes:
        doc.apply_changes([change], strict=True)
        with doc.change() as tx:
            doc.text("body").insert(1, "own")
        control.apply_changes([change, tx.bytes or b""], strict=True, replay=False)
    assert doc.heads == control.heads
    assert doc.save() == control.save()


def test_two_applies_at_once_each_see_what_was_typed_between_their_steps() -> None:
    doc, (mine, *_) = concurrent()
    other = Document.load(doc.save(), b"\x03" * 16)
    with other.change() as tx:
        other.text("body").insert(1, "z")
    edit(doc)
    first, second = doc.applying([mine]), doc.applying([tx.bytes or b""])
    first.run()
    edit(doc)
    second.run()
    edit(doc)
    for applying in (first, second):
        while applying.finish() is None:
            applying.run()
    assert doc["body"] == "yxz" + "x" * (SIZE - 1) + "!!!!"
    assert Document.load(doc.save()) == doc


def test_an_open_transaction_is_not_disturbed_and_waits_for_nothing() -> None:
    doc, changes = concurrent()
    applying = doc.applying(changes)
    applying.run()
    with doc.change():
        doc.text("body").append("?")
        with pytest.raises(TransactionOpen):
            applying.finish()
    assert applying.finish() is None
    applying.run()
    assert applying.finish() is not None
    assert str(doc["body"]) == "y" + "x" * SIZE + "!?"


def test_local_transactions_begin_and_end_while_a_large_apply_runs() -> None:
    doc, changes = concurrent(2_000)
    running, edits = threading.Event(), 0

    def apply() -> None:
        running.set()
        doc.apply_changes(changes)

    with ThreadPoolExecutor(1) as pool:
        applying = pool.submit(apply)
        running.wait()
        while not applying.done():
            edit(doc)
            edits += 1
        applying.result(60)
    assert edits > 3  # whoever waits for the apply is done with one, or two
    assert str(doc["body"]) == "y" * 2_000 + "x" * SIZE + "!" * (edits + 1)


def test_who_never_pauses_waits_for_one_round_at_last() -> None:
    doc, changes = concurrent()
    applying, rounds = doc.applying(changes), 0
    while applying.finish() is None:
        applying.run()
        edit(doc)
        rounds += 1
    assert rounds > 10
    assert str(doc["body"]) == "y" + "x" * SIZE + "!" * (rounds + 1)


def test_an_invalid_change_changes_nothing_and_the_next_apply_is_as_ever() -> None:
    doc, changes = concurrent(2)
    broken = changes[1][:-1] + bytes([changes[1][-1] ^ 1])
    before = doc.save()
    with pytest.raises(InvalidChange):
        doc.apply_changes([changes[0], broken])
    applying = doc.applying([changes[0], *[broken] * 200])
    with pytest.raises(InvalidChange):
        applying.run()
    with pytest.raises(CrdtError):
        applying.finish()
    assert doc.save() == before
    doc.apply_changes(changes)
    assert str(doc["body"]) == "yy" + "x" * SIZE + "!"


def test_what_another_apply_brought_meanwhile_is_passed_over() -> None:
    doc, changes = concurrent(2)
    applying = doc.applying(changes)
    applying.run()
    doc.apply_changes(changes)
    assert applying.finish() is None
    rounds = 0
    while (patches := applying.finish()) is None:
        applying.run()
        rounds += 1
    assert patches == []
    assert rounds <= 2
    assert str(doc["body"]) == "yy" + "x" * SIZE + "!"


def test_a_transaction_taken_back_between_two_applies_leaves_no_trace() -> None:
    doc, changes = concurrent(2)
    doc.apply_changes(changes[:1])
    transaction = doc.change()
    transaction.__enter__()
    doc["many"] = [0] * 70_000  # more than one change can hold
    transaction.__exit__(ValueError, ValueError(), None)
    doc.apply_changes(changes[1:])
    assert "many" not in doc
    assert str(doc["body"]) == "yy" + "x" * SIZE + "!"


def test_a_long_chain_is_replayed_on_a_copy() -> None:
    doc, _ = concurrent()
    writer, changes = doc.fork(BOB), []
    for _ in range(130):
        with writer.change() as tx:
            writer["n"] = len(changes)
        changes += [data for _, data in tx.changes]
    assert len(changes) > 128
    doc.apply_changes(changes[:1])
    doc.apply_changes(changes[1:])
    doc.apply_changes(changes)
    assert doc["n"] == 129


def follower() -> tuple[Document, Document]:
    """A large document, and a copy at its writer."""
    doc, _ = concurrent()
    doc = Document.load(doc.save(), actor=ALICE)
    return doc, doc.fork(BOB)


def typed(writer: Document, count: int) -> list[bytes]:
    """The changes of as many keystrokes."""
    changes = []
    for _ in range(count):
        with writer.change() as tx:
            writer.text("body").append("z")
        changes.append(tx.bytes or b"")
    return changes


def test_who_follows_and_does_not_write_gets_each_long_batch_whole_and_in_order() -> None:
    doc, writer = follower()
    control = writer.fork(ALICE)
    for count in (300, 1, 300, 20, 300):
        before, changes = doc.to_py(), typed(writer, count)
        assert apply_patches(before, doc.apply_changes(changes, strict=True)) == doc.to_py()
        control.apply_changes(changes, replay=False)
    assert doc.heads == control.heads
    assert doc.save() == control.save()
    assert doc.actor == ALICE


def test_who_begins_to_write_while_following_loses_nothing() -> None:
    doc, writer = follower()
    doc.apply_changes(typed(writer, 300))
    applying = doc.applying(typed(writer, 300))
    applying.run()
    edit(doc)
    assert applying.finish() is None
    applying.run()
    before = doc.to_py()
    assert apply_patches(before, applying.finish() or []) == doc.to_py()
    writer.merge(doc)
    doc.apply_changes(typed(writer, 300))
    assert (doc.heads, doc.to_py()) == (writer.heads, writer.to_py())


def test_a_bad_change_while_following_changes_nothing_and_the_next_batch_is_as_ever() -> None:
    doc, writer = follower()
    doc.apply_changes(typed(writer, 300))
    before, changes = doc.save(), typed(writer, 300)
    last = inspect(changes[-1])
    bad = Change(b"\x03" * 16, start_op=last.start_op + last.operations + 1, deps=(last.hash,))
    with pytest.raises(InvalidChange):
        doc.apply_changes([*changes, bad.encode()], strict=True)
    assert doc.save() == before
    good = bad.but(start_op=bad.start_op - 1).encode()
    doc.apply_changes([*changes, good], strict=True)
    writer.apply_changes([good], strict=True, replay=False)
    assert doc.save() == writer.save()


def scribble(doc: Document, rng: random.Random) -> list[bytes]:
    """Most often a keystroke, sometimes whatever else may be written."""
    with doc.change() as tx:
        body = doc.text("body")
        match rng.randrange(12):
            case 0:
                body.mark(rng.randrange(50), 60, rng.choice(("bold", "link")), rng.choice((True, None, "x")))
            case 1:
                body.split_block(rng.randrange(60), {"type": "p"})
            case 2:
                doc[rng.choice("ab")] = rng.choice((1, 2, Text("new"), [1]))
            case 3 | 4 | 5:
                body.delete(at := rng.randrange(60), at + rng.randrange(1, 4))
            case _:
                body.insert(rng.randrange(60), rng.choice(("k", "é", "🥚", "two")))
    return [data for _, data in tx.changes]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_and_is_written_meanwhile_patches_lead_on(seed: int) -> None:
    rng = random.Random(seed)
    doc, _ = concurrent()
    writer, control, late = doc.fork(BOB), doc.fork(ALICE), [*doc.changes()]
    plain, rich = doc.to_py(), doc.to_py(rich=True)

    def edit_here() -> None:
        nonlocal plain, rich
        written = scribble(doc, rng)
        late.extend(written)
        plain, rich = doc.to_py(), doc.to_py(rich=True)

    for _ in range(25):
        came = [change for _ in range(rng.randrange(1, 4)) for change in scribble(writer, rng)]
        if rng.random() < 0.3:
            edit_here()
        applying = doc.applying(came, strict=True)
        while (patches := applying.finish()) is None:
            applying.run()
            if rng.random() < 0.4:
                edit_here()
        plain, rich = apply_patches(plain, patches), apply_patches(rich, patches, rich=True)
        assert (plain, rich) == (doc.to_py(), doc.to_py(rich=True))
        control.apply_changes([*late, *came], replay=False)
        late.clear()
        assert doc.heads == control.heads
        if rng.random() < 0.5:
            writer.apply_changes(doc.changes(writer.heads))
    assert doc.to_py(rich=True) == control.to_py(rich=True)
    again = Document.load(doc.save())
    assert (again.heads, again.to_py(rich=True)) == (control.heads, control.to_py(rich=True))


def test_characters_that_two_delete_at_once_are_gone_once() -> None:
    doc, _ = concurrent()
    came = []
    for writer in (doc.fork(BOB), doc.fork(b"\x03" * 16)):
        with writer.change() as tx:
            writer.text("body").delete(10, 11)
        came.append(tx.bytes or b"")
    edit(doc)
    applying = doc.applying(came, strict=True)
    applying.run()
    edit(doc)
    content = doc.to_py()
    while (patches := applying.finish()) is None:
        applying.run()
    assert patches == [TextPatch(("body",), 10, "", 11)]
    assert apply_patches(content, patches) == doc.to_py()


def test_concurrent_changes_at_a_long_passage_that_was_written_in_one_go() -> None:
    doc, _ = concurrent()
    writer, control = doc.fork(BOB), doc.fork(ALICE)
    for at in (0, 3_000, 5_999):
        with writer.change() as tx:
            writer.text("body").splice(at, 1, "y")
        edit(doc)
        doc.apply_changes([tx.bytes or b""], strict=True)
        nowhere = Op(action=3, obj=(1, ALICE), key=(9_000, ALICE), pred=((9_000, ALICE),))
        last = inspect(tx.bytes or b"")
        bad = Change(b"\x03" * 16, start_op=last.start_op + last.operations, deps=(last.hash,), ops=(nowhere,))
        with pytest.raises(InvalidChange):
            doc.apply_changes([bad.encode()])
    control.apply_changes(doc.changes(control.heads), replay=False)
    assert (doc.heads, doc.to_py()) == (control.heads, control.to_py())
