"""Random edits of random documents, shared by the property tests of lichen_crdt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from lichen_crdt import Counter, Document, List, Map, Text

KEYS = ("a", "b", "c")
ALPHABET = "ab🥚é\u0301\n"

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(allow_nan=False, width=16),
    st.text(ALPHABET, max_size=3),
    st.binary(max_size=3),
)
values = st.recursive(
    st.one_of(scalars, st.builds(Text, st.text(ALPHABET, max_size=5)), st.builds(Counter, st.integers(0, 3))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)),
    max_leaves=4,
)


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
transactions = st.lists(edits, min_size=1, max_size=5)


def containers(view: Any) -> list[Any]:
    """Every map, list and text of a document, outermost first."""
    found = [view]
    if isinstance(view, (Map, List)):
        places = list(view) if isinstance(view, Map) else range(len(view))
        for place in places:
            value = view[place]
            if isinstance(value, (Map, List, Text)):
                found += containers(value)
    return found


def perform(doc: Document, edit: Edit) -> None:
    """Do one edit; whatever the numbers in it, it fits the document."""
    all_containers = containers(doc)
    target = all_containers[edit.where % len(all_containers)]
    if isinstance(target, Map):
        _edit_map(target, edit)
    elif isinstance(target, List):
        _edit_list(target, edit)
    else:
        _edit_text(target, edit)


def _edit_map(target: Map, edit: Edit) -> None:
    key = KEYS[edit.at % len(KEYS)]
    if edit.kind == 0 and key in target:
        del target[key]
    elif edit.kind == 1 and key in target and isinstance(target[key], Counter):
        target[key] += edit.count
    else:
        target[key] = edit.value


def _edit_list(target: List, edit: Edit) -> None:
    at = edit.at % (len(target) + 1)
    if at == len(target) or edit.kind >= 4:
        target.insert(at, edit.value)
    elif edit.kind == 0:
        del target[at : at + edit.count]
    elif edit.kind == 1 and isinstance(target[at], Counter):
        target[at] += edit.count
    elif edit.kind == 2:
        target[at : at + edit.count] = [edit.value, edit.count]
    else:
        target[at] = edit.value


def _edit_text(target: Text, edit: Edit) -> None:
    at = edit.at % (len(target) + 1)
    count = min(edit.count, len(target) - at)
    insert = ALPHABET[: edit.where % 4]
    if edit.kind == 0:
        target.splice(at, count)
    elif edit.kind == 1:
        target.update(str(target)[::-1])
    elif edit.kind == 2 and count:
        target.mark(at, at + count, "bold", edit.count == 1 or None, expand=("both", "none", "after", "before")[at % 4])
    else:
        target.splice(at, count, insert)
