"""Changes of a text as values: put together and moved past each other, they give the same text in any order."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen_adapters.text.delta import (
    Delta,
    Splice,
    changed,
    compose,
    delta_of,
    moved_selection,
    splices,
    transform,
)
from lichen_adapters.text.editing import difference

LETTERS = "abc\u0301é😀👨‍👩‍👧אب\n"
texts = st.text(LETTERS, max_size=12)


@st.composite
def edits(draw: st.DrawFn, text: str, most: int = 4) -> list[Splice]:
    """Splices, each into the text as the ones before it left it."""
    found = []
    for _ in range(draw(st.integers(0, most))):
        position = draw(st.integers(0, len(text)))
        removed = draw(st.integers(0, len(text) - position))
        found.append(splice := Splice(position, removed, draw(texts)))
        text = spliced(text, splice)
    return found


def spliced(text: str, splice: Splice) -> str:
    return text[: splice.position] + splice.inserted + text[splice.position + splice.removed :]


def all_of(text: str, parts: list[Splice]) -> str:
    for part in parts:
        text = spliced(text, part)
    return text


def assert_normal(delta: Delta) -> None:
    for one, then in pairwise(delta):
        kinds = [str if isinstance(step, str) else step > 0 for step in (one, then)]
        assert kinds[0] != kinds[1]
        assert kinds != [False, str], "insertions come first"
    assert all(delta)
    assert not delta or isinstance(delta[-1], str) or delta[-1] < 0


@given(st.data())
def test_splices_and_their_delta_make_the_same_text(data: st.DataObject) -> None:
    text = data.draw(texts)
    parts = data.draw(edits(text))
    delta = delta_of(parts)
    assert_normal(delta)
    assert changed(text, delta) == all_of(text, parts) == all_of(text, splices(delta))


@given(st.data())
def test_deltas_that_were_put_together_make_the_same_text(data: st.DataObject) -> None:
    text = data.draw(texts)
    one = delta_of(data.draw(edits(text)))
    then = delta_of(data.draw(edits(changed(text, one))))
    both = compose(one, then)
    assert_normal(both)
    assert changed(text, both) == changed(changed(text, one), then)


@given(st.data())
def test_deltas_that_were_moved_past_each_other_make_the_same_text(data: st.DataObject) -> None:
    text = data.draw(texts)
    one, other = delta_of(data.draw(edits(text))), delta_of(data.draw(edits(text)))
    one_after, other_after = transform(one, other)
    assert_normal(one_after)
    assert_normal(other_after)
    assert changed(changed(text, one), other_after) == changed(changed(text, other), one_after)


@given(texts, texts)
def test_the_difference_of_two_texts_makes_one_of_the_other(before: str, after: str) -> None:
    splice = difference(before, after)
    assert spliced(before, splice) == after
    assert not (splice.inserted and before[splice.position : splice.position + 1] == splice.inserted[0])
    assert splice.removed <= len(before)


@pytest.mark.timeout(20)
def test_ten_thousand_splices_become_one_delta_in_little_time() -> None:
    chance = random.Random(3)
    text, parts = "x" * 1_000, list[Splice]()
    for _ in range(10_000):
        parts.append(Splice(chance.randrange(1_000), chance.randrange(2), "y"))
    assert changed(text, delta_of(parts)) == all_of(text, parts)


def test_what_two_insert_at_one_place_stays_whole_and_what_one_inserts_comes_first() -> None:
    one, other = (1, "one"), (1, "other")
    assert transform(one, other) == ((1, "one"), (4, "other"))
    assert transform(other, one) == ((1, "other"), (6, "one"))


def test_what_one_inserts_into_what_the_other_deletes_stays() -> None:
    one, other = (2, "x"), (-4,)
    one_after, other_after = transform(one, other)
    assert (one_after, other_after) == (("x",), (-2, 1, -2))
    assert changed("abcdef", compose(one, other_after)) == "xef"


@pytest.mark.parametrize(
    ("selection", "splice", "moved"),
    [
        ((3, 3), Splice(3, 0, "xy"), (3, 3)),
        ((3, 3), Splice(2, 0, "xy"), (5, 5)),
        ((3, 3), Splice(2, 1, "xy"), (4, 4)),
        ((3, 3), Splice(3, 2, "xy"), (3, 3)),
        ((3, 3), Splice(1, 4, "xy"), (1, 1)),
        ((1, 3), Splice(1, 0, "xy"), (3, 5)),
        ((1, 3), Splice(3, 0, "xy"), (1, 3)),
        ((3, 1), Splice(1, 0, "xy"), (5, 3)),
        ((1, 3), Splice(2, 0, "xy"), (1, 5)),
    ],
)
def test_a_selection_stays_at_its_characters(
    selection: tuple[int, int], splice: Splice, moved: tuple[int, int]
) -> None:
    assert moved_selection(selection, [splice]) == moved
