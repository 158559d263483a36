from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lichen_crdt import from_utf16, to_utf16, utf16_length

texts = st.text(st.sampled_from("ab🥚é\u0301\uffff\U0010ffff"), max_size=12)


@given(texts)
def test_offsets_agree_with_the_encoding(text: str) -> None:
    for index in range(len(text) + 1):
        offset = to_utf16(text, index)
        assert offset == len(text[:index].encode("utf-16-le")) // 2
        assert from_utf16(text, offset) == index
    assert utf16_length(text) == len(text.encode("utf-16-le")) // 2


def test_an_offset_inside_a_pair_is_that_of_the_pair() -> None:
    assert [from_utf16("a🥚b", offset) for offset in range(5)] == [0, 1, 1, 2, 3]
