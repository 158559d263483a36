"""Which change sets count: by their header, by what they follow, and by the changes in them."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from lichen.core import admission
from lichen.core.admission import Admitted, Refused, Verdict, Waiting, admit, check_changes
from lichen.core.known import KnownSet
from lichen.crypto.sealing import open_set
from lichen.errors import InvalidChangeSet
from lichen.ids import DeviceKey, DocId, OpId, Session, SetId
from lichen.testing.access import Script
from lichen.testing.sets import KEY, Desk, Pen
from lichen.wire.changeset import NO_PREV, ChangeSet, Kind, create_prev
from lichen.wire.membership import Role
from lichen_crdt import ChangeInfo


@pytest.fixture
def desk() -> Desk:
    """A space with an owner, two writers, a reader and a relay, and an empty desk."""
    script = Script()
    for name, role in (("ann", Role.WRITER), ("bob", Role.WRITER), ("rob", Role.READER), ("rel", Role.RELAY)):
        script.add(name, role)
    return Desk(script)


def judged(desk: Desk, change_set: ChangeSet) -> Verdict:
    """The verdict on a header."""
    return admit(change_set.header, desk.log, desk.known.get)


def checked(desk: Desk, change_set: ChangeSet) -> bytes | None:
    """The check of the changes in a set."""
    return check_changes(change_set.header, open_set(change_set, KEY), desk.known.get, KEY)


def refused(desk: Desk, change_set: ChangeSet) -> str:
    """Why a header is invalid."""
    verdict = judged(desk, change_set)
    assert isinstance(verdict, Refused)
    return verdict.reason


def following(pen: Pen, *sets: ChangeSet) -> Pen:
    """A pen that has read these."""
    pen.read(*sets)
    return pen


# Headers


def test_what_an_honest_session_writes_is_admitted(desk: Desk) -> None:
    owner = Pen(desk)
    first, second, third = owner.create(), owner.write("a", "b", "c"), owner.write("d")
    ann = following(Pen(desk, "ann"), first, second)
    concurrent = ann.write("e")
    owner.read(concurrent)
    joined = owner.write("f")
    for change_set in (first, second, third, concurrent, joined):
        assert judged(desk, change_set) == Admitted()
        assert checked(desk, change_set) == desk.known[change_set.id].last_hash


@pytest.mark.parametrize(
    ("name", "allowed"), [("owner", True), ("ann", True), ("rob", False), ("rel", False), ("stranger", False)]
)
def test_only_writers_and_above_write(desk: Desk, name: str, allowed: bool) -> None:
    first = Pen(desk).create()
    verdict = judged(desk, following(Pen(desk, name), first).write())
    assert isinstance(verdict, Admitted if allowed else Refused)


def test_the_right_to_write_is_that_at_the_heads_the_set_names(desk: Desk) -> None:
    first = Pen(desk).create(access=[desk.script.genesis.id])
    early = following(Pen(desk, "ann"), first).write(access=[desk.script.genesis.id])
    assert "at least a writer" in refused(desk, early)


def test_a_set_that_names_an_access_operation_not_yet_here_waits_for_it(desk: Desk) -> None:
    first = Pen(desk).create()
    late = desk.script.add("late")
    change_set = following(Pen(desk, "late"), first).write()
    early = Script().log()
    for operation in desk.script.operations[:-1]:
        early.add(operation)
    assert admit(change_set.header, early, desk.known.get) == Waiting((), (late.id,))
    early.add(late)
    assert admit(change_set.header, early, desk.known.get) == Admitted()


def test_a_set_whose_deps_are_not_here_waits_for_them(desk: Desk) -> None:
    owner = Pen(desk)
    first, second = owner.create(), owner.write()
    del desk.known[first.id]
    assert judged(desk, second) == Waiting((first.id,), ())


def test_a_set_of_somebody_without_the_right_does_not_even_wait(desk: Desk) -> None:
    first = Pen(desk).create()
    change_set = following(Pen(desk, "rob"), first).write()
    desk.known.clear()
    assert "at least a writer" in refused(desk, change_set)


def test_whatever_follows_an_invalid_set_is_invalid(desk: Desk) -> None:
    owner = Pen(desk)
    first, second = owner.create(), owner.write()
    del desk.known[first.id]
    verdict = admit(second.header, desk.log, desk.known.get, {first.id})
    assert verdict == Refused("it follows something invalid")


def test_a_set_that_names_an_invalid_access_operation_is_invalid(desk: Desk) -> None:
    bad = desk.script.add("eve", by="rob")
    assert refused(desk, Pen(desk).create(access=[bad.id])) == "it follows something invalid"


def test_access_heads_must_cover_those_of_the_deps(desk: Desk) -> None:
    before = desk.script.last.id
    desk.script.add("late")
    first = Pen(desk).create()
    back = following(Pen(desk, "ann"), first).write(access=[before])
    assert refused(desk, back) == "its access heads do not cover those of its deps"


def test_a_set_does_not_build_on_another_document(desk: Desk) -> None:
    first = Pen(desk).create()
    moved = following(Pen(desk, "ann"), first).write(doc=DocId(b"o" * 16))
    assert refused(desk, moved) == "it depends on a set of another document"


def test_numbers_follow_each_other(desk: Desk) -> None:
    owner = Pen(desk)
    owner.create()
    skipping = owner.write(seq=3)
    assert refused(desk, skipping) == "its number is not one above that of the set before it"


def test_the_set_before_is_of_the_same_author_session_and_document(desk: Desk) -> None:
    first = Pen(desk).create()
    ann = following(Pen(desk, "ann"), first)
    ann.last = first
    assert refused(desk, ann.write()) == "the set before it is not of its session"
    other = following(Pen(desk, "owner", "second"), first)
    other.last = first
    assert refused(desk, other.write()) == "the set before it is not of its session"


def test_a_session_begins_with_number_one(desk: Desk) -> None:
    first = Pen(desk).create()
    header = following(Pen(desk, "ann"), first).write().header
    beginning = header._replace(seq=2)
    assert header.prev == NO_PREV
    assert isinstance(admit(beginning, desk.log, desk.known.get), Refused)


def test_an_empty_set_adopts_others(desk: Desk) -> None:
    first = Pen(desk).create()
    ann, bob = following(Pen(desk, "ann"), first), following(Pen(desk, "bob"), first)
    one, other = ann.write("a"), bob.write("b")
    merge = Pen(desk, "owner", "second").merge(one, other)
    assert judged(desk, merge) == Admitted()
    assert checked(desk, merge) is None


def test_a_merge_whose_tip_is_not_that_of_its_deps_tips_is_invalid(desk: Desk) -> None:
    first = Pen(desk).create()
    one, other = (following(Pen(desk, name), first).write("x") for name in ("ann", "bob"))
    tips = [desk.known[dep].tip for dep in sorted((one.id, other.id))]
    for name, forged in {"swapped": tips[::-1], "another's": [tips[0], first.header.tip]}.items():
        merge = Pen(desk, "owner", name).merge(one, other, dep_tips=forged)
        assert judged(desk, merge) == Admitted()
        with pytest.raises(InvalidChangeSet, match="tips of its deps"):
            checked(desk, merge)


def test_a_merge_of_a_merge_is_over_its_tip(desk: Desk) -> None:
    first = Pen(desk).create()
    one, other = (following(Pen(desk, name), first).write("x") for name in ("ann", "bob"))
    merge = Pen(desk, "owner", "second").merge(one, other)
    assert checked(desk, Pen(desk, "ann", "second").merge(merge)) is None
    with pytest.raises(InvalidChangeSet, match="tips of its deps"):
        checked(desk, Pen(desk, "bob", "second").merge(merge, dep_tips=[one.header.tip]))


# Changes


def test_a_set_may_follow_an_empty_one_by_its_changes(desk: Desk) -> None:
    first = Pen(desk).create()
    ann, bob = following(Pen(desk, "ann"), first), following(Pen(desk, "bob"), first)
    one, other = ann.write("a"), bob.write("b")
    owner = following(Pen(desk, "owner", "second"), first, one, other)
    merge = owner.merge(one, other)
    after = owner.write("c", deps=(merge.id,))
    assert judged(desk, after) == Admitted()
    assert checked(desk, after) is not None


def test_a_document_may_be_created_empty(desk: Desk) -> None:
    owner = Pen(desk)
    empty = owner._seal([], kind=Kind.CREATE, prev=create_prev(b"n" * 16), deps=())
    first = owner.write("a")
    assert judged(desk, empty) == judged(desk, first) == Admitted()
    assert checked(desk, empty) is None
    assert checked(desk, first) is not None


def test_changes_of_a_foreign_actor_are_invalid(desk: Desk) -> None:
    first = Pen(desk).create()
    ann, bob = following(Pen(desk, "ann"), first), following(Pen(desk, "bob"), first)
    stolen = ann._seal([bob.change()], deps=(first.id,))
    with pytest.raises(InvalidChangeSet, match="foreign actor"):
        checked(desk, stolen)


def test_changes_of_an_earlier_session_are_foreign(desk: Desk) -> None:
    first = Pen(desk).create()
    again = following(Pen(desk, "owner", "second"), first)
    with pytest.raises(InvalidChangeSet, match="foreign actor"):
        checked(desk, again.write(session=Session(b"t" * 16)))


def test_a_change_of_another_actor_further_back_is_found(desk: Desk) -> None:
    first = Pen(desk).create()
    ann, bob = following(Pen(desk, "ann"), first), following(Pen(desk, "bob"), first)
    mixed = ann._seal([ann.change(), bob.change()], deps=(first.id,))
    with pytest.raises(InvalidChangeSet, match="one actor's in order"):
        checked(desk, mixed)


def test_changes_out_of_order_left_out_or_doubled_are_invalid(desk: Desk) -> None:
    owner = Pen(desk)
    first = owner.create()
    one, two, three = owner.change(), owner.change(), owner.change()
    for changes in ([two, one], [one, three], [one, one]):
        with pytest.raises(InvalidChangeSet, match="one actor's in order"):
            checked(desk, owner._seal(changes, deps=(first.id,), prev=first.id, seq=2))


def test_a_session_does_not_begin_in_the_middle(desk: Desk) -> None:
    owner = Pen(desk)
    owner.change()
    middle = owner._seal([owner.change()], kind=Kind.CREATE, prev=create_prev(b"n" * 16), deps=())
    with pytest.raises(InvalidChangeSet, match="in the middle"):
        checked(desk, middle)


def test_a_set_builds_on_nothing_that_its_header_does_not_name(desk: Desk) -> None:
    first = Pen(desk).create()
    hidden = following(Pen(desk, "ann"), first).write()
    bob = following(Pen(desk, "bob"), first, hidden)
    with pytest.raises(InvalidChangeSet, match="does not name"):
        checked(desk, bob.write(deps=(first.id,)))


def test_a_header_names_nothing_that_its_changes_do_not_build_on(desk: Desk) -> None:
    first = Pen(desk).create()
    other = following(Pen(desk, "ann"), first).write()
    bob = following(Pen(desk, "bob"), first)
    with pytest.raises(InvalidChangeSet, match="does not build on"):
        checked(desk, bob.write(deps=(first.id, other.id)))


def test_only_the_first_change_of_a_set_builds_on_others(desk: Desk) -> None:
    first = Pen(desk).create()
    other = following(Pen(desk, "ann"), first).write()
    bob = following(Pen(desk, "bob"), first)
    one = bob.change()
    bob.read(other)
    with pytest.raises(InvalidChangeSet, match="outside the set"):
        checked(desk, bob._seal([one, bob.change()], deps=(first.id, other.id)))


def test_operations_that_overlap_those_of_the_change_before_are_invalid(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_set = Pen(desk).create("a", "b")
    assert checked(desk, change_set) is not None
    real = admission.inspect

    def overlapping(change: bytes) -> ChangeInfo:
        info = real(change)
        return info if info.seq == 1 else dataclasses.replace(info, start_op=info.start_op - 1)

    monkeypatch.setattr(admission, "inspect", overlapping)
    with pytest.raises(InvalidChangeSet, match="operations of its changes"):
        checked(desk, change_set)


def test_the_own_set_before_is_named_even_behind_one_that_follows_it(desk: Desk) -> None:
    owner = Pen(desk)
    first = owner.create()
    answer = following(Pen(desk, "ann"), first).write()
    owner.read(answer)
    after = owner.write()
    assert set(after.header.deps) == {first.id, answer.id}
    assert checked(desk, after) is not None


@pytest.mark.parametrize("change", [b"", b"garbage", bytes(10_000)])
def test_what_is_no_change_is_invalid(desk: Desk, change: bytes) -> None:
    header = Pen(desk).create().header
    with pytest.raises(InvalidChangeSet, match="not one"):
        check_changes(header, [change], desk.known.get, KEY)


def test_merges_of_merges_are_looked_through_once_each(desk: Desk) -> None:
    """Thirty layers of two merges, each on both below: a walk that took every way would take a thousand million."""
    owner = Pen(desk)
    first = owner.create()
    layer = [first.id, first.id]
    for depth in range(30):
        layer = [fake(desk, depth, side, set(layer)) for side in range(2)]
    ann = following(Pen(desk, "ann"), first)
    assert checked(desk, ann.write(deps=(layer[0],))) is not None


def test_how_far_merges_are_looked_through_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MOST_MERGED", 3)
    first = Pen(desk).create()
    last = first.id
    for depth in range(4):
        last = fake(desk, depth, 0, {last})
    with pytest.raises(InvalidChangeSet, match="merges of more than 3"):
        checked(desk, following(Pen(desk, "ann"), first).write(deps=(last,)))


def fake(desk: Desk, depth: int, side: int, deps: set[SetId]) -> SetId:
    """A merge, as far as it is remembered."""
    set_id = SetId(hashlib.sha256(bytes((depth, side))).digest())
    access = (OpId(desk.script.last.id),)
    place = (desk.doc, DeviceKey(bytes(32)), Session(bytes(16)), 1)
    desk.known[set_id] = KnownSet(*place, access, tuple(deps), bytes(32), None)
    return set_id
