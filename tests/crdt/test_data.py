"""Documents as the dicts and lists that a Python programmer expects."""

from __future__ import annotations

import copy
import math
import pickle
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from automerge import core
from hypothesis import given
from hypothesis import strategies as st
from lichen_crdt import Authors, Counter, Document, InvalidChange, InvalidDocument, Text, apply_patches

DEEPEST = 200


@pytest.fixture
def doc() -> Iterator[Document]:
    """A document with an open transaction."""
    doc = Document()
    with doc.change():
        yield doc


slices = st.builds(slice, *[st.none() | st.integers(-7, 7)] * 2, st.none() | st.integers(-3, 3).filter(bool))


few = st.lists(st.integers(-9, 9), max_size=6)


@given(few, slices, few, st.booleans())
def test_slices_do_what_those_of_a_list_do(start: list[int], where: slice, new: list[int], delete: bool) -> None:
    doc, wanted = Document(), [*start]
    with doc.change():
        doc["items"] = start
        items = doc.list("items")
        assert items[where] == wanted[where]
        if delete:
            del wanted[where]
            del items[where]
        elif where.step in (None, 1) or len(wanted[where]) == len(new):
            wanted[where] = new
            items[where] = new
        else:
            with pytest.raises(ValueError, match="extended slice"):
                items[where] = new
    assert items == wanted


def test_a_list_searches_counts_and_takes_out_as_a_list_does(doc: Document) -> None:
    doc.update(items=[1, "a", [2], "a", {"k": Text("x")}])
    items = doc.list("items")
    assert (items.index("a"), items.index("a", 2), items.count("a"), items.index([2])) == (1, 3, 2, 2)
    items.remove("a")
    assert items.pop(1) == [2]
    taken = items.pop()
    assert isinstance(taken["k"], Text)
    items += [taken, *range(2)]
    assert items == [1, "a", {"k": "x"}, 0, 1]
    assert isinstance(items[2]["k"], Text)
    assert next(reversed(items)) == 1
    with pytest.raises(TypeError, match="cannot be moved"):
        items.reverse()
    for search in (items.remove, items.index):
        with pytest.raises(ValueError, match="'none' is not in the list"):
            search("none")
    items[:] = items[::-1]
    assert items[2] == {"k": "x"}
    assert isinstance(items[2]["k"], Text)
    items.clear()
    with pytest.raises(IndexError):
        items.pop()


def test_a_map_merges_and_takes_out_as_a_dict_does(doc: Document) -> None:
    doc.update(a=1, m={"x": Counter(2)}, t=Text("t"))
    doc |= {"b": 2}
    assert doc | {"a": 5} == {"a": 5, "b": 2, "m": {"x": 2}, "t": "t"}
    assert {"z": 1} | doc["m"] == {"z": 1, "x": 2}
    assert doc.popitem() == ("t", "t")
    taken = doc.pop("m")
    assert isinstance(taken["x"], Counter)
    assert doc.pop("m", None) is None
    assert doc.setdefault("m", {}) == {}
    assert list(reversed(doc)) == [*doc][::-1]
    with pytest.raises(KeyError):
        doc.pop("none")
    with pytest.raises(KeyError):
        doc[1]  # type: ignore[index]
    doc.clear()
    assert doc.to_py() == {}
    with pytest.raises(KeyError):
        doc.popitem()


def test_what_setdefault_gives_lies_in_the_document(doc: Document) -> None:
    for name in ("milk", "bread"):
        doc.setdefault("items", []).append(name)
        doc.setdefault("people", {})[name] = True
        doc.setdefault("body", Text()).append(name)
        doc.setdefault("votes", Counter()).increment()
        doc.setdefault("none", None)
    assert doc == {
        "items": ["milk", "bread"],
        "people": {"milk": True, "bread": True},
        "body": "milkbread",
        "votes": 2,
        "none": None,
    }
    wrong: Any = 5
    with pytest.raises(TypeError, match="keys"):
        doc.setdefault(wrong, 1)


def test_assigning_in_place_keeps_the_object() -> None:
    doc = Document()
    with doc.change():
        doc.update(items=[1], m={"a": 1}, t=Text("x"), deep=[[1]])
    copy = doc.fork()
    with copy.change():
        copy["items"].append(3)
        copy["m"]["c"] = 3
        copy["t"].append("z")
        copy["deep"][0].append(3)
    with doc.change():
        doc["items"] += [2]
        doc["m"] |= {"b": 2}
        doc["t"] += "y"
        doc["deep"][0] += [2]
    doc.merge(copy)
    assert sorted(doc["items"]) == [1, 2, 3]
    assert sorted(doc["deep"][0]) == [1, 2, 3]
    assert doc["m"] == {"a": 1, "b": 2, "c": 3}
    assert sorted(str(doc["t"])) == ["x", "y", "z"]


