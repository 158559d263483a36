"""The authority over one text: what editors and other devices do at once converges, in UTF-16 as in code points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen_crdt import TextPatch, from_utf16, to_utf16, utf16_length
from lichen_notes.authority import DEVICE, Authority, BadUpdate, Update, changes_of, middle, spliced, splices_of

PIECES = st.sampled_from(["a", "b", "\n", "é", "e\u0301", "😀", "👩‍👩‍👧", "🇩🇪", "漢"])
TEXTS = st.lists(PIECES, max_size=12).map("".join)


@st.composite
def splices(draw: st.DrawFn, text: str) -> tuple[int, int, str]:
    start = draw(st.integers(0, len(text)))
    return start, draw(st.integers(0, len(text) - start)), draw(TEXTS)


@given(st.data(), TEXTS)
def test_a_change_says_the_same_in_utf16_as_in_code_points(data: st.DataObject, text: str) -> None:
    splice = data.draw(splices(text))
    found = splices_of(text, changes_of(text, *splice))
    result = text
    for one in found:
        result = spliced(result, one)
    assert result == spliced(text, splice)


@given(TEXTS, TEXTS)
def test_the_middle_is_all_that_differs(old: str, new: str) -> None:
    assert spliced(old, middle(old, new)) == new


@given(st.data(), TEXTS, st.lists(st.booleans(), max_size=12))
def test_an_editor_that_pulls_has_the_authority_s_text(data: st.DataObject, text: str, who: list[bool]) -> None:
    authority, seen, version = Authority(text), text, 0
    for from_editor in who:
        splice = data.draw(splices(authority.text))
        if from_editor:
            updates = [Update("page", changes_of(authority.text, *splice))]
            authority.take(updates, authority.check(updates))
        else:
            authority.patched([TextPatch(("body",), splice[0], splice[2], splice[1])])
        if data.draw(st.booleans()):
            for update in authority.since(version) or []:
                for one in splices_of(seen, update.changes):
                    seen = spliced(seen, one)
            version = authority.version
            assert seen == authority.text


def test_what_comes_from_elsewhere_is_an_update_of_the_device() -> None:
    authority = Authority("a😀b")
    (update,) = authority.patched([TextPatch(("body",), 2, "x\ny", 0)])
    assert update == Update(DEVICE, [3, [0, "x", "y"], 1])
    assert authority.text == "a😀x\nyb"
    assert authority.since(0) == [update]
    assert authority.since(2) is None


@pytest.mark.parametrize(
    "changes",
    [None, "x", [1], [9], [4, [1]], [True], [-1], [[1, 2]], [[-1]], [2, [1, "x"], 1], [[0, "x"], 3], [{}]],
)
def test_what_does_not_fit_the_text_is_refused_and_changes_nothing(changes: object) -> None:
    authority = Authority("a😀b")
    with pytest.raises(BadUpdate):
        authority.check([Update("page", changes)])  # type: ignore[arg-type]
    assert authority.text == "a😀b"
    assert authority.version == 0


@given(TEXTS, st.data())
def test_utf16_offsets_go_there_and_back(text: str, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(text)))
    assert from_utf16(text, to_utf16(text, index)) == index
    assert to_utf16(text, index) == len(text[:index].encode("utf-16-le")) // 2
    assert utf16_length(text) == len(text.encode("utf-16-le")) // 2
