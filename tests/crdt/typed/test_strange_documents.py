"""Documents that others wrote: whatever is in them, a view reads what fits, names the rest, and leaves it alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from crdt_strategies import perform, transactions, values
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen_crdt import Counter, Document, InvalidValue, List, Map, SchemaError, Text
from lichen_crdt.typed import Convert, Problem, View, WrapItems, versioned
from pydantic import BaseModel


@dataclass
class Leaf:
    kind: Literal["leaf"] = "leaf"
    a: int = 0
    b: str = ""


@dataclass
class Tree:
    c: int
    kind: Literal["tree"] = "tree"
    a: list[Leaf | Tree] = field(default_factory=list)
    b: dict[str, Tree] = field(default_factory=dict)


@versioned({2: [Convert("a", "number", int), WrapItems("b", "a")]})
@dataclass
class Rooted:
    c: Text
    number: int = 1
    b: list[Leaf] = field(default_factory=list)
    tree: Tree | None = None


class Pydantic(BaseModel):
    a: int
    b: list[Leaf] = []
    c: dict[str, bytes | float] = {}
    tree: Tree | None = None


MODELS: list[type] = [Tree, Rooted, Pydantic]

keys = st.sampled_from(["kind", "a", "b", "c", "tree"])
trees = st.recursive(
    st.one_of(values, st.sampled_from(["leaf", "tree"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=12,
)
contents = st.dictionaries(st.sampled_from(["a", "b", "c", "number", "tree", "kind", "schema_version"]), trees)


def document(content: dict[str, Any]) -> Document:
    doc = Document()
    with doc.change():
        doc.update(content)
    return doc


def at(plain: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        try:
            plain = plain[step]
        except (LookupError, TypeError):
            return None
    return plain


@settings(max_examples=200)
@given(contents, st.sampled_from(MODELS))
def test_whatever_is_there_is_read_or_named_and_stays(content: dict[str, Any], model: type) -> None:
    doc = document(content)
    before = doc.to_py()
    view = View(doc, model)
    found = view.read()
    for problem in found.problems:
        assert repr(problem.value) == repr(at(before, problem.path))  # nan is not equal to itself
        assert problem.why
    with view.change():
        pass
    assert repr(doc.to_py()) == repr(before)


@settings(max_examples=100)
@given(contents)
def test_writing_beside_it_leaves_what_does_not_fit(content: dict[str, Any]) -> None:
    doc = document(content)
    view = doc.view(Tree)
    problems = [problem for problem in view.problems if problem.path and problem.path[0] != "c"]
    with view.change() as tree:
        tree.c = 77
    assert doc["c"] == 77
    assert repr([problem for problem in view.problems if problem.path]) == repr(problems)


@given(transactions)
def test_documents_of_any_making_are_read(edits: list[Any]) -> None:
    doc = Document()
    with doc.change():
        for edit in edits:
            perform(doc, edit)
    for model in MODELS:
        View(doc, model).read()


def deep(levels: int) -> Document:
    doc = document({"kind": "tree", "c": 1, "b": {}})
    with doc.change():
        inner = doc.map("b")
        for _ in range(levels):
            inner["x"] = {"kind": "tree", "c": 2, "b": {}}
            inner = inner.map("x").map("b")
    return doc


@pytest.mark.parametrize("levels", [40, 99])  # 99: as deep as a document nests
def test_what_is_nested_too_deeply_is_a_problem_and_the_rest_is_readable(levels: int) -> None:
    doc = deep(levels)
    found = doc.view(Tree).read()
    assert found.value.c == 1
    assert len(found.problems) == 1
    assert "deep" in found.problems[0].why
    with doc.view(Tree).change() as tree:
        tree.c = 3
    assert doc["c"] == 3
    assert isinstance(doc["b"]["x"]["b"]["x"], Map)


def test_a_document_that_is_nested_as_deeply_as_a_view_reads_is_read() -> None:
    found = deep(31).view(Tree).read()
    assert found.problems == ()


@dataclass
class Left:
    child: Left | Right | None = None
    leaf: int = 0


@dataclass
class Right:
    child: Left | Right | None = None
    leaf: int = 0


def test_nested_unions_are_read_once_however_many_members_there_are() -> None:
    content: dict[str, Any] = {"leaf": "bad"}
    for _ in range(60):
        content = {"child": content}
    found = document(content).view(Left).read()
    assert [(len(problem.path), problem.value) for problem in found.problems] == [(61, "bad")]


def test_many_strange_items_cost_no_more_than_themselves() -> None:
    doc = document({"c": 1, "kind": "tree", "a": [7] * 20_000})
    found = doc.view(Tree).read()
    assert len(found.problems) == 20_000
    assert found.problems[-1] == Problem(("a", 19_999), 7, found.problems[0].why)
    with doc.view(Tree).change() as tree:
        tree.a.append(Leaf())
    assert len(doc["a"]) == 20_001
    assert doc["a"][-1] == {"kind": "leaf", "a": 0, "b": ""}


def test_an_object_of_another_kind_is_replaced_by_who_writes_there_and_by_nobody_else() -> None:
    for strange in ({"x": 1}, [1], Text("x"), Counter(1), b"", None):
        doc = document({"c": strange, "number": 5, "b": strange})
        view = doc.view(Rooted)
        with view.change() as rooted:
            rooted.number = 6
        assert doc["b"] == document({"b": strange})["b"]
        with view.change() as rooted:
            rooted.b.append(Leaf(a=1))
            rooted.c = Text("text")
        assert isinstance(doc["b"], List)
        assert (doc["b"][-1]["a"], doc.text("c")) == (1, "text")


def test_errors_of_a_view_are_of_the_one_tree() -> None:
    doc = document({"a": "x"})
    with pytest.raises(SchemaError):
        doc.view(int)
    with pytest.raises(InvalidValue):
        doc.view(Leaf).write("no leaf")  # type: ignore[arg-type]