def test_views_are_copied_with_their_types(doc: Document) -> None:
    doc.update(a=[Text("t"), Counter(1), {"x": [Text("u")]}])
    doc["b"] = doc["a"]
    doc["b"][0].append("!")
    doc["b"][1].increment()
    assert isinstance(doc["b"][2]["x"][0], Text)
    assert (doc["a"], doc["b"]) == (["t", 1, {"x": ["u"]}], ["t!", 2, {"x": ["u"]}])


def test_other_mappings_and_sequences_are_taken(doc: Document) -> None:
    doc.update(a=deque([1, 2]), b=range(3), c=OrderedDict(x=(1,)), d=bytearray(b"b"), e=memoryview(b"abc")[::2])
    assert doc.to_py() == {"a": [1, 2], "b": [0, 1, 2], "c": {"x": [1]}, "d": b"b", "e": b"ac"}


def test_numbers_come_back_as_they_were(doc: Document) -> None:
    numbers = [0, -1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 0.0, -0.0, math.inf, -math.inf, math.nan, True]
    doc.update(n=numbers)
    assert [repr(n) for n in doc["n"]] == [repr(n) for n in numbers]


@pytest.mark.parametrize("bad", ["\ud800", {"\ud800": 1}, ["\ud800"], Text("\ud800")])
def test_surrogates_are_refused(bad: Any, doc: Document) -> None:
    with pytest.raises(UnicodeEncodeError):
        doc["x"] = bad
    with pytest.raises(UnicodeEncodeError):
        doc["\ud800"] = 1
    assert doc.to_py() == {}


def test_a_key_that_no_map_can_have_is_not_there(doc: Document) -> None:
    key = "\ud800"
    assert (key in doc, doc.get(key), doc.pop(key, 1), doc.conflicts(key)) == (False, None, 1, ())
    for read in (lambda: doc[key], lambda: doc.pop(key), lambda: doc.__delitem__(key)):
        with pytest.raises(KeyError):
            read()


def test_a_bad_value_among_several_writes_none_of_them(doc: Document) -> None:
    doc["items"] = [1, [2], 3]
    items, before = doc.list("items"), doc.to_py()
    deepest: Any = []
    for _ in range(DEEPEST - 1):
        deepest = [deepest]
    for bad in (object(), 2**70, [deepest]):
        with pytest.raises((TypeError, OverflowError, ValueError)):
            doc.update(a=1, b=bad)
        with pytest.raises((TypeError, OverflowError, ValueError)):
            items[::2] = [0, [bad]]
    with pytest.raises(TypeError):
        doc |= {"a": 1, 2: 3}
    assert doc.to_py() == before


def test_items_change_places_by_an_extended_slice(doc: Document) -> None:
    doc["items"] = [Counter(1), Text("b"), [3]]
    items = doc.list("items")
    items[::-1] = items[:]
    assert items == [[3], "b", 1]
    assert isinstance(items[2], Counter)


def test_a_counter_is_true_and_ordered_as_its_number_is(doc: Document) -> None:
    doc.update(n=Counter(0))
    assert not doc["n"]
    doc["n"] += 1
    assert doc["n"]
    assert Counter(0) < doc["n"] < 1.5
    with pytest.raises(TypeError):
        assert doc["n"] < "2"


def test_a_counter_does_not_overflow(doc: Document) -> None:
    doc.update(n=Counter(2**63 - 1))
    with pytest.raises(OverflowError):
        doc["n"] += 1
    with pytest.raises(OverflowError):
        doc["n"].increment(2**64)
    with pytest.raises(OverflowError):
        doc["m"] = Counter(2**63)
    assert doc == {"n": 2**63 - 1}


def test_documents_nest_to_a_bound(doc: Document) -> None:
    inner: Any = doc
    for _ in range(DEEPEST):
        inner["x"] = {}
        inner = inner["x"]
    value = doc.to_py()
    for deeper in ({}, [], Text("x")):
        with pytest.raises(ValueError, match="deeper"):
            inner["x"] = deeper
    inner["x"] = 1
    with pytest.raises(ValueError, match="deep"):
        doc["y"] = {"z": value}
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="contains itself"):
        doc["y"] = endless
    assert list(doc) == ["x"]


def test_a_change_that_nests_deeper_is_invalid() -> None:
    doc, follower = Document(), Document()
    inner: Any = doc
    with doc.change() as first:
        for _ in range(DEEPEST):
            inner["x"] = {}
            inner = inner["x"]
    follower.apply_changes([first.bytes or b""], replay=False)
    other = Document()
    other.apply_changes([first.bytes or b""])
    assert apply_patches({}, other.diff(())) == doc == follower
    for replay in (True, False):
        with pytest.raises(InvalidChange):
            follower.apply_changes([_one_deeper(doc)], replay=replay)
    assert follower == doc


