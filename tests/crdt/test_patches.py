from __future__ import annotations

import copy
import random

import pytest
from lichen_crdt import (
    Counter,
    CounterPatch,
    Document,
    ListDelete,
    ListInsert,
    ListPut,
    MapDelete,
    MapPut,
    MarkPatch,
    Patch,
    Text,
    TextPatch,
    Undo,
    Value,
    apply_patches,
)
from lichen_crdt.spans import Expand

EXPANDS: tuple[Expand, ...] = ("after", "before", "both", "none")


def written(doc: Document, follower: Document) -> list[Patch]:
    return follower.apply_changes(doc.changes(follower.heads))


def pair() -> tuple[Document, Document]:
    doc, follower = Document(), Document()
    with doc.change():
        doc["body"] = Text("a🥚c")
        doc["items"] = [1, {"n": Counter(1)}, 3]
    follower.merge(doc)
    return doc, follower


def test_a_text_patch_says_what_gave_way_to_what() -> None:
    doc, follower = pair()
    with doc.change(patches=True) as tx:
        doc.text("body").splice(1, 1, "egg")
    assert tx.patches == written(doc, follower) == [TextPatch(("body",), 1, "egg", 1)]


def test_a_text_patch_in_utf16_units() -> None:
    assert TextPatch(("body",), 2, "x", 1).utf16("🥚b🥚d") == (3, 2)
    assert TextPatch(("body",), 0, "x", 0).utf16("🥚b") == (0, 0)


def test_each_kind_of_write_has_its_patch() -> None:
    doc, follower = pair()
    items = doc.list("items")
    expected: list[tuple[str, list[Patch]]] = []

    def write(name: str, patch: list[Patch]) -> None:
        expected.append((name, patch))
        assert written(doc, follower) == patch, name

    with doc.change():
        doc["new"] = [1, "x"]
    write("map put", [MapPut((), "new", [], False), ListInsert(("new",), 0, (1, "x"))])
    with doc.change():
        del doc["new"]
    write("map delete", [MapDelete((), "new")])
    with doc.change():
        items[0] = 5
    write("list put", [ListPut(("items",), 0, 5, False)])
    with doc.change():
        items.insert(0, None)
    write("list insert", [ListInsert(("items",), 0, (None,))])
    with doc.change():
        del items[0:2]
    write("list delete", [ListDelete(("items",), 0, 2)])
    with doc.change():
        items[0]["n"] += 4
    write("increment", [CounterPatch(("items", 0), "n", 4)])
    with doc.change():
        doc.text("body").mark(0, 2, "bold", True)
    write("mark", [MarkPatch(("body",), 0, 2, "bold", True)])
    assert follower.replayed == 1 + len(expected)


def test_patches_of_a_new_text_fill_an_empty_one() -> None:
    doc, follower = pair()
    with doc.change():
        doc["more"] = Text("hello")
    patches = written(doc, follower)
    assert patches == [MapPut((), "more", Text(""), False), TextPatch(("more",), 0, "hello", 0)]
    assert apply_patches({}, patches) == {"more": "hello"}


@pytest.mark.parametrize("replay", [True, False])
def test_patches_of_a_batch_lead_from_the_old_content_to_the_new(replay: bool) -> None:
    doc, follower = pair()
    for n in range(5):
        with doc.change():
            doc.text("body").insert(n, str(n))
            doc.list("items").append({"at": n})
    before = follower.to_py()
    patches = follower.apply_changes(reversed(doc.changes()), replay=replay)
    assert apply_patches(before, patches) == doc.to_py()


def test_a_transaction_has_patches_only_when_asked() -> None:
    doc, _ = pair()
    with doc.change() as tx:
        doc["x"] = 1
    assert tx.patches == []


def test_items_after_one_that_one_writer_deleted_and_another_wrote_anew_keep_their_place() -> None:
    doc = Document(actor=b"\x01" * 16)
    with doc.change():
        doc["items"] = [0]
    start, other = doc.heads, doc.fork(actor=b"\x02" * 16)
    with doc.change():
        doc["items"][0] = 9
    with other.change():
        items = other["items"]
        items.insert(1, 8)
        del items[0]
    old = doc.to_py()
    patches = doc.apply_changes(other.changes(start), replay=False)
    assert doc.to_py() == {"items": [9, 8]}
    assert apply_patches(old, patches) == doc.to_py()


def test_a_character_that_came_and_went_at_one_place_leaves_the_others_in_order() -> None:
    ann = Document(actor=b"\x44" * 16)
    with ann.change():
        ann["body"] = Text("milk")
    follower, ben, cleo = ann.fork(), ann.fork(actor=b"\x99" * 16), ann.fork(actor=b"\xcc" * 16)
    with cleo.change():
        cleo.text("body").insert(4, "lim")
        cleo.text("body").delete(0, 3)
    ann.merge(cleo)
    for doc, characters in ((ann, 1), (ben, 3)):
        with doc.change():
            doc.text("body").delete(len(doc["body"]) - characters if doc is ben else 0, characters)
    Undo(ann).undo()
    undo = Undo(ben)
    undo.undo()
    undo.redo()
    ann.merge(ben)
    before = follower.to_py()
    patches = follower.apply_changes(ann.changes(follower.heads), replay=False)
    assert apply_patches(before, patches) == follower.to_py() == {"body": "klim"}


