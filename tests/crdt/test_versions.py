"""Differences and forks at versions of a document, large ones too, where what is little is looked up."""

from __future__ import annotations

import random

import pytest
from crdt_branching import check_fork
from crdt_forge import DELETE, MAKE_TEXT, SET, Change, Op, string
from lichen_crdt import Counter, Document, ListDelete, MissingDependencies, Text, TextPatch, apply_patches, inspect
from test_applying import ALICE, BOB, SIZE, concurrent, scribble

Heads = tuple[bytes, ...]


def check(doc: Document, before: Heads, after: Heads | None = None) -> None:
    """Patches lead from one version to another."""
    was, then = doc.at(before), doc.at(after or doc.heads)
    assert apply_patches(was.to_py(), doc.diff(before, after)) == then.to_py()
    assert apply_patches(was.to_py(rich=True), doc.diff(before, after), rich=True) == then.to_py(rich=True)


@pytest.mark.parametrize("seed", range(6))
def test_differences_lead_from_any_version_of_a_large_document_to_any(seed: int) -> None:
    rng = random.Random(seed)
    doc, _ = concurrent()
    writer, versions = doc.fork(BOB), [doc.heads]
    for _ in range(30):
        one, other = rng.sample((doc, writer), 2)
        scribble(one, rng)
        if rng.random() < 0.4:
            one.merge(other)
            doc.merge(writer)
            versions.append(doc.heads)
    for before in versions:
        check(doc, before)
        check(doc, before, rng.choice(versions))


def typed(rng: random.Random, doc: Document) -> None:
    with doc.change():
        body = doc.text("body")
        at = rng.randrange(len(body) - 3)
        body.splice(at, rng.choice((0, 0, 1, 3)), rng.choice(("", "k", "two")))


@pytest.mark.parametrize("seed", range(6))
def test_differences_of_concurrent_typing_lead_on(seed: int) -> None:
    rng = random.Random(seed)
    doc, _ = concurrent()
    docs, versions = [doc, doc.fork(BOB), doc.fork(b"\x03" * 16)], [doc.heads]
    for _ in range(40):
        typed(rng, rng.choice(docs))
        if rng.random() < 0.3:
            one, other = rng.sample(docs, 2)
            versions.append(one.heads)
            one.merge(other)
    for other in docs[1:]:
        doc.merge(other)
    for before in versions:
        check(doc, before)


def test_a_difference_of_typing_is_what_was_typed() -> None:
    doc, _ = concurrent()
    before = doc.heads
    with doc.change():
        doc.text("body").splice(3, 2, "milk")
        doc.text("body").insert(0, "oat")
    assert doc.diff(before) == [TextPatch(("body",), 0, "oat", 0), TextPatch(("body",), 6, "milk", 2)]
    assert doc.diff((), before) != doc.diff(before, before) == []


def test_what_someone_deletes_who_had_deleted_it_is_in_no_difference() -> None:
    doc, _ = concurrent()
    before, start = doc.heads, doc.operations + 100
    element = (5, ALICE)
    again = Op(DELETE, obj=(1, ALICE), key=element, pred=(element,))
    first = Change(BOB, 1, start, deps=before, ops=(again,))
    second = Change(BOB, 2, start + 1, deps=(first.hash,), ops=(again,))
    doc.apply_changes([first.encode()])
    middle = doc.heads
    doc.apply_changes([second.encode()])
    check(doc, middle)
    check(doc, before)
    assert doc.diff(middle) == []


def test_characters_that_others_wrote_as_one_go_as_one() -> None:
    wide = Op(SET, obj=(1, BOB), key=(2, BOB), insert=True, value=string("two"))
    first = Op(SET, obj=(1, BOB), key="head", insert=True, value=string("x"))
    made = Change(BOB, ops=(Op(MAKE_TEXT, key="body"), first, wide))
    doc = Document(actor=ALICE)
    doc.apply_changes([made.encode()])
    with doc.change():
        doc.text("body").append("y" * SIZE)
    before, start = doc.heads, doc.operations + 10
    gone = Op(DELETE, obj=(1, BOB), key=(3, BOB), pred=((3, BOB),))
    deletion = Change(b"\x03" * 16, start_op=start, deps=before, ops=(gone,)).encode()
    with doc.change():
        doc.text("body").append("!")
    applying, content = doc.applying([deletion]), doc.to_py()
    applying.run()
    with doc.change():
        content = apply_patches(content, [TextPatch(("body",), len(doc.text("body")), "?", 0)])
        doc.text("body").append("?")
    while (patches := applying.finish()) is None:
        applying.run()
    assert patches == [TextPatch(("body",), 1, "", 3)]
    assert apply_patches(content, patches) == doc.to_py()
    check(doc, before)


def three() -> Document:
    """A document of three writers with something of everything."""
    doc = Document(actor=b"\x02" * 16)
    with doc.change("begin", time=7):
        doc.update(votes=Counter(1), items=[1, {"deep": Text("x")}, None], body=Text("milk"), gone="soon")
    others = [doc.fork(b"\x01" * 16), doc.fork(b"\x03" * 16)]
    for number, other in enumerate(others):
        with other.change(f"by {number}"):
            other["votes"] += 2
            other["title"] = f"title {number}"
            other["items"].insert(1, number)
            other["items"][0] = 10 + number
            other.text("body").mark(0, 2, "bold", number)
            other.text("body").insert(2, "🥛")
    for other in others:
        doc.merge(other)
    with doc.change():
        del doc["gone"]
        del doc["items"][0]
        doc.text("body").splice(1, 2, "aa")
        doc.text("body").split_block(1, {"type": "p"})
    with others[0].change():
        others[0]["new"] = -(2**62)
    doc.merge(others[0])
    return doc


def test_a_fork_has_the_past_of_its_heads_and_no_more() -> None:
    doc = three()
    entries = doc.history()
    for entry in entries:
        check_fork(doc, (entry.hash,))
    for one in entries:
        for other in entries:
            check_fork(doc, (one.hash, other.hash))
    check_fork(doc, ())
    check_fork(doc, doc.heads * 2)


def test_a_difference_back_to_before_a_marked_text_takes_it_away() -> None:
    doc = Document(actor=ALICE)
    with doc.change():
        doc["items"] = [1]
    before = doc.heads
    with doc.change():
        doc["items"].append([Text("ab")])
        doc["items"][1][0].mark(0, 1, "bold", True)
    assert doc.diff(doc.heads, before) == [ListDelete(("items",), 1, 1)]
    assert apply_patches(doc.to_py(rich=True), doc.diff(doc.heads, ()), rich=True) == {}
    with doc.change():
        doc["items"][1][0] = 2
    check(doc, doc.heads, before)


def test_a_fork_of_a_long_document_at_its_beginning() -> None:
    doc = Document(actor=ALICE)
    with doc.change():
        doc["n"] = 1
    before = doc.heads
    with doc.change():
        doc["items"] = [*range(500)]
    assert doc.fork(at=before).to_py() == {"n": 1}


def test_a_fork_at_a_version_that_is_not_here_is_refused() -> None:
    with pytest.raises(MissingDependencies):
        three().fork(at=[b"n" * 32])


def test_a_fork_keeps_changes_without_operations() -> None:
    doc = three()
    last = max(info.start_op + info.operations for info in map(inspect, doc.changes()))
    empty = Change(b"\x05" * 16, start_op=last, deps=doc.heads, ops=())
    doc.apply_changes([empty.encode()])
    with doc.change():
        doc["after"] = True
    check_fork(doc, (empty.hash,))
    check_fork(doc, doc.heads)
