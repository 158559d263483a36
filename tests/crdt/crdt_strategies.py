"""Random edits of random documents, shared by the property tests of lichen_crdt.

The same edit can be done to a document and to plain Python data (`as_python`), which must then read alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from hypothesis import strategies as st
from lichen_crdt import Block, Counter, Document, List, Map, Span, Text, Unknown

KEYS = ("a", "b", "c")
ALPHABET = "ab🥚é\u0301\n"
BLOCK = "\ufffc"  # how a block shows among the characters of a text
MARKS = ("bold", "link")
EXPANDS = ("both", "none", "after", "before")

# One draw for one scalar: strategies of strategies would take most of the time of a run.
SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1),
    *(0.5, -0.0, 1.0, 1e308, float("inf"), float("nan"), b"", b"\x00\xff"),
    *("", "a", "é", "🥚b", "e\u0301", "\x00"),
    *(datetime(1, 1, 1, tzinfo=UTC), datetime(2026, 11, 24, 3, 4, 5, 6000, tzinfo=UTC)),
    Unknown(12, b"abc"),
)

scalars = st.sampled_from(SCALARS)
leaves = st.one_of(
    scalars,
    st.builds(Text, st.sampled_from(("", "a", "milk", "🥚é\u0301", "ab\nab"))),
    st.builds(Counter, st.integers(-3, 3)),
)
nested = st.one_of(
    st.lists(leaves, max_size=3),
    st.dictionaries(st.sampled_from(KEYS), leaves, max_size=2),
    st.builds(lambda value: {"c": [value]}, leaves),
    st.builds(lambda value: [{"a": value}, [value]], scalars),
)
values = st.one_of(leaves, leaves, nested)


@dataclass(frozen=True)
class Edit:
    """One edit; `where` and `at` choose among whatever containers and positions there are."""

    where: int
    at: int
    count: int
    kind: int
    value: Any


edits = st.builds(
    Edit,
    where=st.integers(0, 30),
    at=st.integers(0, 30),
    count=st.integers(0, 3),
    kind=st.integers(0, 5),
    value=values,
)
transactions = st.lists(edits, min_size=1, max_size=4)
edits_at_one_place = st.lists(
    st.builds(
        Edit,
        where=st.just(0),
        at=st.integers(0, 3),
        count=st.integers(0, 2),
        kind=st.integers(0, 5),
        value=leaves,
    ),
    min_size=1,
    max_size=3,
)
"""Edits that are likely to clash with others of their kind."""
deletions = st.builds(
    lambda at, count: [Edit(where=0, at=at, count=count, kind=0, value=None)], st.integers(0, 3), st.integers(1, 2)
)


def containers(view: Any) -> list[Any]:
    """Every map, list and text of a document, outermost first."""
    found = [view]
    for value in _items(view):
        if isinstance(value, (Map, List, Text, dict, list)):
            found += containers(value)
    return found


def _items(view: Any) -> list[Any]:
    if isinstance(view, (Map, dict)):
        return [view[key] for key in sorted(view)]
    return list(view) if isinstance(view, (List, list)) else []


def as_python(view: Any) -> Any:
    """A copy in Python's own dicts and lists, with texts and counters that are in no document."""
    if isinstance(view, (Map, dict)):
        return {key: as_python(view[key]) for key in view}
    if isinstance(view, (List, list, tuple)):
        return [as_python(value) for value in view]
    if isinstance(view, Text):
        return Text(str(view))
    return Counter(view.value) if isinstance(view, Counter) else view


def perform(doc: Document | dict[str, Any], edit: Edit) -> None:
    """Do one edit; whatever the numbers in it, it fits the document."""
    all_containers = containers(doc)
    target = all_containers[edit.where % len(all_containers)]
    value = edit.value if isinstance(doc, Document) else as_python(edit.value)
    if isinstance(target, (Map, dict)):
        _edit_map(target, edit, value)
    elif isinstance(target, (List, list)):
        _edit_list(target, edit, value)
    else:
        _edit_text(target, edit)


def _edit_map(target: Any, edit: Edit, value: Any) -> None:
    key = KEYS[edit.at % len(KEYS)]
    if edit.kind == 0 and key in target:
        del target[key]
    elif edit.kind in (1, 2) and key in target and isinstance(target[key], Counter):
        target[key] += edit.count - 1
    else:
        target[key] = value


def _edit_list(target: Any, edit: Edit, value: Any) -> None:
    at = edit.at % (len(target) + 1)
    if at == len(target) or edit.kind >= 4:
        target.insert(at, value)
    elif edit.kind == 0:
        del target[at : at + edit.count]
    elif edit.kind == 1 and isinstance(target[at], Counter):
        target[at] += edit.count
    elif edit.kind == 2:
        target[at : at + edit.count] = [value, edit.count]
    else:
        target[at] = value


def _edit_text(target: Text, edit: Edit) -> None:
    at = edit.at % (len(target) + 1)
    count = min(edit.count, len(target) - at)
    if edit.kind == 0:
        target.splice(at, count)
    elif edit.kind == 1:
        target.update(str(target)[::-1])
    elif edit.kind == 2 and count:
        if target._core is not None:  # marks are for texts of documents, and change no character
            value = (True, None, "x", 1)[edit.where % 4]
            target.mark(at, at + count, MARKS[edit.where % 2], value, expand=EXPANDS[at % 4])
    elif edit.kind == 3 and edit.count == 0:
        if target._core is None:
            target.insert(at, BLOCK)
        else:
            target.split_block(at, {"type": MARKS[edit.where % 2], "of": [edit.where]})
    elif edit.kind in (4, 5) and edit.count == 0:
        if target._core is not None:  # no character changes
            _edit_blocks(target, edit) if edit.kind == 4 else _edit_spans(target, edit)
    else:
        target.splice(at, count, ALPHABET[: edit.where % 4])


def _edit_blocks(target: Text, edit: Edit) -> None:
    """Change a key of a block, or put another in its place."""
    ends = [*accumulate(1 if isinstance(piece, Block) else len(piece.text) for piece in target.spans())]
    blocks = [end - 1 for end, piece in zip(ends, target.spans(), strict=True) if isinstance(piece, Block)]
    if blocks and edit.at % 2:
        target.block(blocks[edit.where % len(blocks)])["of"] = [edit.at]
    elif blocks:
        target.replace_block(blocks[edit.where % len(blocks)], {"type": "new"})


def _edit_spans(target: Text, edit: Edit) -> None:
    """Other marks and blocks for the same characters."""
    wanted = [
        Block({"type": MARKS[(i + edit.at) % 2]})
        if isinstance(piece, Block)
        else Span(piece.text, {MARKS[edit.at % 2]: "y"} if (i + edit.where) % 2 else {})
        for i, piece in enumerate(target.spans())
    ]
    target.update_spans(wanted, expand=EXPANDS[edit.at % 4])
    assert target.spans() == wanted, "rich text is what it was told to be"


def exact(value: Any) -> Any:
    """Plain data with the types of its scalars, so that 1, 1.0 and True differ and not-a-number is itself."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, Block):
        return "Block", exact(value.content)
    if isinstance(value, Span):
        return "Span", value.text, exact(dict(value.marks))
    return type(value).__name__, repr(value)
