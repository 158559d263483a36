"""Every public method takes odd arguments: a documented error, and the document goes on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from crdt_strategies import exact
from lichen_crdt import Block, Counter, CrdtError, Document, Span, Text, _native

# What the documentation allows; `ValueError` has `UnicodeEncodeError` below it.
ALLOWED = (CrdtError, TypeError, ValueError, LookupError, OverflowError, AttributeError)

ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 3, 2**31, 2**63, 2**64, -(2**70), 0.5, float("nan"), b"", b"\x00" * 32, b"x" * 5),
    *("", "a\0b", "\ud800", "\ufffc", "text", "map", "e\u0301", "start", [], {}, (), [b"n" * 32], [b"\x00"], object()),
    *(slice(None, None, -1), slice(5, 1), [Span("\ud800")], [Block({"": 1})], [Span("x", {"": []})], range(3)),
    *(Counter(3), Text("z"), {"": {"": None}}),
)
NOT_CALLED = {
    "bind",
    "wait_at_most",
    "__class__",
    "__init__",
    "__new__",
    "__reduce__",
    "__reduce_ex__",
    "__subclasshook__",
}


def made() -> Document:
    doc = Document(actor=b"\x01" * 16)
    with doc.change():
        doc.update(text=Text("a🥚e\u0301c"), map={"x": 1}, list=[1, Text("y"), {}], n=Counter(1), **{"": None, "\0": 0})
        doc["text"].mark(0, 2, "bold", True)
        doc["text"].split_block(1, {"deep": [1]})
    return doc


def methods(target: Any) -> list[Callable[..., Any]]:
    names = [name for name in dir(type(target)) if name not in NOT_CALLED]
    own = [name for name in names if not name.startswith("_") or name in ("__getitem__", "__setitem__", "__delitem__")]
    return [getattr(target, name) for name in own if callable(getattr(target, name, None))]


def tried(call: Callable[..., Any], *arguments: Any) -> None:
    said = ""
    try:
        call(*arguments)
    except ALLOWED as error:
        said = str(error)
    assert "native core failed" not in said, (call, arguments)  # a panic that was caught


def views(doc: Document) -> list[Any]:
    text = doc.get("text")
    found: list[Any] = [doc, *(doc.get(key) for key in ("text", "map", "list", "n"))]
    if isinstance(text, Text):
        found += [text.utf16, text.utf8, text.graphemes]
    return [view for view in found if view is not None]


def is_whole(doc: Document) -> None:
    with doc.change():
        doc["goes"] = "on"
    assert exact(Document.load(doc.save()).to_py()) == exact(doc.to_py())


@pytest.mark.parametrize("which", range(8))
@pytest.mark.parametrize("open_", [False, True])
def test_methods_of_views_take_odd_arguments(which: int, open_: bool) -> None:
    for call in [call.__name__ for call in methods(views(made())[which])]:
        doc = made()
        target = views(doc)[which]
        tx = doc.change()
        if open_:
            tx.__enter__()
        for one, two in itertools.product(ODD, (0, "x")):
            tried(getattr(target, call))
            tried(getattr(target, call), one)
            tried(getattr(target, call), one, two)
            tried(getattr(target, call), two, one)
            tried(getattr(target, call), 0, 1, one, two)
        if open_:
            tx.__exit__(None, None, None)
        is_whole(doc)


def objects() -> list[Any]:
    """Objects of every kind, of this document, of one that is not there, and of another document."""
    doc, other = made(), Document(actor=b"\x01" * 16)
    with doc.change():
        doc["gone"] = [1]
        gone = doc._core.get(doc._obj, "gone")
        del doc["gone"]
    with other.change():
        other["a"] = [{}, Text("z"), []]
        other["a"].extend([[]] * 30)
    found = [doc._core.get(doc._obj, key) for key in ("text", "map", "list")]
    strange = [other._core.get(other["a"]._obj, at) for at in (0, 1, 2, 32)]
    return [_native.Core.root, *found, gone, *strange]


@pytest.mark.parametrize("which", range(9))
def test_native_methods_take_objects_of_any_kind_and_document(which: int) -> None:
    obj = objects()[which]
    names = [name for name in dir(_native.Core) if not name.startswith("_") and name not in ("set_wait", "root")]
    for name in names:
        doc = made()
        with doc.change():
            call = getattr(doc._core, name)
            if name not in ("begin", "commit", "rollback"):
                for arguments in itertools.product((0, 1, 2**63, "x", ""), (0, 2**63, "y", None, {}, [], True)):
                    tried(call, obj)
                    tried(call, obj, arguments[0])
                    tried(call, obj, *arguments)
                    tried(call, obj, *arguments, "z")
                    tried(call, obj, *arguments, [])
                    tried(call, obj, *arguments, "bold", True, (True, True))
        is_whole(doc)


def test_functions_take_odd_arguments() -> None:
    for one, two in itertools.product(ODD, ODD):
        tried(Document.load, one)
        tried(Document, one)
        for call in (_native.to_points, _native.from_points, _native.around, _native.boundaries, _native.inspect):
            tried(call, one, two)
            tried(call, "text🥚", "utf16", two)
            tried(call, one)


def hashed(doc: Document) -> list[Callable[[Any], Any]]:
    """The calls that take hashes of changes."""
    return [doc.changes, doc.at, doc.diff, doc.missing, doc.save_after, doc.history, lambda heads: doc.fork(at=heads)]


@pytest.mark.parametrize("which", range(7))
def test_what_is_no_hash_is_a_python_error(which: int) -> None:
    call = hashed(made())[which]
    with pytest.raises(ValueError, match="32 bytes"):
        call([b"short"])
    for odd in (b"x" * 32, "x" * 32, ["x" * 32], [1], 1):
        with pytest.raises(TypeError):
            call(odd)


def test_a_document_merges_with_documents_alone() -> None:
    doc = made()
    for odd in (None, {}, doc["map"], doc.at(doc.heads)):
        with pytest.raises(TypeError, match="merges"):
            doc.merge(odd)


def test_a_wait_is_a_number_of_seconds() -> None:
    doc = made()
    for odd in (-1, -0.5, float("nan"), float("inf"), 1e300):
        with pytest.raises(ValueError, match="0 or more"):
            doc.wait_at_most(odd)
    wrong: Any = "1"
    with pytest.raises(TypeError):
        doc.wait_at_most(wrong)
    doc.wait_at_most(0)


def test_texts_and_counters_outside_a_document_take_what_those_inside_take() -> None:
    text, counter = Text("abc"), Counter(1)
    calls: list[Callable[[Any], Any]] = [Text, text.update, text.append, counter.increment, Counter]
    for call in calls:
        for odd in (None, 1.5, b"a", [], "1" if call in calls[3:] else 1):
            with pytest.raises(TypeError):
                call(odd)
    assert (text, counter) == ("abc", 1)


def test_rich_text_is_made_of_its_pieces() -> None:
    doc = made()
    odd: Any
    for odd in ([5], [None], [{}], 5):
        with pytest.raises(TypeError), doc.change():
            doc["text"].update_spans(odd)


def test_conflicts_of_an_item_that_is_not_there_are_an_index_error() -> None:
    doc = made()
    for index in (3, -4, 2**70):
        with pytest.raises(IndexError):
            doc["list"].conflicts(index)
