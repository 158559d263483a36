"""Named branches of one document, saved in one file that any Automerge program reads as the main line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from lichen_crdt import branch_file
from lichen_crdt.branch_file import MAX_BRANCHES, MAX_NAME_BYTES
from lichen_crdt.document import Document
from lichen_crdt.errors import BranchExists, CrdtError, InvalidDocument, UnknownBranch
from lichen_crdt.patches import Patch

MAIN = "main"
"""The name of the line that other Automerge programs see."""


class Branches:
    """Lines of work on one document under names: `main`, and any others.

    Each branch that is opened is a `Document` of its own, with an actor of its own, which goes on from where the
    branch was. What is written in it stays there until `merge`. `main` is the document that this was made of.
    """

    def __init__(self, main: Document) -> None:
        self._main = main
        self._heads: dict[str, tuple[bytes, ...]] = {}
        self._open: dict[str, Document] = {}
        self._all = main.fork()  # every change of every branch, for making branches of; nobody writes in it

    @property
    def main(self) -> Document:
        """The main line."""
        return self._main

    @property
    def names(self) -> tuple[str, ...]:
        """Every branch, `main` first, then in the order of their names."""
        return (MAIN, *sorted(self._heads))

    def create(self, name: str, *, at: Iterable[bytes] | None = None, of: str = MAIN) -> Document:
        """Begin a branch at any heads of the branch `of`, at its present ones if none are given, and open it.

        Raises `BranchExists`, `ValueError` for a name that is empty, has control characters, or more than 200
        bytes of UTF-8, `MissingDependencies` if one of the heads is not in `of`.
        """
        self._check_new(name)
        source = self.open(of)
        heads = source.heads if at is None else source.at(at).heads
        self._all.merge(source)
        self._heads[name] = heads
        return self.open(name)

    def open(self, name: str) -> Document:
        """The document of a branch, the same one each time; `UnknownBranch` if there is none of that name."""
        if name == MAIN:
            return self._main
        if name not in self._heads:
            raise UnknownBranch(name)
        if name not in self._open:
            self._open[name] = self._all.fork(at=self._heads[name])
        return self._open[name]

    def heads(self, name: str) -> tuple[bytes, ...]:
        """The version that a branch is at."""
        if name == MAIN or name in self._open:
            return self.open(name).heads
        if name not in self._heads:
            raise UnknownBranch(name)
        return self._heads[name]

    def merge(self, source: str, into: str = MAIN) -> list[Patch]:
        """Take all of one branch over into another; the first one stays as it is."""
        return self.open(into).merge(self.open(source))

    def rename(self, name: str, new: str) -> None:
        """Give a branch another name. `main` keeps its own: `ValueError`."""
        self._check_other(name)
        self._check_new(new)
        self._heads[new] = self._heads.pop(name)
        if name in self._open:
            self._open[new] = self._open.pop(name)

    def delete(self, name: str) -> None:
        """Drop a branch, and with it what no other has. `main` cannot be deleted: `ValueError`."""
        self._check_other(name)
        del self._heads[name]
        self._open.pop(name, None)

    def update(self, other: Branches) -> None:
        """Take over every branch of another copy, as it is there: those of one name are merged, `main` too.

        A branch that was deleted or renamed here and not there comes back under its old name.
        """
        new = [name for name in other.names if name != MAIN and name not in self._heads]
        if len(self._heads) + len(new) > MAX_BRANCHES:
            raise ValueError(f"a document has at most {MAX_BRANCHES} branches")
        for name in other.names:
            theirs = other.open(name)
            if name in new:
                self._all.merge(theirs)
                self._heads[name] = theirs.heads
            else:
                self.open(name).merge(theirs)

    def save(self) -> bytes:
        """Everything in one file: the main line as any Automerge program reads it, then the other branches."""
        for name, document in self._open.items():
            self._all.merge(document)
            self._heads[name] = document.heads
        extra = self._main.fork()
        shared = self._main.heads
        for name, heads in self._heads.items():
            extra.merge(self._open[name] if name in self._open else self._all.fork(at=heads))
        return self._main.save() + branch_file.write(self._heads, extra.changes(shared))

    @classmethod
    def load(cls, data: bytes, actor: bytes | str | None = None) -> Self:
        """Read what `save` gave, or an Automerge file without branches; `actor` is that of the main line.

        The branches are bounded and checked as changes from strangers are. Raises `InvalidDocument`.
        """
        line, tail = branch_file.split(data)
        branches = cls(Document.load(line, actor))
        heads, changes = branch_file.read(tail) if tail else ({}, [])
        try:
            branches._all.apply_changes(changes)
        except CrdtError as error:
            raise InvalidDocument(f"the changes of the branches are not valid: {error}") from error
        if any(branches._all.missing(found) for found in heads.values()):
            raise InvalidDocument("a branch is at a version that is not in the file")
        branches._heads = dict(heads)
        return branches

    def _check_new(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"the name of a branch is a str, not a {type(name).__name__}")
        if not branch_file.is_name(name):
            raise ValueError(f"the name of a branch is 1 to {MAX_NAME_BYTES} bytes without control characters")
        if name == MAIN or name in self._heads:
            raise BranchExists(name)
        if len(self._heads) >= MAX_BRANCHES:
            raise ValueError(f"a document has at most {MAX_BRANCHES} branches")

    def _check_other(self, name: str) -> None:
        if name == MAIN:
            raise ValueError("the main line cannot be deleted or renamed")
        if name not in self._heads:
            raise UnknownBranch(name)

    def __repr__(self) -> str:
        return f"Branches({', '.join(self.names)})"