def test_a_counter_that_shows_again_has_its_present_count() -> None:
    doc, follower = pair()
    other = doc.fork(actor=b"\xff" * 16)
    with doc.change():
        doc["n"] = Counter(2)
        doc["n"] += 1
    with other.change():
        other["n"] = "winner"
    follower.merge(doc)
    follower.merge(other)
    before = follower.to_py()
    assert before["n"] == "winner"
    assert Undo(other).undo() is not None
    assert apply_patches(before, follower.merge(other)) == follower.to_py()
    assert follower["n"] == 3


def test_a_counter_that_is_incremented_beside_another_has_its_count() -> None:
    doc, other = Document(actor=b"\x02" * 16), Document(actor=b"\x01" * 16)
    with doc.change():
        doc["n"] = Counter(-2)
    with other.change():
        other["n"] = Counter(3)
    doc.merge(other)
    follower, before = doc.fork(), doc.to_py()
    with doc.change(patches=True) as tx:
        doc["n"] += 1
        doc["n"] = doc["n"].detached()
    assert doc["n"] == -1
    assert apply_patches({**before}, tx.patches) == doc.to_py()
    assert apply_patches({**before}, written(doc, follower)) == doc.to_py()


@pytest.mark.parametrize("inside", [False, True])
def test_marks_of_a_text_beside_a_counter_that_was_incremented_later_come_with_a_difference(inside: bool) -> None:
    one, other = Document(actor=b"\x02" * 16), Document(actor=b"\x03" * 16)
    with one.change():
        one["place"] = Counter(3)
    with other.change():
        other["place"] = {"text": Text("abc")} if inside else Text("abc")
    with one.change():
        one["pad"] = list(range(20))  # its operations count on
    with one.change():
        one["place"] += 1
    other.merge(one)
    text = other["place"]["text"] if inside else other["place"]
    plain, before = other.to_py(rich=True), other.heads
    with other.change():
        text.mark(0, 2, "bold", True)
    marked = other.to_py(rich=True)
    assert marked != plain
    assert apply_patches(copy.deepcopy(plain), other.diff(before), rich=True) == marked
    assert apply_patches(copy.deepcopy(marked), other.diff(other.heads, before), rich=True) == plain


@pytest.mark.parametrize("last", ["z", [1, [2]], {"a": Text("x")}])
@pytest.mark.parametrize("then", [5, [Text("y")]])
def test_an_item_that_won_between_two_others_gives_way_to_the_winner(then: Value, last: Value) -> None:
    doc = Document(actor=b"\x02" * 16)
    with doc.change():
        doc["items"] = ["a", 0]
    other = doc.fork(actor=b"\x01" * 16)
    with other.change():
        other["items"][0] = "lower"
    with doc.change():
        doc["items"][0] = then
    before, plain = doc.heads, doc.to_py()
    with doc.change():
        doc["items"][0] = last
    doc.merge(other)
    assert [found.value for found in doc["items"].conflicts(0)] == ["lower", last]
    assert apply_patches(plain, doc.diff(before)) == doc.to_py()
    late = doc.fork(at=before)
    assert apply_patches(late.to_py(), late.merge(doc)) == late.to_py() == doc.to_py()


@pytest.mark.parametrize("seed", [1226, 1232, 1855, 2047, *range(20)])
def test_marks_come_with_the_patches_of_a_batch_in_which_writers_clash(seed: int) -> None:
    rng = random.Random(seed)
    one = Document(actor=b"\x47" * 16)
    with one.change():
        one["a"] = ["x"]
        one["b"] = Text("milk")
    with one.change():
        start = rng.randrange(4)
        end, expand = rng.randrange(start + 1, 5), rng.choice(EXPANDS)
        one.text("b").mark(start, end, "bold", True, expand=expand)
    docs = [one, one.fork(actor=b"\xc0" * 16)]
    reader = one.fork(actor=b"\x01" * 16)
    for number, doc in enumerate(docs):
        with doc.change():
            doc.list("a")[0] = str(number)
    for _ in range(rng.randrange(2, 8)):
        doc = rng.choice(docs)
        body = doc.text("b")
        at = rng.randrange(len(body) + 1)
        with doc.change():
            body.splice(at, min(rng.randrange(4), len(body) - at), rng.choice(("", "x", "yz", "ab🥚")))
        if rng.random() < 0.4:
            docs[0].merge(docs[1])
            docs[1].merge(docs[0])
    docs[0].merge(docs[1])
    rich = reader.to_py(rich=True)
    patches = reader.apply_changes(docs[0].changes(reader.heads))
    assert apply_patches(rich, patches, rich=True) == reader.to_py(rich=True)
