from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen_crdt import Document, Mark, Text

texts = st.text(st.sampled_from("ab \n\r🥚é\u0301\u200d👩🚀🇩🇪\U0010ffff"), max_size=20)


@pytest.fixture
def held() -> Iterator[Callable[[str], Text]]:
    """Makes a text in a document with an open transaction."""
    doc = Document()

    def make(value: str) -> Text:
        doc["t"] = Text(value)
        return doc.text("t")

    with doc.change():
        yield make


@given(texts, st.data())
def test_units_agree_with_the_encodings(value: str, data: st.DataObject) -> None:
    doc = Document()
    with doc.change():
        doc["t"] = Text(value)
    for text in (Text(value), doc.text("t"), doc.at(doc.heads).text("t")):
        for units, codec, width in ((text.utf16, "utf-16-le", 2), (text.utf8, "utf-8", 1)):
            assert len(units) == len(value.encode(codec)) // width
            at = data.draw(st.integers(0, len(value)))
            offset = len(value[:at].encode(codec)) // width
            assert (units.index(offset), units.offset(at)) == (at, offset)
            assert units[offset:] == value[at:]


@given(texts, texts, st.data())
def test_edits_in_units_are_edits_of_the_encoded_text(value: str, insert: str, data: st.DataObject) -> None:
    doc = Document()
    start = data.draw(st.integers(0, len(value)))
    end = data.draw(st.integers(start, len(value)))
    wanted = value[:start] + insert + value[end:]
    with doc.change():
        for name in ("utf16", "utf8"):
            for text in (Text(value), doc):
                if text is doc:
                    doc["t"] = Text(value)
                    text = doc["t"]
                units = getattr(text, name)
                offset, stop = units.offset(start), units.offset(end)
                units.splice(offset, stop - offset, insert)
                assert str(text) == wanted
                assert len(units) == getattr(Text(wanted), name).__len__()


def test_long_texts_are_counted_in_whole_chunks(held: Callable[[str], Text]) -> None:
    value = "a🥚é" * 600
    text = held(value)
    assert (len(text.utf16), len(text.utf8), len(text.graphemes)) == (2400, 4200, 1800)
    for at in (511, 512, 1024, 1799):
        units = len(value[:at].encode("utf-16-le")) // 2, len(value[:at].encode())
        assert (text.utf16.offset(at), text.utf8.offset(at)) == units
        assert (text.utf16.index(units[0]), text.utf8.index(units[1])) == (at, at)


@given(texts)
def test_graphemes_cover_the_text(value: str) -> None:
    doc = Document()
    with doc.change():
        doc["t"] = Text(value)
    for text in (Text(value), doc.text("t")):
        clusters = list(text.graphemes)
        assert "".join(clusters) == value
        assert len(text.graphemes) == len(clusters)
        assert [text.graphemes[i] for i in range(len(clusters))] == clusters
        bounds = text.graphemes.boundaries()
        assert [text.graphemes.next_boundary(at) for at in bounds[:-1]] == bounds[1:]
        assert [text.graphemes.previous_boundary(at) for at in bounds[1:]] == bounds[:-1]


def test_a_grapheme_is_what_a_reader_sees(held: Callable[[str], Text]) -> None:
    text = held("e\u0301👩‍🚀🇩🇪\r\nx")
    graphemes = text.graphemes
    assert list(graphemes) == ["e\u0301", "👩‍🚀", "🇩🇪", "\r\n", "x"]
    assert graphemes[1:3] == "👩‍🚀🇩🇪"
    graphemes.delete(1)
    graphemes.insert(1, "o")
    assert text == "e\u0301o🇩🇪\r\nx"
    assert (graphemes.next_boundary(3), graphemes.previous_boundary(5), graphemes.previous_boundary(4)) == (5, 3, 3)
    assert (graphemes.offset(1), graphemes[-1]) == (0, "x")


def test_characters_in_units_are_those_of_the_text(held: Callable[[str], Text]) -> None:
    text = held("a🥚b")
    assert [*text.utf16] == [*text.utf8] == ["a", "🥚", "b"]
    assert "b" in text.utf16
    graphemes = held("e\u0301x").graphemes
    assert [graphemes.previous_boundary(at) for at in (0, 1, 2, 3, -1)] == [0, 0, 0, 2, 0]
    for at in (4, -4):
        with pytest.raises(IndexError):
            graphemes.previous_boundary(at)


def test_positions_inside_a_character_or_beyond_are_refused_and_change_nothing(held: Callable[[str], Text]) -> None:
    text = held("a🥚b")
    for call in (
        lambda: text.utf16.insert(2, "x"),
        lambda: text.utf8.delete(1, 2),
        lambda: text.utf16.mark(0, 2, "bold", True),
        lambda: text.utf16.cursor(2),
    ):
        with pytest.raises(ValueError, match="inside a character"):
            call()
    for call in (
        lambda: text.utf16.insert(5, "x"),
        lambda: text.utf8.delete(5, 2),
        lambda: text.utf16.insert(-9, "x"),
        lambda: text.graphemes.insert(4, "x"),
        lambda: text.utf16.delete(0, -1),
        lambda: text.utf16.insert(2**80, "x"),
        lambda: text.graphemes.next_boundary(9),
        lambda: text.graphemes[3],
    ):
        with pytest.raises(IndexError):
            call()
    assert text == "a🥚b"


def test_marks_and_cursors_in_units(held: Callable[[str], Text]) -> None:
    text = held("a🥚bc")
    text.utf16.mark(1, 4, "bold", True)
    assert text.marks() == [Mark(1, 3, "bold", True)]
    assert text.utf16.marks() == [Mark(1, 4, "bold", True)]
    assert text.utf8.marks() == [Mark(1, 6, "bold", True)]
    assert text.graphemes.marks() == [Mark(1, 3, "bold", True)]
    cursor = text.utf16.cursor(3)
    text.insert(0, "🥚")
    assert (text.utf16.position(cursor), text.utf8.position(cursor), text.position(cursor)) == (5, 9, 3)
    text.utf8.unmark(5, 10, "bold")
    assert text.marks() == text.utf16.marks() == []
    text.mark(1, 2, "one", 1)
    text.mark(0, 4, "all", 2)
    assert text.utf16.marks() == [Mark(0, 6, "all", 2), Mark(2, 3, "one", 1)]


def test_units_follow_every_way_to_edit() -> None:
    doc = Document()
    with doc.change():
        doc["t"] = text = Text("🥚")
        text = doc.text("t")
        assert len(text.utf16) == 2
        text.append("🥚")
        assert len(text.utf16) == 4
        text.update("a🥚")
        assert len(text.utf16) == 3
        text.split_block(0)
        assert len(text.utf16) == 4
        text.insert(1, "x" * 70_000)
        assert len(text.utf16) == 70_004
    other = doc.fork()
    with other.change() as tx:
        other.text("t").insert(0, "🥚")
    doc.apply_changes([tx.bytes or b""])
    assert (len(text.utf16), len(text.utf8)) == (70_006, 70_012)
    tx = doc.change().__enter__()
    text.utf16.insert(0, "abc")
    tx.__exit__(LookupError, LookupError(), None)
    assert (len(text.utf16), str(text)[0]) == (70_006, "🥚")


def test_the_ends_and_the_whole_are_edited_in_any_unit(held: Callable[[str], Text]) -> None:
    text = held("🥚")
    for units in (text.utf16, text.utf8, text.graphemes):
        start, end = units.cursor("start"), units.cursor("end")
        units.append("é")
        assert (units.position(start), units.position(end)) == (0, len(units))
        units.update("🥚")
    assert text == "🥚"
