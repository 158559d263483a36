"""What random work on devices takes, and on how many."""

from __future__ import annotations

import os

from hypothesis import strategies as st
from orm_models import Mood

DEVICES = int(os.environ.get("DEVICES") or 3)
who = st.integers(0, DEVICES - 1)
which = st.integers(0, 5)
names = st.sampled_from("abc")
words = st.text("ab é🥚", max_size=6)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
columns = st.fixed_dictionaries(
    {},
    optional={
        "name": words,
        "fullname": st.none() | words,
        "born": st.none() | st.dates(),
        "balance": st.none() | st.decimals(-100, 100, places=2),
        "mood": st.none() | st.sampled_from(Mood),
        "photo": st.none() | st.binary(max_size=4),
        "active": st.booleans(),
        "age": st.none() | st.integers(0, 149),
        "bio": st.none() | words,
        "tags": st.sets(words | st.integers(0, 3), max_size=3),
        "steps": st.lists(plain, max_size=4),
        "settings": st.none() | st.dictionaries(words, plain, max_size=3),
    },
)
