"""Replicas that do whatever replicas may do to one another, and what must hold after every step.

A state machine for Hypothesis. Each replica has two shadows: the plain data that its patches lead to, and a
control that takes the same changes in the same calls without replay. Both are compared after every step.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter as Tally
from dataclasses import dataclass, field
from typing import Any

import pytest
from crdt_strategies import Edit, as_python, containers, exact, perform, transactions
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from lichen_crdt import Counter, Document, List, Map, MissingDependencies, Patch, Text, apply_patches, inspect

REPLICAS = 3
SEEN: Tally[str] = Tally()
"""How often what happened in this process, so that a run can tell that it met everything."""

who = st.integers(0, REPLICAS - 1)
seeds = st.integers(0, 2**16)
Heads = tuple[bytes, ...]


def everything(view: Any) -> Any:
    """All that reads of a view can tell: values, marks, and conflicts with their writers, at any depth."""
    if isinstance(view, Map):
        return {key: _place(view, key) for key in view}
    if isinstance(view, List):
        return [_place(view, index) for index in range(len(view))]
    if isinstance(view, Text):
        return str(view), view.marks(), repr(view.spans())
    return exact(view.value) if isinstance(view, Counter) else exact(view)


def _place(view: Any, place: Any) -> Any:
    found = [(one.actor, everything(one.value)) for one in view.conflicts(place)]
    assert found[-1][1] == everything(view[place]), "the last of the conflicts is what a read gives"
    SEEN["conflict"] += len(found) > 1
    return found


@dataclass
class Replica:
    """A document and its two shadows."""

    doc: Document
    plain: Any = field(default_factory=dict)
    rich: Any = field(default_factory=dict)
    control: Document = field(default_factory=Document)

    def follow(self, patches: list[Patch]) -> None:
        """The patches lead the plain data to what the document reads as now."""
        self.plain = apply_patches(self.plain, patches)
        assert exact(self.plain) == exact(self.doc.to_py()), "patches lead from the old content to the new"
        self.rich = apply_patches(self.rich, patches, rich=True)
        assert exact(self.rich) == exact(self.doc.to_py(rich=True)), "and so do marks and blocks"

    def receive(self, batch: list[bytes], **options: Any) -> None:
        """Apply a batch, and the same to the control in the core's own way."""
        before = self.doc.replayed
        self.follow(self.doc.apply_changes(batch, **options))
        self.control.apply_changes(batch, replay=False)
        SEEN["replayed"] += self.doc.replayed - before
        SEEN["applied"] += len(batch)

    def check(self) -> None:
        """Replay gave what the core gives."""
        assert self.doc.heads == self.control.heads
        assert everything(self.doc) == everything(self.control), "replay equals apply"
        assert self.doc.mismatched == 0


@dataclass(frozen=True)
class Anchor:
    """A cursor, and where it was when it was made."""

    holder: Any
    cursor: bytes
    index: int
    heads: Heads


class Replicas(RuleBasedStateMachine):
    """The rules; which of them run, in which order and on whom, is up to Hypothesis."""

    def __init__(self) -> None:
        super().__init__()
        self.actors = 0
        self.versions: list[tuple[Heads, Any]] = [((), {})]
        self.anchors: list[Anchor] = []
        self.replicas = [Replica(Document(self.actor())) for _ in range(REPLICAS)]

    def actor(self) -> bytes:
        """A new id; their order is not that of their making."""
        self.actors += 1
        return hashlib.sha256(bytes([self.actors % 256, self.actors // 256])).digest()[:16]

    # Writing

    @rule(on=who, edits=transactions)
    def write(self, on: int, edits: list[Edit]) -> None:
        """A transaction does to a document what the same edits do to Python's own dicts and lists."""
        replica = self.replicas[on]
        python = as_python(replica.doc)
        with replica.doc.change("write", time=on, patches=True) as tx:
            for edit in edits:
                perform(replica.doc, edit)
                perform(python, edit)
            inside = replica.doc.to_py()
        assert len(tx.changes) <= 1, "a small transaction is one change"
        assert exact(inside) == exact(replica.doc.to_py()) == exact(_plain(python))
        replica.follow(tx.patches)
        replica.control.apply_changes([data for _, data in tx.changes], replay=False)
        replica.check()
        self.versions.append((replica.doc.heads, exact(inside)))

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

    def unknown_to(self, to: int, source: int) -> list[bytes]:
        doc, other = self.replicas[to].doc, self.replicas[source].doc
        unknown = set(other.missing(doc.heads))
        return other.changes(head for head in doc.heads if head not in unknown)

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

    @rule(on=who, whole=st.booleans(), new=st.booleans())
    def restart(self, on: int, whole: bool, new: bool) -> None:
        """What was saved, in one piece or in two, loads equal, and goes on under a new actor or the old one."""
        replica = self.replicas[on]
        doc = replica.doc
        if whole:
            data = doc.save()
        else:
            heads = self.versions[len(self.versions) // 2][0]
            heads = heads if not doc.missing(heads) else ()
            data = doc.fork(at=heads).save() + doc.save_after(heads)
        loaded = Document.load(data, self.actor() if new else doc.actor)
        assert loaded.heads == doc.heads
        assert everything(loaded) == everything(doc)
        assert loaded.save() == Document.load(loaded.save()).save()
        self.replicas[on] = Replica(loaded, replica.plain, replica.rich, replica.control)
        assert exact(apply_patches({}, loaded.diff(()))) == exact(replica.plain), "patches of a load"

    @rule(to=who, source=who, version=seeds, past=st.booleans())
    def fork(self, to: int, source: int, version: int, past: bool) -> None:
        """A copy, of now or of an earlier version, takes the place of a replica."""
        origin = self.replicas[source].doc
        heads, content = self.versions[version % len(self.versions)]
        if past and not origin.missing(heads):
            copy = origin.fork(self.actor(), at=heads)
            assert copy.heads == heads
            assert exact(copy.to_py()) == content
        else:
            copy = origin.fork(self.actor())
            assert (copy.heads, everything(copy)) == (origin.heads, everything(origin))
        self.settle()  # what only the replica of before had is not lost
        control = Document()
        control.apply_changes(copy.changes(), replay=False)
        self.replicas[to] = Replica(copy, copy.to_py(), copy.to_py(rich=True), control)
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

    def settle(self) -> None:
        """Everybody gets everything."""
        for to in range(REPLICAS):
            for source in range(REPLICAS):
                self.replicas[to].receive(self.unknown_to(to, source))

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
        for other in (*others, *(Document.load(replica.doc.save()) for replica in self.replicas)):
            assert other.heads == first.heads
            assert exact(other.to_py()) == exact(first.to_py())
            assert everything(other) == read
            assert self.positions(other) == cursors
        SEEN["converged"] += 1

    def teardown(self) -> None:
        """However it went, in the end all converge."""
        self.converge()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, (Text, Counter)):
        return str(value) if isinstance(value, Text) else value.value
    return value
