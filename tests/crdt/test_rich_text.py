"""Marks, spans and blocks, and the patches of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from crdt_strategies import EXPANDS, MARKS, Edit, as_python, exact, perform, transactions, values
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen_crdt import Block, BlockInsert, Counter, Document, MapPut, Mark, MarkPatch, RichText, Span, Text, TextPatch
from lichen_crdt import apply_patches as apply

BOLD = {"bold": True}


def rich() -> Document:
    doc = Document(actor=b"\x01" * 16)
    with doc.change():
        doc["body"] = Text("hello world")
        body = doc.text("body")
        body.mark(0, 5, "bold", True)
        body.split_block(6, {"type": "heading", "level": 1})
    return doc


def test_spans_show_runs_with_their_marks_and_blocks_now_and_then() -> None:
    doc = rich()
    heads, body = doc.heads, doc.text("body")
    assert body.spans() == [Span("hello", BOLD), Span(" "), Block({"type": "heading", "level": 1}), Span("world")]
    assert str(body) == str(body.spans()) == "hello \ufffcworld"
    with doc.change():
        body.join_block(6)
        body.mark(3, 7, "link", "x")
        assert body.spans()[0] == Span("hel", BOLD)
    assert body.spans()[1:] == [Span("lo", {"bold": True, "link": "x"}), Span(" w", {"link": "x"}), Span("orld")]
    assert doc.at(heads)["body"].block(6) == {"type": "heading", "level": 1}
    assert doc.to_py(rich=True) == {"body": body.spans()}


@pytest.mark.parametrize(("expand", "marked"), [("none", "bc"), ("after", "bcy"), ("before", "xbc"), ("both", "xbcy")])
def test_a_mark_grows_at_the_edges_that_it_says(expand: Any, marked: str) -> None:
    doc = Document()
    with doc.change():
        doc["t"] = Text("abcd")
        text = doc.text("t")
        text.mark(1, 3, "bold", True, expand=expand)
        text.insert(3, "y")
        text.insert(1, "x")
        assert "".join(span.text for span in text.spans() if span.marks) == marked
        text.unmark(0, 6, "bold", expand=expand)
        assert text.spans() == [Span("axbcyd")]


def test_what_is_typed_where_a_mark_was_taken_away_is_without_it() -> None:
    doc = rich()
    with doc.change():
        doc["body"].unmark(0, 5, "bold")
        doc["body"].insert(5, "!")
    assert doc["body"].marks() == []


def test_concurrent_marks_and_typing_meet() -> None:
    doc = rich()
    other = doc.fork(actor=b"\x02" * 16)
    with doc.change():
        doc["body"].insert(2, "XX")
    with other.change():
        other["body"].mark(3, 9, "bold", None)
        other["body"].block(6)["level"] = 2
    doc.merge(other)
    other.merge(doc)
    spans = doc["body"].spans()
    assert spans == other["body"].spans()
    assert spans[:2] == [Span("heXXl", BOLD), Span("lo ")]
    assert spans[2] == Block({"type": "heading", "level": 2})


def test_blocks_are_split_joined_replaced_and_written_to() -> None:
    doc = rich()
    body = doc.text("body")
    with doc.change():
        made = body.split_block(0, {"type": "list", "items": [1]})
        made["items"].append(2)
        body.block(7).update(level=3)
        body.replace_block(7, {"type": "quote"})
        assert made.path == ("body", 0)
    assert body.spans()[0] == Block({"type": "list", "items": [1, 2]})
    assert body.spans()[3] == Block({"type": "quote"})
    with doc.change():
        for call in (body.join_block, body.block, lambda at: body.replace_block(at, {})):
            with pytest.raises(TypeError, match="no block"):
                call(3)
        with pytest.raises(IndexError):
            body.split_block(99)
        with pytest.raises(TypeError):
            body.split_block(0, {"x": object()})
        body.delete(0)
    assert str(body)[0] == "h"


def test_a_block_with_bad_content_changes_nothing() -> None:
    doc = Document()
    deepest: Any = 1
    for _ in range(199):
        deepest = {"k": deepest}
    with doc.change():
        doc["body"] = Text("abc")
        body = doc.text("body")
        body.split_block(0, {"type": "heading"})
        before = body.spans()
        edits: list[Callable[[Any], object]] = [
            lambda bad: body.replace_block(0, {"a": 1, "b": bad}),
            lambda bad: body.split_block(2, {"a": 1, "b": bad}),
            lambda bad: body.update_spans(["x", Block({"type": "heading", "b": bad})]),
        ]
        for edit in edits:
            for bad in (object(), "\ud800", 2**70, deepest):
                with pytest.raises((TypeError, ValueError, OverflowError)):
                    edit(bad)
        with pytest.raises(TypeError, match="no block"):
            body.replace_block(1, {})
        with pytest.raises(TypeError, match="no counter"):
            body.mark(0, 1, "bold", Counter(1))  # type: ignore[arg-type]
        assert body.spans() == before
        assert body.replace_block(0, {"type": "quote"}) == {"type": "quote"}
    assert body.spans() == [Block({"type": "quote"}), Span("abc")]


pieces = st.lists(
    st.builds(Span, st.text("ab🥚é\u0301 \n", max_size=6), st.dictionaries(st.sampled_from(MARKS), st.integers(0, 1)))
    | st.builds(Block, st.dictionaries(st.sampled_from("xy"), st.integers(0, 2) | st.lists(st.integers(0, 1)))),
    max_size=6,
)


def canonical(spans: Any) -> RichText:
    wanted = RichText()
    for piece in spans:
        at = len(str(wanted))
        wanted.splice(at, 0, piece)
    return wanted


@given(pieces, pieces, st.sampled_from(EXPANDS))
def test_updating_spans_gives_those_spans(first: Any, second: Any, expand: Any) -> None:
    doc = Document()
    with doc.change():
        doc["t"] = Text()
        doc["t"].update_spans(first, expand=expand)
        assert doc["t"].spans() == canonical(first)
    with doc.change() as tx:
        doc["t"].update_spans(second, expand={"bold": expand})
        assert doc["t"].spans() == canonical(second)
    with doc.change() as tx:
        doc["t"].update_spans(doc["t"].spans())
    assert tx.changes == []


def test_updating_spans_keeps_what_others_do() -> None:
    doc = rich()
    other = doc.fork(actor=b"\x02" * 16)
    with other.change():
        other["body"].insert(0, "so ")
        other["body"].block(9)["who"] = "me"
    spans = doc["body"].spans()
    spans.mark(8, 12, "link", "x")
    spans.block(6).content["level"] = 2
    with doc.change():
        doc["body"].update_spans([*spans, "!"])
    doc.merge(other)
    assert str(doc["body"]) == "so hello \ufffcworld!"
    assert doc["body"].block(9) == {"type": "heading", "level": 2, "who": "me"}


def test_updating_a_text_tears_no_grapheme_and_takes_bounded_time() -> None:
    doc = Document()
    with doc.change():
        doc["t"] = Text("👩‍🚀 and 👩")
        text = doc.text("t")
    with doc.change(patches=True) as tx:
        text.update("👩‍🔬 and 👩")
    assert tx.patches == [TextPatch(("t",), 0, "👩‍🔬", 3)]
    long = "".join(chr(97 + i * i % 26) for i in range(100_000))
    with doc.change():
        text.update(long)
        text.update(long[::-1])
    assert text == long[::-1]


def test_patches_show_marks_and_blocks() -> None:
    doc = rich()
    with doc.change(patches=True) as tx:
        doc["body"].insert(3, "X")
        doc["body"].split_block(0, {"type": "p"})
    assert tx.patches == [
        TextPatch(("body",), 3, "X", 0, BOLD),
        BlockInsert(("body",), 0),
        MapPut(("body", 0), "type", "p", False),
    ]
    follower = Document.load(rich().save())
    assert follower.apply_changes([tx.bytes or b""]) == tx.patches


def test_marks_of_several_texts_are_shown_in_their_own() -> None:
    doc = Document()
    with doc.change():
        doc.update(a=Text("one"), b=[Text("two")])
    before = doc.heads
    other = doc.fork()
    with other.change(patches=True) as tx:
        other["a"].mark(0, 1, "bold", True)
        other["b"][0].mark(1, 2, "link", "x")
        other["b"][0].insert(0, "2")
    spans = other.to_py(rich=True)
    for patches in (tx.patches, doc.fork().apply_changes([tx.bytes or b""]), other.diff(before)):
        old = doc.to_py(rich=True)
        assert MarkPatch(("a",), 0, 1, "bold", True) in patches
        assert apply(old, patches, rich=True) == spans
    assert doc.fork().apply_changes([tx.bytes or b""], replay=False)[-1] == MarkPatch(("b", 0), 2, 3, "link", "x")


def test_a_rich_text_follows_edits() -> None:
    text = RichText([Span("ab"), Block({}), Span("c", BOLD)])
    text.splice(1, 2, Span("x", BOLD))
    assert text == [Span("a"), Span("xc", BOLD)]
    text.mark(0, 2, "bold", None)
    assert (text, str(text)) == ([Span("ax"), Span("c", BOLD)], "axc")
    text.splice(3, 0, Span("1", {"bold": 1}))
    assert [len(piece.text) for piece in text if isinstance(piece, Span)] == [2, 1, 1]
    text.splice(3, 1)
    with pytest.raises(IndexError):
        text.splice(2, 2)
    with pytest.raises(LookupError):
        text.block(1)


def perform_rich(doc: Document, edit: Edit) -> None:
    """As `perform`, with blocks too."""
    body = doc.get("rich")
    if edit.where % 3 or not isinstance(body, Text):
        perform(doc, edit)
        return
    at = edit.at % (len(body) + 1)
    end = min(at + edit.count, len(body))
    blocks = [i for i, piece in enumerate(body) if piece == "\ufffc" and _is_block(body, i)]
    if edit.kind == 0:
        body.split_block(at, {"v": edit.value})
    elif edit.kind == 1 and blocks:
        body.block(blocks[0])["v"] = edit.value
    elif edit.kind == 2 and blocks:
        body.join_block(blocks[-1])
    elif edit.kind == 3 and at < end:
        body.unmark(at, end, MARKS[edit.where % 2], expand=EXPANDS[at % 4])
    elif at < end:
        body.mark(at, end, MARKS[edit.where % 2], edit.count, expand=EXPANDS[at % 4])
    else:
        body.insert(at, "xy")


def _is_block(text: Text, index: int) -> bool:
    try:
        return text.block(index) is not None
    except TypeError:
        return False


histories = st.lists(st.tuples(st.integers(0, 2), transactions, st.integers(0, 4)), min_size=1, max_size=6)


@settings(max_examples=50)
@given(histories, values, st.booleans())
def test_patches_lead_from_the_old_plain_and_rich_content_to_the_new(
    history: list[tuple[int, list[Edit], int]], value: Any, replay: bool
) -> None:
    base = Document(actor=b"\x01" * 16)
    with base.change():
        base.update(rich=Text("hello"), a=as_python(value))
    docs = [base, base.fork(actor=b"\x02" * 16), base.fork(actor=b"\x03" * 16)]
    for who, edits, other in history:
        doc = docs[who]
        before, heads = (doc.to_py(), doc.to_py(rich=True)), doc.heads
        with doc.change(patches=True) as tx:
            for edit in edits:
                perform_rich(doc, edit)
        follows(before, tx.patches, doc)
        if other < 3:
            before = doc.to_py(), doc.to_py(rich=True)
            follows(before, doc.apply_changes(docs[other].changes(), replay=replay), doc)
        was = doc.at(heads)
        follows((was.to_py(), was.to_py(rich=True)), doc.diff(heads), doc)
        follows((doc.to_py(), doc.to_py(rich=True)), doc.diff(doc.heads, heads), was)
        follows(({}, {}), Document.load(doc.save()).diff(()), doc)


def follows(before: tuple[Any, Any], patches: Any, after: Any) -> None:
    plain, with_marks = before
    assert exact(apply(plain, patches)) == exact(after.to_py())
    assert shown(apply(with_marks, patches, rich=True)) == shown(after.to_py(rich=True))


def shown(value: Any) -> Any:
    """As `exact`, for spans and blocks too."""
    if isinstance(value, Span):
        return value.text, exact(dict(value.marks))
    if isinstance(value, Block):
        return shown(value.content)
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    return [shown(item) for item in value] if isinstance(value, list) else exact(value)


def test_marks_are_listed() -> None:
    assert rich()["body"].marks() == [Mark(0, 5, "bold", True)]


@pytest.mark.parametrize(
    ("shown", "same"),
    [
        ({"a": 1}, True),
        ({"a": 1, "b": Text("x")}, False),
        ({"a": 1.0}, False),
        ({"a": True}, False),
        ({"a": Text("1")}, False),
        ({"a": 1, "b": 2}, False),
    ],
)
def test_a_block_that_shows_the_same_stays_the_same_block(shown: Any, same: bool) -> None:
    doc = Document()
    with doc.change():
        doc["t"] = Text()
        doc["t"].split_block(0, {"a": 1})
        doc["t"].append("x")
    with doc.change() as tx:
        doc["t"].update_spans([Block(shown), "x"])
    assert (tx.changes == []) is same
    assert doc["t"].block(0) == shown


def test_a_mark_out_of_range_is_told_what_is_wrong() -> None:
    doc = Document()
    with doc.change():
        doc["body"] = Text("milk")
        for start, end, why in ((3, 1, "ends before it begins"), (1, 9, "beyond the length, 4"), (7, 9, "length, 4")):
            with pytest.raises(IndexError, match=why):
                doc.text("body").mark(start, end, "bold", True)
    assert doc.text("body").marks() == []
