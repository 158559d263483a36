"""Every error that lichen_crdt raises, in one tree.

    CrdtError
    ├── InvalidDocument        saved bytes do not load
    ├── InvalidChange          a change breaks the format or a rule of it
    ├── ActorReused            another change has the same actor and seq
    ├── MissingDependencies    a change builds on changes that are not here (`.hashes`)
    ├── InvalidCursor          not a cursor, or not one of this text or list
    ├── InvalidTrace           a recorded editing trace is malformed
    ├── BranchExists           there is a branch of that name already
    ├── UnknownBranch          there is no branch of that name
    ├── SchemaError
    │   ├── InvalidModel       a class cannot be a view of documents, or a step between its versions breaks a rule
    │   ├── InvalidValue       what a program writes does not fit its model (`.path`)
    │   ├── UnreadableField    a field without a default is read, and what is stored does not fit (`.name`)
    │   └── NewerDocument      a field is written that may be elsewhere in the document's newer version
    └── TransactionError
        ├── NoTransaction      a write outside `with document.change():`
        ├── TransactionOpen    not possible while a transaction is open
        ├── ReadOnly           a write to a document as it was (`Document.at`)
        └── DocumentBusy       another thread holds the document, and did not let go in time

Beside these, the usual Python errors: `KeyError` and `IndexError` for what is not there, `TypeError`, `ValueError`
and `OverflowError` for values that a document cannot hold and hashes that have not 32 bytes (of a string with lone
surrogates it is the `UnicodeEncodeError` below `ValueError`). After any error the document is as it was before the
call.
"""

from __future__ import annotations

from typing import Self


class CrdtError(Exception):
    """The base of every error that lichen_crdt raises."""


class InvalidDocument(CrdtError):
    """Saved bytes are damaged, or are not an Automerge document."""


class InvalidChange(CrdtError):
    """A change breaks the format or a rule of it; it will never be valid."""


class ActorReused(CrdtError):
    """Another change with the same actor and seq is here: two copies wrote under one actor.

    Each of the two may be valid by itself, but one document cannot hold both.
    """


class MissingDependencies(CrdtError):
    """A change builds on changes that are not here; it may be applied once they are.

    `hashes` holds those that are missing, 32 bytes each.
    """

    hashes: tuple[bytes, ...]

    def __init__(self, message: str, hashes: tuple[bytes, ...] = ()) -> None:
        super().__init__(message)
        self.hashes = tuple(hashes)


class InvalidCursor(CrdtError):
    """Bytes that are not a cursor, or not one of this text or list."""


class BranchExists(CrdtError, ValueError):
    """There is a branch of that name already."""


class UnknownBranch(CrdtError, KeyError):
    """There is no branch of that name."""


class InvalidTrace(CrdtError):
    """A recorded editing trace is malformed, or reaches beyond its own text; `hint` says what one is."""

    hint: str

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
        self.hint = "a trace is (gzipped) JSON in a format of github.com/josephg/editing-traces"


class SchemaError(CrdtError):
    """A model, a value and a document do not fit together."""


class InvalidModel(SchemaError):
    """A class cannot be a view of documents, or a step between its versions breaks a rule."""


class InvalidValue(SchemaError):
    """What a program writes does not fit its model; `path` says where, in keys and indexes from the view."""

    path: tuple[str | int, ...]

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(f"{'.'.join(map(str, path))}: {message}" if path else message)
        self.path = path  # a copy and what was pickled are made of the whole message, then get their path


class UnreadableField(SchemaError, AttributeError):
    """A field without a default is read, and what the document holds there does not fit, or nothing is there."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """For `copy` and `pickle`; `AttributeError` would leave the name out."""
        return type(self), (str(self), self.name)


class NewerDocument(SchemaError):
    """A field is written that is not there, in a document of a newer version, where it may be elsewhere."""


class TransactionError(CrdtError):
    """A call does not fit the state of the document's transaction."""


class NoTransaction(TransactionError):
    """A write outside `with document.change():`."""


class TransactionOpen(TransactionError):
    """Not possible while a transaction is open: no nested transaction, no apply, no save."""


class ReadOnly(TransactionError):
    """A write to a document as it was: what `Document.at` gives is for reading."""


class DocumentBusy(TransactionError):
    """Another thread holds the document and did not let go in time."""
