"""Texts and cursors: positions, edits, and what others insert meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from crdt_example import filled
from lichen_crdt import Document, InvalidCursor, Text


def test_a_text_is_edited_in_code_points() -> None:
    doc = Document()
    with doc.change():
        doc["body"] = Text("a🥚c")
        body = doc.text("body")
        body.insert(2, "b")
        body.append("d")
        body.delete(0)
        body[-1] = "D"
    assert body == "🥚bcD"
    assert len(body) == 4
    assert body[1:3] == "bc"
    assert body.index_to_utf16(1) == 2
    assert [body.utf16_to_index(i) for i in range(6)] == [0, 0, 1, 2, 3, 4]
    assert (body.index_to_utf16(-1), body.utf16_to_index(-1), Text("🥚b").index_to_utf16(2)) == (4, 3, 3)
    for wrong in (body.index_to_utf16, body.utf16_to_index, Text("abcde").index_to_utf16, Text("abcde").utf16_to_index):
        for position in (6, -6):
            with pytest.raises(IndexError):
                wrong(position)


def test_text_positions_out_of_range_change_nothing() -> None:
    doc = filled()
    body = doc.text("body")
    for index, count in ((11, 0), (0, 11), (5, 6), (-11, 0)):
        with pytest.raises(IndexError), doc.change():
            body.splice(index, count, "x")
    assert body == "milk, eggs"


@pytest.mark.parametrize("inside", [True, False])
def test_a_position_too_far_before_the_end_is_out_of_range(inside: bool) -> None:
    doc = Document()
    with doc.change():
        doc["t"] = Text("abc")
        text = doc.text("t") if inside else Text("abc")
        del text[-1]
        text[-2] = "x"
        edits: list[Any] = [
            lambda: text.__delitem__(-3),
            lambda: text.__setitem__(-4, "y"),
            lambda: text.splice(-3, 1),
            *(lambda unit=unit: unit.splice(-3, 1) for unit in (text.utf16, text.utf8, text.graphemes)),
        ]
        for edit in edits:
            with pytest.raises(IndexError):
                edit()
        with pytest.raises(TypeError):
            text["a"] = "b"  # type: ignore[index]  # wrong on purpose
    assert text == "xb"


def test_a_text_outside_a_document_is_edited_alike() -> None:
    text = Text("milk")
    text.append(", eggs")
    text.delete(0, 2)
    text[0] = "L"
    assert text == "Lk, eggs"
    assert text.replace("g", "G") == 2
    assert str(text) == "Lk, eGGs"
    with pytest.raises(IndexError):
        text.insert(99, "x")


def test_updating_a_text_keeps_what_others_insert() -> None:
    doc = filled()
    other = doc.fork()
    with doc.change():
        doc.text("body").update("milk, two eggs")
    with other.change():
        other.text("body").insert(0, "more ")
    doc.merge(other)
    assert doc["body"] == "more milk, two eggs"


def test_cursors_stay_with_their_character() -> None:
    doc = filled()
    body = doc.text("body")
    cursor, end = body.cursor(6), body.cursor(len(body))
    with doc.change():
        body.insert(0, "bread, ")
    assert body[body.position(cursor) :] == "eggs"
    with doc.change():
        body.delete(body.position(cursor), 2)
    assert body[body.position(cursor) :] == "gs"
    assert body.position(end) == len(body)


def test_a_cursor_with_bytes_after_its_end_is_none() -> None:
    body = filled().text("body")
    with pytest.raises(InvalidCursor):
        body.position(body.cursor(0) + b"x")


def test_a_cursor_before_moves_to_the_left() -> None:
    doc = filled()
    body = doc.text("body")
    cursor = body.cursor(6, before=True)
    with doc.change():
        body.delete(6)
    assert body.position(cursor) == 5


def test_a_text_knows_where_it_is_as_patches_of_it_do() -> None:
    doc = Document()
    with doc.change():
        doc["notes"] = [{"body": Text("milk")}]
        body = doc["notes"][0].text("body")
        inner = body.split_block(0, {"title": Text("Food")}).text("title")
    heads = doc.heads
    assert (body.path, inner.path) == (("notes", 0, "body"), ("notes", 0, "body", 0, "title"))
    with doc.change():
        body.append("!")
        inner.append("!")
    assert {patch.path for patch in doc.diff(heads)} == {body.path, inner.path}
    assert doc.at(heads)["notes"][0]["body"].path == body.path
    with pytest.raises(ValueError, match="not in a document"):
        _ = Text("milk").path