def _one_deeper(doc: Document) -> bytes:
    """A change of another program, which makes one more map inside the deepest."""
    other = core.Document.load(doc.save())
    with other.transaction() as tx:
        inner = core.ROOT
        for _ in range(DEEPEST):
            inner = other.get(inner, "x")[1]
        tx.put_object(inner, "x", core.ObjType.Map)
    return bytes(other.get_changes(doc.heads)[0].raw_bytes)


def test_a_document_that_nests_deeper_does_not_load() -> None:
    doc = Document()
    inner: Any = doc
    with doc.change():
        for _ in range(DEEPEST):
            inner["x"] = {}
            inner = inner["x"]
    assert Document.load(doc.save()) == doc
    with pytest.raises(InvalidDocument, match="deeper"):
        Document.load(doc.save() + _one_deeper(doc))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda view: pickle.loads(pickle.dumps(view))])
def test_copies_of_views_are_plain_data_of_their_own(copied: Callable[[Any], Any]) -> None:
    doc = Document()
    with doc.change():
        doc["map"] = {"text": Text("a"), "list": [Counter(1), Text("b")]}
    then = doc.at(doc.heads)
    content = copied(doc["map"])
    assert (type(content), type(content["text"]), type(content["list"][0])) == (dict, Text, Counter)
    assert content == doc["map"].to_py()
    assert copied(then) == then.to_py()
    assert type(copied(then)) is dict
    assert (type(copied(doc["map"]["list"])), copied(doc["map"]["list"])) == (list, [1, "b"])
    text, counter = copied(doc["map"]["text"]), copied(doc["map"]["list"][0])
    text.append("c")
    counter += 1
    assert (text, counter) == ("ac", 2)
    assert doc["map"] == {"text": "a", "list": [1, "b"]}


def test_texts_and_counters_are_formatted_as_what_they_show() -> None:
    doc = Document()
    with doc.change():
        doc.update(text=Text("ab"), n=Counter(7))
    for text, n in ((doc["text"], doc["n"]), (Text("ab"), Counter(7))):
        assert f"{text:>4} {n:03}" == "  ab 007"


def test_a_counter_equals_what_it_is_ordered_beside() -> None:
    assert Counter(1) == 1.0
    assert Counter(1) != 1.5
    assert Counter(2**53 + 1) != float(2**53)


def test_a_zone_without_an_offset_is_no_zone() -> None:
    doc = Document()

    class Nowhere(tzinfo):
        def utcoffset(self, when: datetime | None) -> None:
            return None

    with pytest.raises(ValueError, match="time zone"), doc.change():
        doc["at"] = datetime(2026, 1, 1, tzinfo=Nowhere())
    with doc.change():
        doc["at"] = datetime(1950, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert doc["at"] == datetime(1949, 12, 31, 18, 30, tzinfo=UTC)


def test_every_value_at_an_item_is_told_with_its_author() -> None:
    doc = Document()
    with doc.change():
        doc["items"] = [1, 2, 3]
    one, other = doc.fork(b"\x01"), doc.fork(b"\x02")
    with one.change():
        one["items"][1] = Counter(5)
        one["items"][1] += 2
    with other.change():
        other["items"][1] = {"a": Text("x")}
    with doc.change():
        del doc["items"][1]
    doc.merge(one)
    doc.merge(other)
    assert [(found.actor, found.value) for found in doc["items"].conflicts(1)] == [
        (b"\x01", 7),
        (b"\x02", {"a": "x"}),
    ]
    assert doc["items"] == [1, {"a": "x"}, 3]
    assert [found.value for found in doc["items"].conflicts(-1)] == [3]
    who = Authors({"Ann": [b"\x01", b"\x03"], "Ben": [b"\x09"]})
    assert [(found.author, found.value) for found in doc["items"].conflicts(1, authors=who)] == [
        ("Ann", 7),
        (None, {"a": "x"}),
    ]
    first = doc.conflicts("items", authors=who.with_actor("Ben", doc.actor))
    assert [found.author for found in first] == ["Ben"]
    assert [found.author for found in doc.conflicts("items")] == [None]


def test_typed_content_is_apart_from_the_document_and_keeps_texts_and_counters() -> None:
    doc = Document()
    with doc.change():
        doc.update({"text": Text("milk"), "count": Counter(2), "in": {"list": [Text("a")], "flag": True}})
    content = doc.to_py(typed=True)
    assert {key: type(value) for key, value in content.items()} == {"text": Text, "count": Counter, "in": dict}
    with doc.change():
        doc.text("text").append(", eggs")
        doc.counter("count").increment(1)
    assert (str(content["text"]), content["count"].value) == ("milk", 2)
    assert (type(content["in"]["list"][0]), content["in"]["flag"]) == (Text, True)
    with pytest.raises(ValueError, match="either"):
        doc.to_py(typed=True, rich=True)
