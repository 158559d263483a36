"""Replicas with shadows, and what random replicas of any kind of rule have in common."""

from __future__ import annotations

import hashlib
from collections import Counter as Tally
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from crdt_strategies import Edit as Edit
from crdt_strategies import as_python, exact, perform
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from lichen_crdt import Counter, Document, List, Map, Patch, Text, apply_patches

REPLICAS = 3
SEEN: Tally[str] = Tally()
"""How often what happened in this process, so that a run can tell that it met everything."""

who = st.integers(0, REPLICAS - 1)
seeds = st.integers(0, 2**16)
Heads = tuple[bytes, ...]
Changes = Iterable[tuple[bytes, bytes]]


def everything(view: Any) -> Any:
    """All that reads of a view can tell: values, marks, and conflicts with their writers, at any depth."""
    if isinstance(view, Map):
        return {key: _place(view, key) for key in view}
    if isinstance(view, List):
        return [_place(view, index) for index in range(len(view))]
    if isinstance(view, Text):
        text = str(view)
        assert len(view) == len(text)
        return text, view.marks(), repr(view.spans())
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
    actors: set[bytes] = field(default_factory=set)
    """Those that its author wrote under."""

    def __post_init__(self) -> None:
        self.actors |= {self.doc.actor}

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
        """Replay gave what the core gives; that the conflicts are the same too is seen when all converge."""
        assert self.doc.heads == self.control.heads
        assert exact(self.doc.to_py(rich=True)) == exact(self.control.to_py(rich=True)), "replay equals apply"
        assert self.doc.mismatched == 0


class World(RuleBasedStateMachine):
    """Some replicas, every version that was seen, and the steps that rules are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.actors = 0
        self.versions: list[tuple[Heads, Any]] = [((), {})]
        self.replicas = [Replica(Document(self.actor())) for _ in range(REPLICAS)]

    def actor(self) -> bytes:
        """A new id; their order is not that of their making."""
        self.actors += 1
        return hashlib.sha256(bytes([self.actors % 256, self.actors // 256])).digest()[:16]

    def put(self, on: int, edits: list[Edit]) -> None:
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
        self.wrote(on, tx.changes, tx.patches)

    def wrote(self, on: int, changes: Changes, patches: Iterable[Patch]) -> None:
        """Let the shadows follow what a replica wrote by itself."""
        replica = self.replicas[on]
        replica.follow([*patches])
        replica.control.apply_changes([data for _, data in changes], replay=False)
        replica.check()
        self.versions.append((replica.doc.heads, exact(replica.doc.to_py())))

    def unknown_to(self, to: int, source: int) -> list[bytes]:
        doc, other = self.replicas[to].doc, self.replicas[source].doc
        unknown = set(other.missing(doc.heads))
        return other.changes(head for head in doc.heads if head not in unknown)

    def exchange(self, one: int, other: int) -> None:
        """Both get what the other has, each in one batch."""
        for_one, for_other = self.unknown_to(one, other), self.unknown_to(other, one)
        self.replicas[one].receive(for_one)
        self.replicas[other].receive(for_other)
        self.replicas[one].check()
        self.replicas[other].check()

    def settle(self) -> None:
        """Everybody gets everything."""
        for to in range(REPLICAS):
            for source in range(REPLICAS):
                self.replicas[to].receive(self.unknown_to(to, source))

    def content(self, on: int) -> Any:
        """All that a reader sees of a replica, marks and blocks included."""
        return exact(self.replicas[on].doc.to_py(rich=True))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, (Text, Counter)):
        return str(value) if isinstance(value, Text) else value.value
    return value
