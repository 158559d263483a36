"""Named branches: lines of work on one document, in one file."""

from __future__ import annotations

from typing import Any

import pytest
from lichen_crdt import Branches, BranchExists, CrdtError, Document, InvalidDocument, Text, UnknownBranch


def drafted() -> Branches:
    doc = Document(actor=b"a" * 16)
    with doc.change():
        doc["body"] = Text("milk")
    branches = Branches(doc)
    draft = branches.create("draft")
    with draft.change():
        draft["body"].append(", eggs")
    with doc.change():
        doc["body"].insert(0, "oat ")
    return branches


def test_a_branch_goes_its_own_way_until_it_is_merged() -> None:
    branches = drafted()
    assert (branches.main["body"], branches.open("draft")["body"]) == ("oat milk", "milk, eggs")
    assert branches.names == ("main", "draft")
    patches = branches.merge("draft")
    assert branches.main["body"] == "oat milk, eggs"
    assert patches
    assert branches.open("draft")["body"] == "milk, eggs"


def test_branches_survive_a_save_and_write_under_new_actors() -> None:
    branches = drafted()
    again = Branches.load(branches.save(), actor=b"z" * 16)
    assert (again.names, again.main["body"], again.open("draft")["body"]) == (
        ("main", "draft"),
        "oat milk",
        "milk, eggs",
    )
    assert len({again.main.actor, again.open("draft").actor, branches.open("draft").actor}) == 3
    again.merge("main", into="draft")
    assert Branches.load(again.save()).open("draft")["body"] == "oat milk, eggs"


def test_others_read_the_main_line() -> None:
    branches = drafted()
    plain = Document.load(branches.save(), partial=True)
    assert plain == branches.main
    assert plain.heads == branches.main.heads
    assert Branches.load(branches.main.save()).names == ("main",)


def test_a_branch_begins_at_any_version_of_any_branch() -> None:
    branches = drafted()
    start = branches.main.history()[0].hash
    old = branches.create("old", at=[start])
    side = branches.create("side", of="draft")
    assert (old["body"], side["body"]) == ("milk", "milk, eggs")
    with pytest.raises(CrdtError):
        branches.create("never", at=[b"x" * 32])
    assert branches.heads("old") == (start,)


def test_branches_are_renamed_and_deleted() -> None:
    branches = drafted()
    branches.rename("draft", "plan")
    assert (branches.names, branches.open("plan")["body"]) == (("main", "plan"), "milk, eggs")
    with pytest.raises(UnknownBranch):
        branches.open("draft")
    with pytest.raises(BranchExists):
        branches.create("plan")
    for name in ("", "a\nb", "é" * 101, "\ud800"):
        with pytest.raises(ValueError, match="name"):
            branches.create(name)
    number: Any = 5
    with pytest.raises(TypeError, match="name"):
        branches.create(number)
    for refused in (branches.delete, lambda name: branches.rename(name, "x")):
        with pytest.raises(ValueError, match="main"):
            refused("main")
    branches.delete("plan")
    assert branches.save() == branches.main.save()


def test_copies_exchange_their_branches() -> None:
    branches = drafted()
    other = Branches.load(branches.save())
    with other.open("draft").change():
        other.open("draft")["body"].append("!")
    idea = other.create("idea")
    with branches.open("draft").change():
        branches.open("draft")["body"].insert(0, "?")
    branches.update(other)
    assert branches.names == ("main", "draft", "idea")
    assert (branches.open("draft")["body"], branches.open("idea")) == ("?milk, eggs!", idea)


def test_hostile_bytes_are_refused() -> None:
    saved = drafted().save()
    line = len(drafted().main.save())
    for at in range(line, len(saved)):
        broken = saved[:at] + bytes((saved[at] ^ 0x41,)) + saved[at + 1 :]
        with pytest.raises(InvalidDocument):
            Branches.load(broken)
        with pytest.raises(InvalidDocument):
            Branches.load(saved[:at] if at > line else b"x")
