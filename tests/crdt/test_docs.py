"""The public names are these, and each is explained."""

from __future__ import annotations

import re
from pathlib import Path

import lichen_crdt
from lichen_crdt import errors, patches, typed

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "crdt.md"

PUBLIC = """
Authors BranchExists Branches HistoryEntry Undo UndoStep Undone UnknownBranch ActorReused Applying Blame Block
BlockInsert ChangeHeader ChangeInfo Conflict ConflictPatch Counter CounterPatch CrdtError Document DocumentBusy
Graphemes InvalidChange InvalidCursor InvalidDocument InvalidModel InvalidTrace InvalidValue List ListDelete
ListInsert ListPut MAX_LOAD_BYTES MAX_LOAD_OPERATIONS MAX_OPERATIONS Map MapDelete MapPut Mark MarkPatch
MissingDependencies NewerDocument NoTransaction Patch Plain ReadOnly Record RichText Scalar SchemaError Span Text
TextPatch Transaction TransactionError TransactionOpen Units Unknown UnreadableField Value Version apply_patches
from_utf16 inspect to_utf16 utf16_length
"""


def test_the_public_names_are_frozen() -> None:
    assert sorted(lichen_crdt.__all__) == sorted(PUBLIC.split())


def test_every_public_name_is_in_the_reference() -> None:
    page = REFERENCE.read_text()
    listed = {*re.findall(r"^ +- (\w+)$", page, re.MULTILINE)}
    for module in (patches, errors):  # these are there as a whole
        assert f"::: {module.__name__}" in page
        listed |= {name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    assert {*lichen_crdt.__all__, *typed.__all__} - listed == set()


def test_every_public_name_says_what_it_is() -> None:
    for name in lichen_crdt.__all__:
        value = getattr(lichen_crdt, name)
        if isinstance(value, type) or callable(value):
            assert value.__doc__, name
            assert not value.__doc__.startswith(f"{name}("), f"{name} has only the docstring that dataclasses make"
