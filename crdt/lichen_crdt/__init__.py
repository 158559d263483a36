"""Automerge documents as Python data.

A `Document` is a dict whose copies merge: every device edits its own, and whoever has the same changes
reads the same content. This package does no I/O and knows no keys; it is useful alone.

>>> from lichen_crdt import Document, Text
>>> doc = Document()
>>> with doc.change("groceries"):
...     doc["body"] = Text("milk")
>>> copy = doc.fork()
>>> with doc.change() as tx:
...     doc["body"].append(", eggs")
>>> patches = copy.apply_changes([tx.bytes])
>>> str(copy["body"])
'milk, eggs'
"""

from __future__ import annotations

from datetime import datetime

from lichen_crdt import _native
from lichen_crdt.applying import Applying as Applying
from lichen_crdt.authors import Authors as Authors
from lichen_crdt.blame import Blame as Blame
from lichen_crdt.branches import Branches as Branches
from lichen_crdt.changes import MAX_OPERATIONS as MAX_OPERATIONS
from lichen_crdt.changes import ChangeHeader as ChangeHeader
from lichen_crdt.changes import ChangeInfo as ChangeInfo
from lichen_crdt.changes import inspect as inspect
from lichen_crdt.counter import Counter as Counter
from lichen_crdt.document import MAX_LOAD_BYTES as MAX_LOAD_BYTES
from lichen_crdt.document import MAX_LOAD_OPERATIONS as MAX_LOAD_OPERATIONS
from lichen_crdt.document import Document as Document
from lichen_crdt.document import Transaction as Transaction
from lichen_crdt.errors import ActorReused as ActorReused
from lichen_crdt.errors import BranchExists as BranchExists
from lichen_crdt.errors import CrdtError as CrdtError
from lichen_crdt.errors import DocumentBusy as DocumentBusy
from lichen_crdt.errors import InvalidChange as InvalidChange
from lichen_crdt.errors import InvalidCursor as InvalidCursor
from lichen_crdt.errors import InvalidDocument as InvalidDocument
from lichen_crdt.errors import InvalidModel as InvalidModel
from lichen_crdt.errors import InvalidTrace as InvalidTrace
from lichen_crdt.errors import InvalidValue as InvalidValue
from lichen_crdt.errors import MissingDependencies as MissingDependencies
from lichen_crdt.errors import NewerDocument as NewerDocument
from lichen_crdt.errors import NoTransaction as NoTransaction
from lichen_crdt.errors import ReadOnly as ReadOnly
from lichen_crdt.errors import SchemaError as SchemaError
from lichen_crdt.errors import TransactionError as TransactionError
from lichen_crdt.errors import TransactionOpen as TransactionOpen
from lichen_crdt.errors import UnknownBranch as UnknownBranch
from lichen_crdt.errors import UnreadableField as UnreadableField
from lichen_crdt.history import HistoryEntry as HistoryEntry
from lichen_crdt.patches import BlockInsert as BlockInsert
from lichen_crdt.patches import ConflictPatch as ConflictPatch
from lichen_crdt.patches import CounterPatch as CounterPatch
from lichen_crdt.patches import ListDelete as ListDelete
from lichen_crdt.patches import ListInsert as ListInsert
from lichen_crdt.patches import ListPut as ListPut
from lichen_crdt.patches import MapDelete as MapDelete
from lichen_crdt.patches import MapPut as MapPut
from lichen_crdt.patches import MarkPatch as MarkPatch
from lichen_crdt.patches import Patch as Patch
from lichen_crdt.patches import TextPatch as TextPatch
from lichen_crdt.patches import apply_patches as apply_patches
from lichen_crdt.places import Conflict as Conflict
from lichen_crdt.record import Record as Record
from lichen_crdt.spans import Block as Block
from lichen_crdt.spans import Mark as Mark
from lichen_crdt.spans import RichText as RichText
from lichen_crdt.spans import Span as Span
from lichen_crdt.text import Text as Text
from lichen_crdt.undo import Undo as Undo
from lichen_crdt.undo import Undone as Undone
from lichen_crdt.undo_stacks import UndoStep as UndoStep
from lichen_crdt.units import Graphemes as Graphemes
from lichen_crdt.units import Units as Units
from lichen_crdt.utf16 import from_utf16 as from_utf16
from lichen_crdt.utf16 import to_utf16 as to_utf16
from lichen_crdt.utf16 import utf16_length as utf16_length
from lichen_crdt.values import Plain as Plain
from lichen_crdt.values import Scalar as Scalar
from lichen_crdt.values import Unknown as Unknown
from lichen_crdt.values import Value as Value
from lichen_crdt.values import from_milliseconds, to_milliseconds
from lichen_crdt.version import Version as Version
from lichen_crdt.views import List as List
from lichen_crdt.views import Map as Map

__all__ = [
    "MAX_LOAD_BYTES",
    "MAX_LOAD_OPERATIONS",
    "MAX_OPERATIONS",
    "ActorReused",
    "Applying",
    "Authors",
    "Blame",
    "Block",
    "BlockInsert",
    "BranchExists",
    "Branches",
    "ChangeHeader",
    "ChangeInfo",
    "Conflict",
    "ConflictPatch",
    "Counter",
    "CounterPatch",
    "CrdtError",
    "Document",
    "DocumentBusy",
    "Graphemes",
    "HistoryEntry",
    "InvalidChange",
    "InvalidCursor",
    "InvalidDocument",
    "InvalidModel",
    "InvalidTrace",
    "InvalidValue",
    "List",
    "ListDelete",
    "ListInsert",
    "ListPut",
    "Map",
    "MapDelete",
    "MapPut",
    "Mark",
    "MarkPatch",
    "MissingDependencies",
    "NewerDocument",
    "NoTransaction",
    "Patch",
    "Plain",
    "ReadOnly",
    "Record",
    "RichText",
    "Scalar",
    "SchemaError",
    "Span",
    "Text",
    "TextPatch",
    "Transaction",
    "TransactionError",
    "TransactionOpen",
    "Undo",
    "UndoStep",
    "Undone",
    "Units",
    "Unknown",
    "UnknownBranch",
    "UnreadableField",
    "Value",
    "Version",
    "apply_patches",
    "from_utf16",
    "inspect",
    "to_utf16",
    "utf16_length",
]

_native.register(
    text=Text,
    counter=Counter,
    unknown=Unknown,
    datetime=datetime,
    to_ms=to_milliseconds,
    from_ms=from_milliseconds,
    span=Span,
    block=Block,
    rich=RichText,
)
