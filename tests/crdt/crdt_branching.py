"""The rules of named branches, for random replicas."""

from __future__ import annotations

from crdt_replicas import SEEN, Edit, World, everything, seeds, who
from crdt_strategies import exact, perform, transactions
from hypothesis import strategies as st
from hypothesis.stateful import rule
from lichen_crdt import Branches, Document, inspect


class Branching(World):
    """A branch begins anywhere in the past, is apart from the main line until it is merged, and survives a file."""

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
