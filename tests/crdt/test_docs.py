"""What the documentation shows works, and the public names are these."""

from __future__ import annotations

import doctest
from pathlib import Path

import lichen_crdt

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "crdt.md"

PUBLIC = """
ActorReused Blame ChangeInfo Conflict ConflictPatch Counter CounterPatch CrdtError Document DocumentBusy InvalidChange
InvalidCursor InvalidDocument InvalidTrace List ListDelete ListInsert ListPut MAX_OPERATIONS Map MapDelete MapPut Mark
MarkPatch MissingDependencies NoTransaction Patch ReadOnly Text TextPatch Transaction TransactionError TransactionOpen
Unknown Version apply_patches inspect from_utf16 to_utf16 utf16_length
"""


def test_the_public_names_are_frozen() -> None:
    assert sorted(lichen_crdt.__all__) == sorted(PUBLIC.split())


def test_the_example_of_the_package_works() -> None:
    results = doctest.testmod(lichen_crdt)
    assert results.attempted > 5
    assert results.failed == 0


def test_the_examples_of_the_reference_work() -> None:
    first, *others = (part.split("```")[0] for part in REFERENCE.read_text().split("```python\n")[1:])
    names: dict[str, object] = {}
    exec(compile(first, str(REFERENCE), "exec"), names)
    for example in others:
        exec(compile(example, str(REFERENCE), "exec"), {})
    assert names["doc"] == {
        "body": "oat milk, bread",
        "items": [{"count": 6, "name": "eggs"}],
        "title": "Groceries",
        "votes": 0,
    }
