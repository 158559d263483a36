"""The rules of named branches, for random replicas."""

from __future__ import annotations

from collections.abc import Iterable

from crdt_replicas import SEEN, Edit, World, everything, seeds, who
from crdt_strategies import exact, perform, transactions
from hypothesis import strategies as st
from hypothesis.stateful import rule
from lichen_crdt import Branches, Document, inspect


def past(doc: Document, heads: Iterable[bytes]) -> list[bytes]:
    """The changes in the past of some, those included."""
    found: dict[bytes, bytes] = {}
    ahead = [*heads]
    while ahead:
        head = ahead.pop()
        change = doc.change_by_hash(head)
        if head not in found and change is not None:
            found[head] = change
            ahead += inspect(change).deps
    return [*found.values()]


def check_fork(doc: Document, heads: Iterable[bytes]) -> None:
    """A fork is what the changes of its past, applied in the core's own way, make; and it takes the others."""
    control, fork = Document(), doc.fork(at=heads)
    control.apply_changes(past(doc, heads), replay=False)
    assert (fork.heads, fork.operations) == (control.heads, control.operations)
    assert sorted(fork.changes()) == sorted(control.changes())
    assert everything(fork) == everything(control)
    again = Document.load(fork.save())
    assert (again.heads, everything(again)) == (fork.heads, everything(fork))
    fork.merge(doc)
    assert (fork.heads, everything(fork)) == (doc.heads, everything(doc))
    SEEN["fork"] += 1


class Branching(World):
    """A branch begins anywhere in the past, is apart from the main line until it is merged, and survives a file."""

    @rule(on=who, picks=st.lists(seeds, max_size=3))
    def fork_anywhere(self, on: int, picks: list[int]) -> None:
        """At any changes, whether they were ever heads together or not."""
        doc = self.replicas[on].doc
        hashes = [entry.hash for entry in doc.history()]
        check_fork(doc, [hashes[pick % len(hashes)] for pick in picks if hashes])

    @rule(on=who, version=seeds, past=st.booleans(), edits=transactions, mains=transactions)
    def branch(self, on: int, version: int, past: bool, edits: list[Edit], mains: list[Edit]) -> None:
        """Written beside the main line, saved, loaded, and merged into it."""
        doc = self.replicas[on].doc
        heads, content = self.versions[version % len(self.versions)]
        if not past or doc.missing(heads):
            heads, content = doc.heads, exact(doc.to_py())
        branches = Branches(doc)
        line = branches.create("idea", at=heads)
        assert exact(line.to_py()) == content
        line.actor = self.actor()
        before = everything(doc)
        with line.change():
            for edit in edits:
                perform(line, edit)
        assert everything(doc) == before, "what is written in a branch stays there"
        self.put(on, mains)
        data = branches.save()
        assert everything(Document.load(data, partial=True)) == everything(doc), "others read the main line"
        again = Branches.load(data)
        assert again.names == ("main", "idea")
        assert everything(again.main) == everything(doc)
        assert everything(again.open("idea")) == everything(line)
        made = [change for change in line.changes(heads) if doc.missing([inspect(change).hash])]
        self.wrote(on, [(inspect(change).hash, change) for change in made], branches.merge("idea"))
        SEEN["branch"] += 1
