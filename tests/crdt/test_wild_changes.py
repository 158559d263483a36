"""Documents of random valid changes hold every promise, whatever these are: `make props EXAMPLES=n SEED=n` has more."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from crdt_examples import EXAMPLES, SEED
from crdt_strategies import exact
from crdt_wild import Wild, any_order, before, wild_history
from lichen_crdt import Counter, Document, List, Map, Text, Undo, apply_patches

BATCHES = (1, 1, 2, 5, 99)
LOOKS = 3
"""How many versions of a document are compared with others."""


@pytest.mark.timeout(600 + EXAMPLES // 5)
def test_documents_of_wild_changes_keep_every_promise() -> None:
    print(f"make props EXAMPLES={EXAMPLES} SEED={SEED}")
    changes = 0
    for number in range(EXAMPLES):
        random = Random(f"{SEED} {number}")
        history = wild_history(random)
        changes += len(history)
        try:
            check(random, history)
        except BaseException as error:
            error.add_note(f"history {number} of SEED={SEED}")
            raise
    assert changes > 5 * EXAMPLES, "most changes are valid"


def check(random: Random, history: list[Wild]) -> None:
    whole = Document()
    whole.apply_changes([change.data for change in history], replay=False)
    for replay in (True, False):
        doc = arrived(random, history, replay)
        assert same(doc, whole), "another order, or other batches"
        again = Document.load(doc.save())
        assert (same(again, whole), again.heads, again.save()) == (True, doc.heads, doc.save())
        for _ in range(LOOKS):
            check_versions(random, history, doc)
    check_edits(random, whole.fork())


def arrived(random: Random, history: list[Wild], replay: bool) -> Document:
    """A document that took them in some order and in some batches, whose patches give what it holds."""
    doc = Document()
    plain, rich = doc.to_py(), doc.to_py(rich=True)
    left = list(any_order(random, history))
    done: list[Wild] = []
    while left:
        count = random.choice(BATCHES)
        batch, left = left[:count], left[count:]
        sent = [change.data for change in (*batch, *done[:2])]
        random.shuffle(sent)
        patches = doc.apply_changes(sent, strict=random.random() < 0.5, replay=replay)
        done += batch
        plain, rich = apply_patches(plain, patches), apply_patches(rich, patches, rich=True)
        assert exact(plain) == exact(doc.to_py())
        assert exact(rich) == exact(doc.to_py(rich=True))
    return doc


def check_versions(random: Random, history: list[Wild], doc: Document) -> None:
    """Older versions are what documents are that never had more."""
    heads = [random.sample([one.hash for one in history], random.randint(0, min(2, len(history)))) for _ in range(2)]
    old, new = Document(), Document()
    for fresh, at in zip((old, new), heads, strict=True):
        fresh.apply_changes(before(history, at))
        assert same(doc.at(at), fresh)
        assert same(doc.fork(at=at), fresh)
        check_places(random, doc.at(at), fresh)
    patches = doc.diff(*heads)
    assert exact(apply_patches(old.to_py(), patches)) == exact(new.to_py())
    assert exact(apply_patches(old.to_py(rich=True), patches, rich=True)) == exact(new.to_py(rich=True))
    merged = old.fork()
    shown = apply_patches(merged.to_py(), merged.merge(new))
    assert exact(shown) == exact(merged.to_py())


def check_places(random: Random, one: Any, other: Any) -> None:
    """Who wrote each place of texts and lists, and cursors to it, are the same in two documents."""
    if isinstance(one, Map):
        for key in one:
            check_places(random, one[key], other[key])
    if isinstance(one, List | Text) and len(one):
        at = random.randrange(len(one))
        for part in ((), (at, at + 1)):
            mine, theirs = one.blame(*part), other.blame(*part)
            assert [(run.start, run.end, run.change) for run in mine] == [
                (run.start, run.end, run.change) for run in theirs
            ]
        assert one.cursor(at) == other.cursor(at)
    if isinstance(one, List):
        for mine, theirs in zip(one, other, strict=True):
            check_places(random, mine, theirs)


def check_edits(random: Random, doc: Document) -> None:
    """An edit of all that there is can be saved, taken back, and made again."""
    was, shown = doc.to_py(), doc.to_py()
    with doc.change(patches=True) as change:
        edit(random, doc)
    assert exact(apply_patches(shown, change.patches)) == exact(doc.to_py())
    assert same(Document.load(doc.save()), doc)
    edited, undo = doc.to_py(), Undo(doc)
    undo.undo()
    assert exact(doc.to_py()) == exact(was)
    undo.redo()
    assert exact(doc.to_py()) == exact(edited)


def edit(random: Random, view: Any) -> None:
    if isinstance(view, Map):
        for key in [*view]:
            edit(random, view[key])
        view["new"] = 1
    elif isinstance(view, Counter):
        view.increment(1)
    elif isinstance(view, List):
        for item in [*view]:
            edit(random, item)
        view.insert(random.randint(0, len(view)), "n")
        del view[random.randrange(len(view))]
    elif isinstance(view, Text):
        view.insert(random.randint(0, len(view)), "é")
        view.delete(random.randrange(len(view)))
        if len(view):
            view.mark(0, 1, "b", True)


def same(one: Any, other: Any) -> bool:
    """Whether two documents or versions hold the same."""
    return bool(exact(one.to_py(rich=True)) == exact(other.to_py(rich=True)))
