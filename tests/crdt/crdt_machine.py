"""Replicas that do whatever replicas may do to one another, and what must hold after every step.

A state machine for Hypothesis. Each replica has two shadows: the plain data that its patches lead to, and a
control that takes the same changes in the same calls without replay. Both are compared after every step.
"""

from __future__ import annotations

import copy
import pickle
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest
from crdt_branching import Branching
from crdt_replicas import SEEN, Edit, Heads, Replica, everything, seeds, who
from crdt_strategies import containers, edits_at_one_place, exact, perform, transactions
from crdt_undoing import Undoing
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from lichen_crdt import Counter, Document, List, MissingDependencies, Text, apply_patches, inspect


@dataclass(frozen=True)
class Anchor:
    """A cursor, and where it was when it was made."""

    holder: Any
    cursor: bytes
    index: int
    heads: Heads


class Replicas(Undoing, Branching):
    """The rules; which of them run, in which order and on whom, is up to Hypothesis."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: list[Anchor] = []

    @initialize(known=st.booleans())
    def begin(self, known: bool) -> None:
        """Half of the time all begin with a document that has something of everything."""
        if known:
            with self.replicas[0].doc.change(patches=True) as tx:
                tx.update(a=[1, Counter(2), [3]], b=Text("milk"), c={"a": Counter(1), "b": {"c": Text("eggs")}})
            self.wrote(0, tx.changes, tx.patches)
            self.settle()

    # Writing

    @rule(on=who, edits=transactions)
    def write(self, on: int, edits: list[Edit]) -> None:
        """A transaction is one change, which does what it says."""
        self.put(on, edits)

    @rule(one=who, other=who, where=seeds, ones=edits_at_one_place, others=edits_at_one_place)
    def clash(self, one: int, other: int, where: int, ones: list[Edit], others: list[Edit]) -> None:
        """Two write into one list (or whatever there is) at the same time, and hear of it in one batch."""
        self.exchange(one, other)
        lists = [i for i, view in enumerate(containers(self.replicas[one].doc)) if isinstance(view, List)]
        place = lists[where % len(lists)] if lists and where % 4 else where
        self.put(one, [replace(edit, where=place) for edit in ones])
        self.put(other, [replace(edit, where=place) for edit in others])
        self.exchange(one, other)
        SEEN["clash"] += one != other

    @rule(on=who, edits=transactions)
    def roll_back(self, on: int, edits: list[Edit]) -> None:
        """An exception takes back all that its transaction wrote."""
        replica = self.replicas[on]
        before = replica.doc.heads, everything(replica.doc)
        with pytest.raises(ZeroDivisionError):
            self.fail_after(replica.doc, edits)
        replica.follow([])
        assert (replica.doc.heads, everything(replica.doc)) == before
        replica.check()

    def fail_after(self, doc: Document, edits: list[Edit]) -> None:
        with doc.change():
            for edit in edits:
                perform(doc, edit)
            raise ZeroDivisionError

    # Deliveries

    @rule(to=who, source=who, seed=seeds, strict=st.booleans())
    def deliver_at_once(self, to: int, source: int, seed: int, strict: bool) -> None:
        """One batch, shuffled, some of it twice and some of it known already."""
        rng = random.Random(seed)
        batch = self.unknown_to(to, source)
        known = self.replicas[to].doc.changes()
        batch += rng.choices(batch, k=min(len(batch), 2)) + known[: rng.randrange(3)]
        rng.shuffle(batch)
        self.replicas[to].receive(batch, strict=strict)
        self.replicas[to].check()

    @rule(to=who, source=who, part=st.integers(1, 8), strict=st.booleans())
    def deliver_some(self, to: int, source: int, part: int, strict: bool) -> None:
        """One by one, until the connection is cut."""
        for change in self.unknown_to(to, source)[:part]:
            self.replicas[to].receive([change], strict=strict)
        self.replicas[to].check()

    @rule(source=who, seed=seeds)
    def deliver_with_a_gap(self, source: int, seed: int) -> None:
        """What builds on a missing change is refused, and changes nothing; with that change it is taken."""
        changes = self.replicas[source].doc.changes()
        gap = changes.pop(seed % len(changes)) if changes else b""
        if not any(inspect(gap).hash in inspect(change).deps for change in changes):
            return
        replica = Replica(Document(self.actor()))
        with pytest.raises(MissingDependencies) as refused:
            replica.doc.apply_changes(changes)
        assert refused.value.hashes == (inspect(gap).hash,)
        assert replica.doc.heads == ()
        replica.receive([*changes, gap])
        replica.check()
        SEEN["refused"] += 1

    @rule(to=who, source=who)
    def merge(self, to: int, source: int) -> None:
        """A merge takes over what is missing, and a second one nothing."""
        replica = self.replicas[to]
        batch = self.unknown_to(to, source)
        replica.follow(replica.doc.merge(self.replicas[source].doc))
        replica.control.apply_changes(batch, replay=False)
        assert replica.doc.merge(self.replicas[source].doc) == []
        replica.check()

    # Restarts and copies

    @rule(on=who, way=st.sampled_from(("whole", "parts", "pickle", "copy")), new=st.booleans())
    def restart(self, on: int, way: str, new: bool) -> None:
        """What was saved, in one piece or in two, loads equal, and goes on under a new actor or the old one."""
        replica = self.replicas[on]
        doc = replica.doc
        loaded = self.again(doc, way)
        loaded.actor = self.actor() if new else doc.actor
        assert loaded.heads == doc.heads
        assert everything(loaded) == everything(doc)
        assert loaded.save() == Document.load(loaded.save()).save()
        self.replicas[on] = Replica(loaded, replica.plain, replica.rich, replica.control, replica.actors)
        assert exact(apply_patches({}, loaded.diff(()))) == exact(replica.plain), "patches of a load"

    def again(self, doc: Document, way: str) -> Document:
        if way == "copy":
            return copy.deepcopy(doc)
        if way == "pickle":
            return pickle.loads(pickle.dumps(doc))
        if way == "whole":
            return Document.load(doc.save())
        heads = self.versions[len(self.versions) // 2][0]
        heads = heads if not doc.missing(heads) else ()
        return Document.load(doc.fork(at=heads).save() + doc.save_after(heads))

    @rule(to=who, source=who, version=seeds, past=st.booleans())
    def fork(self, to: int, source: int, version: int, past: bool) -> None:
        """A copy, of now or of an earlier version, takes the place of a replica."""
        origin = self.replicas[source].doc
        heads, content = self.versions[version % len(self.versions)]
        if past and not origin.missing(heads):
            new = origin.fork(self.actor(), at=heads)
            assert new.heads == heads
            assert exact(new.to_py()) == content
        else:
            new = origin.fork(self.actor())
            assert (new.heads, everything(new)) == (origin.heads, everything(origin))
        self.settle()  # what only the replica of before had is not lost
        control = Document()
        control.apply_changes(new.changes(), replay=False)
        self.replicas[to] = Replica(new, new.to_py(), new.to_py(rich=True), control)
        self.replicas[to].check()

    # The past

    @rule(on=who, one=seeds, other=seeds)
    def look_back(self, on: int, one: int, other: int) -> None:
        """Every version reads as it read then, and differences lead from any to any."""
        doc = self.replicas[on].doc
        known = [(heads, content) for heads, content in self.versions if not doc.missing(heads)]
        before, then = known[one % len(known)]
        after, later = known[other % len(known)]
        was = doc.at(before)
        assert exact(was.to_py()) == then
        if one % 4 == 0:
            assert everything(was) == everything(doc.fork(at=before)), "a version reads as the document of then"
        assert exact(apply_patches(was.to_py(), doc.diff(before, after))) == later
        assert exact(apply_patches(was.to_py(), doc.diff(before))) == exact(doc.to_py())
        SEEN["looked back"] += 1

    @rule(on=who)
    def blame(self, on: int) -> None:
        """Every character has one writer, who made the change that is named."""
        doc = self.replicas[on].doc
        writers = {info.hash: info.actor for info in doc.history()}
        for text in (view for view in containers(doc) if isinstance(view, Text)):
            runs = text.blame()
            assert [0, *(run.end for run in runs)] == [*(run.start for run in runs), len(text)]
            assert all(writers[run.change] == run.actor for run in runs)

    # Cursors

    @rule(on=who, where=seeds, at=seeds, before=st.booleans())
    def anchor(self, on: int, where: int, at: int, before: bool) -> None:
        """A cursor starts where it was put."""
        doc = self.replicas[on].doc
        holders = [view for view in containers(doc) if isinstance(view, Text) or (isinstance(view, List) and view)]
        if holders:
            holder = holders[where % len(holders)]
            index = at % (len(holder) + isinstance(holder, Text))
            cursor = holder.cursor(index, before=before)
            assert holder.position(cursor) == index
            self.anchors.append(Anchor(holder, cursor, index, doc.heads))
            SEEN["cursor"] += 1

    def positions(self, doc: Document) -> list[int]:
        """Where every cursor is, and that each was where it was put."""
        found = []
        for anchor in self.anchors:
            core, obj = doc._core, anchor.holder._obj
            assert core.position(obj, anchor.cursor, anchor.heads) == anchor.index
            found.append(core.position(obj, anchor.cursor))
            assert 0 <= found[-1] <= core.length(obj)
        return found

    # Convergence

    @precondition(lambda self: len({replica.doc.heads for replica in self.replicas}) > 1)
    @rule()
    def converge(self) -> None:
        """Replicas that have the same changes are the same in every respect, saved and loaded too."""
        self.settle()
        first, *others = [replica.doc for replica in self.replicas]
        self.versions.append((first.heads, exact(first.to_py())))
        for replica in self.replicas:
            replica.check()
        read, cursors = everything(first), self.positions(first)
        assert all(everything(replica.control) == read for replica in self.replicas), "replay equals apply"
        for other in (*others, *(Document.load(replica.doc.save()) for replica in self.replicas)):
            assert other.heads == first.heads
            assert exact(other.to_py()) == exact(first.to_py())
            assert everything(other) == read
            assert self.positions(other) == cursors
        SEEN["converged"] += 1

    def teardown(self) -> None:
        """However it went, in the end all converge."""
        self.converge()
