"""Devices with different versions of a model share a document: nothing is lost, doubled or taken back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen_crdt import Counter, Document, InvalidModel, NewerDocument, Text, inspect
from lichen_crdt.typed import Convert, Drop, Problem, Rename, SetDefault, View, WrapItems, versioned
from typed_versions import SHARED, SINGLE, VERSIONS, One, Row2, Tag, Three, Two, base, edit

DEVICES = 3

devices = st.integers(0, DEVICES - 1)
whats = st.sampled_from([*SINGLE, *SHARED])
acts = st.one_of(
    st.tuples(st.just("edit"), devices, whats),
    st.tuples(st.just("upgrade"), devices, st.just("")),
    st.tuples(st.just("merge"), devices, devices.map(str)),
)


def live(script: list[tuple[str, int, str]], owners: dict[str, int] | None) -> tuple[list[Document], dict[str, int]]:
    """What devices do that run a newer version from `upgrade` on, and migrate then; the last value of each thing.

    Each edit has a value of its own. With `owners` each single thing is written by one device, whoever is to do it.
    """
    docs = [base().fork(actor=bytes([number + 1]) * 16) for number in range(DEVICES)]
    versions = [1] * DEVICES
    last: dict[str, int] = {}
    for value, (act, device, what) in enumerate(script, start=10):
        if act == "merge":
            docs[device].merge(docs[int(what)])
        elif act == "upgrade":
            versions[device] = min(3, versions[device] + 1)
            with docs[device].change():
                docs[device].view(VERSIONS[versions[device] - 1]).migrate()
        else:
            who = device if owners is None else owners.get(what, device)
            edit(docs[who], versions[who], what, value)
            last[what if what in SINGLE else f"{what} {value}"] = value
    return docs, last


def merged(docs: list[Document], order: tuple[int, ...]) -> Document:
    whole = Document(actor=b"whole" * 3)
    for number in order:
        whole.merge(docs[number])
    return whole


@settings(max_examples=150)
@given(st.lists(acts, max_size=14), st.fixed_dictionaries(dict.fromkeys(SINGLE, devices)))
def test_migrations_at_any_time_lose_and_double_nothing(
    script: list[tuple[str, int, str]], owners: dict[str, int]
) -> None:
    docs, last = live(script, owners)
    for order in itertools.permutations(range(DEVICES)):
        found = merged(docs, order).view(Three).read()
        value = found.value
        assert found.problems == ()
        assert value.heading == str(last.get("name", 0))
        assert value.euros == last.get("price", 0)
        assert value.words == [f"w{last.get('flags', 0)}"]
        assert value.rows == [Row2(str(last.get("row", 0)))]
        assert value.priority == last.get("priority", 1)
        added = {kind: sorted(key.split()[1] for key in last if key.startswith(kind)) for kind in SHARED}
        assert sorted(tag.name for tag in value.labels) == sorted(["first", *added["tags"]])
        assert sorted(str(value.text).replace("|", "").strip("<>").split("><")) == sorted(added["body"] or [""])


@settings(max_examples=100)
@given(st.lists(acts, max_size=14))
def test_whoever_writes_what_devices_agree_in_every_version(script: list[tuple[str, int, str]]) -> None:
    try:
        docs, _ = live(script, None)
    except NewerDocument:
        return
    wholes = [merged(docs, order) for order in itertools.permutations(range(DEVICES))]
    for version in VERSIONS:
        readings = [View(whole, version).read() for whole in wholes]
        assert all(reading == readings[0] for reading in readings)


def two_devices() -> tuple[Document, Document]:
    return base().fork(actor=b"a" * 16), base().fork(actor=b"b" * 16)


def migrate(doc: Document, model: Any) -> bool:
    with doc.change():
        return bool(View(doc, model).migrate())


def test_two_devices_that_migrate_at_once_write_the_same_values_and_none_of_the_users() -> None:
    ours, theirs = two_devices()
    assert migrate(ours, Two)
    assert migrate(theirs, Two)
    (change,) = ours.changes(base().heads)
    assert inspect(change).operations == 3  # the version, a default, a deletion
    ours.merge(theirs)
    assert ours.view(Two).read() == theirs.view(Two).read()
    assert not migrate(ours, Two)
    expected = base().to_py() | {"schema_version": 2, "priority": 1}
    del expected["junk"]
    assert ours == expected


def test_reading_an_old_document_with_a_new_version_writes_nothing() -> None:
    doc = base()
    found = doc.view(Three).read()
    assert found.version == 1
    assert found.problems == ()
    assert (found.value.heading, found.value.text, found.value.euros, found.value.priority) == ("0", "|", 0.0, 1)
    assert found.value.labels == [Tag("first")]
    assert doc.heads == base().heads


def test_the_first_write_makes_the_document_one_of_the_version() -> None:
    doc = base()
    with doc.view(Two).change() as note:
        note.title = "new"
    assert (doc["schema_version"], doc["title"], doc["priority"]) == (2, "new", 1)
    assert "name" not in doc
    assert "junk" not in doc
    assert (doc["price"], doc["body"], doc["tags"]) == ("0", "|", ["first"])
    assert doc.view(Two).version == 2


def test_an_empty_document_is_of_the_version_that_writes_first() -> None:
    doc = Document()
    assert doc.view(Two).version == 2
    assert doc.view(Two).value.priority == 5
    doc.view(Two).write(Two("T"))
    assert (doc["schema_version"], doc["priority"]) == (2, 5)


def test_a_user_who_wrote_before_hearing_of_another_migration_is_not_overwritten_by_it() -> None:
    ours, theirs = two_devices()
    for value in range(9):  # so that their migration has the later operations
        edit(theirs, 1, "tags", value)
    migrate(theirs, Two)
    migrate(ours, Two)
    edit(ours, 2, "name", 7)
    ours.merge(theirs)
    assert ours.view(Two).value.title == "7"


def test_a_value_that_was_overwritten_does_not_return_with_the_migration_of_who_had_not_heard_of_it() -> None:
    ours, theirs = two_devices()
    for value in range(5):  # so that our migration has the later operations
        edit(ours, 1, "tags", value)
    edit(theirs, 1, "name", 7)
    migrate(ours, Two)
    migrate(theirs, Two)
    ours.merge(theirs)
    assert ours.view(Two).value.title == "7"


def test_a_late_write_of_an_old_version_is_read_and_the_newer_value_is_a_conflict() -> None:
    ours, theirs = two_devices()
    edit(ours, 2, "name", 7)
    edit(ours, 2, "price", 7)
    edit(theirs, 1, "name", 8)
    edit(theirs, 1, "price", 8)
    ours.merge(theirs)
    view = ours.view(Two)
    assert (view.value.title, view.value.cents) == ("8", 800)
    assert [(one.value, one.actor[:1]) for one in view.conflicts("title")] == [("7", b"a"), ("8", b"b")]
    assert [one.value for one in view.conflicts("cents")] == [700, 800]
    edit(ours, 2, "name", 9)
    assert ours["title"] == "9"
    assert "name" not in ours


def test_a_set_default_loses_to_whatever_was_written_at_once() -> None:
    for actor in (b"a", b"z"):
        ours, theirs = base().fork(actor=actor * 16), base().fork(actor=b"m" * 16)
        edit(theirs, 1, "priority", 7)
        migrate(ours, Two)
        ours.merge(theirs)
        assert ours.view(Two).value.priority == 7
        assert [one.value for one in ours.view(Two).conflicts("priority")] == [1, 7]
        with ours.view(Two).change() as note:
            note.priority = 2
        assert ours.view(Two).value.priority == 2


@versioned({2: [SetDefault("priority", 1)], 3: [Rename("priority", "rank")]})
@dataclass
class New:
    rank: int = 5


@versioned({2: [SetDefault("name", "x")]})
@dataclass
class Inner:
    name: str = ""


@dataclass
class Outer:
    inner: Inner | None = None


def test_a_set_default_whose_key_moved_on_loses_to_the_newer_key() -> None:
    ours, theirs = two_devices()
    assert View(ours, New).value.rank == 1
    with View(ours, New).change() as new:
        new.rank = 3
    with theirs.change():
        theirs["priority"] = 1
    ours.merge(theirs)
    assert View(ours, New).value.rank == 3


def test_texts_and_lists_stay_where_they_are_and_are_shared_by_all_versions() -> None:
    ours, theirs = two_devices()
    edit(ours, 2, "body", 1)
    edit(ours, 3, "tags", 1)
    edit(theirs, 1, "body", 2)
    edit(theirs, 1, "tags", 2)
    ours.merge(theirs)
    value = ours.view(Three).value
    assert {"<1>", "<2>"} <= {str(value.text)[i : i + 3] for i in range(len(value.text))}
    assert sorted(tag.name for tag in value.labels) == ["1", "2", "first"]
    assert "text" not in ours
    assert "labels" not in ours


def test_an_item_that_is_wrapped_becomes_a_map_when_it_is_edited() -> None:
    doc = base()
    with doc.view(Two).change() as note:
        note.tags.append(Tag("second"))
    assert doc["tags"][0] == "first"
    with doc.view(Two).change() as note:
        note.tags[0].color = "red"
    assert doc["tags"] == [{"name": "first", "color": "red"}, {"name": "second", "color": "grey"}]


def test_a_document_of_a_newer_version_is_read_as_far_as_it_fits_and_written_where_it_is_known() -> None:
    doc = base()
    edit(doc, 2, "name", 7)
    edit(doc, 2, "body", 1)
    view = doc.view(One)
    assert view.version == 2
    assert (view.value.name, view.value.body, view.value.price) == ("", "|<1>", "0")
    with view.change() as old:
        old.price = "3"
        old.body.append("!")
        old.rows[0].done = True
    assert doc.view(Two).value.cents == 300
    heads = doc.heads
    with pytest.raises(NewerDocument, match="'name'"), view.change() as old:
        old.price, old.name = "4", "late"
    assert doc.heads == heads
    assert (doc["schema_version"], doc["title"]) == (2, "7")


def test_the_highest_version_counts_where_several_were_stored_at_once() -> None:
    for first, second in ((Two, Three), (Three, Two)):
        ours, theirs = two_devices()
        migrate(ours, first)
        migrate(theirs, second)
        ours.merge(theirs)
        assert ours.view(Two).version == 3
        assert not migrate(ours, Two)


@pytest.mark.parametrize("value", ["two", 0, -1, True, 2.0, None, {"x": 1}, Counter(-3), Text("2")])
def test_what_is_no_version_is_reported_and_counts_as_the_first(value: object) -> None:
    doc = base()
    with doc.change():
        doc["schema_version"] = value
    found = doc.view(Two).read()
    assert found.version == 1
    assert [problem.path for problem in found.problems] == [("schema_version",)]


def test_what_cannot_be_converted_is_reported_and_kept() -> None:
    for value in ("many", [1], Text("3x"), None):
        doc = base()
        with doc.change():
            doc["price"] = value
        found = doc.view(Two).read()
        assert found.value.cents == 0
        assert [problem.path for problem in found.problems] == [("price",)]
        with doc.view(Two).change() as note:
            note.title = "x"
        assert doc["price"] == value
        with doc.view(Two).change() as note:
            note.cents = 5
        assert doc["cents"] == 5
        assert "price" not in doc


@pytest.mark.parametrize(
    "versions",
    [
        {1: []},
        {3: []},
        {2: [Rename("a", "a")]},
        {2: [Rename("a", "b"), Rename("b", "a")]},
        {2: [Rename("a", "b"), Convert("a", "c", str)]},
        {2: [Rename("a", "b")], 3: [Rename("c", "b")]},
        {2: [Drop("a")], 3: [Rename("b", "a")]},
        {2: [Drop("a"), Drop("a")]},
        {2: [Rename("", "a")]},
        {2: [Rename("a", 5)]},
        {2: [Convert("a", "b", "str")]},
        {2: [SetDefault("a", [])]},
        {2: [Drop("a"), SetDefault("a", 1)]},
        {2: ["rename a b"]},
    ],
)
def test_steps_that_break_a_rule_are_refused(versions: Any) -> None:
    with pytest.raises(InvalidModel):
        versioned(versions)


@pytest.mark.parametrize(
    "steps",
    [
        [Rename("old", "nowhere")],
        [Drop("title")],
        [Rename("title", "rows")],
        [WrapItems("title", "name")],
        [WrapItems("rows", "nothing")],
        [SetDefault("nowhere", 1)],
        [SetDefault("title", 7)],
        [Convert("schema_version", "title", str), Rename("title", "schema_version")],
    ],
)
def test_steps_that_do_not_fit_the_model_are_refused(steps: list[Any]) -> None:
    with pytest.raises(InvalidModel):
        View(base(), versioned({2: steps})(type("Model", (Two,), {}))).read()


def test_steps_that_need_the_version_of_a_document_are_refused_inside_one() -> None:
    with pytest.raises(InvalidModel, match="whole document"):
        View(base(), Outer)
    assert View(base(), Inner).value == Inner("0")


def test_problems_of_a_late_write_name_the_key_where_it_lies() -> None:
    doc = base()
    with doc.change():
        doc["name"] = 5
    assert doc.view(Three).problems == (Problem(("name",), 5, "a str is needed, and an int is there"),)
