"""Two sets at one place of a log: proved, settled alike on every replica, and without loss for the honest branch."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from lichen.core.known import KnownSet
from lichen.core.splits import SplitBook, log_of
from lichen.ids import DeviceKey, DocId, MemberId, OpId, Session, SetId
from lichen.wire.membership import Role

DOC = DocId(b"d" * 16)
ROLES = {"own": Role.OWNER, "oda": Role.OWNER, "adm": Role.ADMIN, "ann": Role.WRITER, "bob": Role.WRITER}


def voter(known: KnownSet) -> tuple[MemberId, Role] | None:
    """Each author is a member of its own; strangers are none."""
    name = known.author.rstrip(b".").decode()
    return (MemberId(known.author[:16]), ROLES[name]) if name in ROLES else None


@dataclass
class Sheet:
    """The sets of one document, by short names such as `ann/1`."""

    sets: dict[SetId, KnownSet] = field(default_factory=dict)

    def write(self, name: str, after: Iterable[SetId] = (), *, session: str = "s", prev: SetId | None = None) -> SetId:
        """A set of this author; `prev` continues a log, without it one begins."""
        seq = 1 if prev is None else self.sets[prev].seq + 1
        deps = tuple(sorted({*after} | ({prev} if prev is not None else set())))
        set_id = SetId(hashlib.sha256(repr((name, len(self.sets), deps)).encode()).digest())
        author = DeviceKey(name.encode().ljust(32, b"."))
        self.sets[set_id] = KnownSet(
            DOC, author, Session(session.encode().ljust(16)), seq, (OpId(bytes(32)),), deps, bytes(32), None
        )
        return set_id

    def book(self, order: Iterable[SetId] | None = None) -> SplitBook:
        """What a replica knows after sets came in this order; each must fit."""
        known: dict[SetId, KnownSet] = {}
        book = SplitBook(known)
        for set_id in self.sets if order is None else order:
            assert book.fits(set_id, self.sets[set_id])
            known[set_id] = self.sets[set_id]
            book.take(set_id)
        return book

    def left_out(self) -> frozenset[SetId]:
        """The sets that do not count."""
        return self.book().left_out(DOC, voter)


def split(sheet: Sheet) -> tuple[SetId, SetId, SetId]:
    """A beginning by the owner, and two first sets of one session of ann on it."""
    first = sheet.write("own")
    return first, sheet.write("ann", [first]), sheet.write("ann", [first])


# Finding


def test_two_sets_at_one_place_are_a_split_and_prove_each_other() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    (found,) = sheet.book().splits(DOC)
    assert found.branches == tuple(sorted((one, other)))
    assert found.prev is None
    assert sheet.book().documents == (DOC,)


def test_a_log_that_goes_on_is_no_split_and_neither_are_two_sessions() -> None:
    sheet = Sheet()
    first = sheet.write("own")
    second = sheet.write("own", prev=first)
    sheet.write("own", [first], session="t")
    sheet.write("ann", [second])
    sheet.write("bob", [second])
    assert sheet.book().splits(DOC) == ()
    assert sheet.left_out() == frozenset()


def test_a_split_at_an_old_number_is_found_after_others_built_on_it() -> None:
    sheet = Sheet()
    first = sheet.write("ann")
    second = sheet.write("ann", prev=first)
    third = sheet.write("ann", prev=second)
    sheet.write("own", [third])
    late = sheet.write("ann", prev=first)
    (found,) = sheet.book().splits(DOC)
    assert set(found.branches) == {second, late}
    assert found.prev == first


def test_three_branches_are_one_split() -> None:
    sheet = Sheet()
    first, one, other = split(sheet)
    third = sheet.write("ann", [first])
    (found,) = sheet.book().splits(DOC)
    assert set(found.branches) == {one, other, third}


# Settling


def test_without_adoption_no_branch_counts() -> None:
    sheet = Sheet()
    first, one, other = split(sheet)
    more = sheet.write("ann", prev=one)
    assert sheet.left_out() == {one, other, more}
    assert first not in sheet.left_out()


def test_the_branch_that_somebody_built_on_counts_and_nothing_of_the_honest_is_lost() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    built = sheet.write("bob", [one])
    later = sheet.write("bob", prev=built)
    assert sheet.left_out() == {other}
    assert {built, later}.isdisjoint(sheet.left_out())


def test_what_the_device_wrote_before_the_split_counts() -> None:
    sheet = Sheet()
    first = sheet.write("ann")
    second = sheet.write("ann", prev=first)
    one, other = sheet.write("ann", prev=second), sheet.write("ann", prev=second)
    assert sheet.left_out() == {one, other}


def test_a_branch_counts_only_as_far_as_it_was_adopted() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    middle = sheet.write("ann", prev=one)
    end = sheet.write("ann", prev=middle)
    sheet.write("bob", [middle])
    assert sheet.left_out() == {other, end}


def test_more_owners_beat_more_admins_beat_more_others() -> None:
    for winners, losers in (
        (["own"], ["adm", "bob"]),
        (["adm"], ["bob", "bob"]),
        (["own", "oda"], ["own", "adm", "bob"]),
        (["adm", "bob"], ["adm"]),
    ):
        sheet = Sheet()
        first, one, other = split(sheet)
        for number, name in enumerate(winners):
            sheet.write(name, [one, first], session=f"w{number}")
        beaten = [sheet.write(name, [other, first], session=f"l{number}") for number, name in enumerate(losers)]
        assert sheet.left_out() == {other, *beaten}


def test_one_member_that_adopts_often_counts_once() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    once = [sheet.write(name, [one], session="x") for name in ("bob", "ann")]
    often = [sheet.write("bob", [other], session=f"often{number}") for number in range(5)]
    assert sheet.left_out() == {other, *often}
    assert set(once).isdisjoint(sheet.left_out())


def test_of_branches_that_were_adopted_alike_the_lower_id_counts() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    adopted = {one: sheet.write("bob", [one], session="x"), other: sheet.write("bob", [other], session="y")}
    lower, higher = sorted(adopted)
    assert sheet.left_out() == {higher, adopted[higher]}
    assert lower < higher


def test_what_was_written_by_no_member_adopts_nothing() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    stranger = sheet.write("eve", [one])
    kept = sheet.write("bob", [other])
    assert sheet.left_out() == {one, stranger}
    assert kept not in sheet.left_out()


def test_strangers_on_both_branches_make_neither_count() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    strangers = [sheet.write("eve", [branch], session=f"on {number}") for number, branch in enumerate((one, other))]
    assert sheet.left_out() == {one, other, *strangers}


def test_a_member_adopts_with_the_highest_role_that_it_had_whatever_came_first() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    raised = [sheet.write("bob", [one], session=session) for session in ("as owner", "as writer")]
    beaten = sheet.write("adm", [other])

    def by_session(known: KnownSet) -> tuple[MemberId, Role] | None:
        vote = voter(known)
        return (vote[0], Role.OWNER) if vote is not None and known.session.startswith(b"as owner") else vote

    for seed in range(20):
        book = sheet.book(some_order(sheet.sets, seed))
        assert book.left_out(DOC, by_session) == {other, beaten}
    assert set(raised).isdisjoint(sheet.book().left_out(DOC, by_session))


def test_who_builds_on_a_losing_branch_has_no_say_in_a_later_split() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    for name in ("own", "oda"):
        sheet.write(name, [one], session="t")
    on_loser, on_winner = sheet.write("bob", [other]), sheet.write("bob", [one])
    misled = sheet.write("own", [on_loser], session="misled")
    kept = sheet.write("adm", [on_winner])
    assert sheet.left_out() == {other, on_loser, misled}
    assert kept not in sheet.left_out()


def test_a_session_that_split_adopts_nothing_of_itself() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    more = sheet.write("ann", prev=one)
    assert more in sheet.left_out()
    assert {one, other} <= sheet.left_out()


def test_the_same_device_may_adopt_in_a_new_session() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    sheet.write("ann", [one], session="new")
    assert sheet.left_out() == {other}


def test_a_split_within_a_losing_branch_changes_nothing_outside() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    sheet.write("own", [one], session="t")
    inner = [sheet.write("bob", [other], session="z") for _ in range(2)]
    adopter = sheet.write("adm", [inner[0]])
    assert sheet.left_out() == {other, *inner, adopter}


# Joining


def test_a_set_with_both_branches_in_its_past_does_not_fit() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    book = sheet.book()
    both = sheet.write("bob", [one, other])
    assert not book.fits(both, sheet.sets[both])


def test_nor_when_the_branches_lie_deep_in_its_past() -> None:
    sheet = Sheet()
    _, one, other = split(sheet)
    left, right = sheet.write("bob", [one]), sheet.write("adm", [other])
    book = sheet.book()
    both = sheet.write("own", [left, right], session="t")
    assert not book.fits(both, sheet.sets[both])


def test_nor_when_it_makes_the_split_itself() -> None:
    sheet = Sheet()
    first = sheet.write("own")
    one = sheet.write("ann", [first])
    built = sheet.write("bob", [one])
    book = sheet.book()
    late = sheet.write("ann", [built])
    assert not book.fits(late, sheet.sets[late])


def test_a_set_that_goes_on_from_one_branch_fits() -> None:
    sheet = Sheet()
    _, one, _ = split(sheet)
    book = sheet.book()
    more = sheet.write("ann", prev=one)
    assert book.fits(more, sheet.sets[more])


# Every order


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    """Random documents with splits, splits after splits, and adopters; only sets that fit."""
    sheet = Sheet()
    known: dict[SetId, KnownSet] = {}
    book = SplitBook(known)
    for _ in range(draw(st.integers(1, 16))):
        ids = list(sheet.sets)
        name = draw(st.sampled_from([*ROLES, "eve"]))
        after = draw(st.lists(st.sampled_from(ids), max_size=2, unique=True)) if ids else []
        session = draw(st.sampled_from("st"))
        own = [one for one in ids if log_of(sheet.sets[one])[::2] == _log(name, session)]
        prev = draw(st.sampled_from([None, *own])) if own else None
        made = sheet.write(name, after, session=session, prev=prev)
        if not book.fits(made, sheet.sets[made]):
            del sheet.sets[made]
            continue
        known[made] = sheet.sets[made]
        book.take(made)
    return sheet


def _log(name: str, session: str) -> tuple[bytes, bytes]:
    return name.encode().ljust(32, b"."), session.encode().ljust(16)


def some_order(sets: Mapping[SetId, KnownSet], seed: int) -> list[SetId]:
    """Another order in which ancestors come first."""
    chance = random.Random(seed)
    left, order = dict(sets), []
    while left:
        ready = [one for one, known in left.items() if not any(dep in left for dep in known.deps)]
        order.append(chance.choice(ready))
        del left[order[-1]]
    return order


@settings(max_examples=200)
@given(sheet=sheets(), seed=st.integers(0, 2**32))
def test_every_replica_leaves_out_the_same_whatever_came_first(sheet: Sheet, seed: int) -> None:
    straight = sheet.book()
    shuffled = sheet.book(some_order(sheet.sets, seed))
    assert set(shuffled.splits(DOC)) == set(straight.splits(DOC))
    assert shuffled.left_out(DOC, voter) == straight.left_out(DOC, voter)


@settings(max_examples=200)
@given(sheet=sheets())
def test_what_counts_is_closed_under_the_past_and_holds_one_branch_of_each_split(sheet: Sheet) -> None:
    book = sheet.book()
    left_out = book.left_out(DOC, voter)
    counted = [one for one in sheet.sets if one not in left_out]
    for one in counted:
        assert left_out.isdisjoint(sheet.sets[one].deps)
    for found in book.splits(DOC):
        assert sum(branch in counted for branch in found.branches) <= 1


@settings(max_examples=200)
@given(sheet=sheets(), seed=st.integers(0, 2**32), data=st.data())
def test_whether_a_set_fits_depends_on_its_past_alone(sheet: Sheet, seed: int, data: st.DataObject) -> None:
    after = data.draw(st.lists(st.sampled_from(list(sheet.sets)), max_size=3, unique=True))
    straight, shuffled = sheet.book(), sheet.book(some_order(sheet.sets, seed))
    made = sheet.write("bob", after, session="fresh")
    past = _past(sheet, made)
    candidate = sheet.sets.pop(made)
    small = Sheet({one: known for one, known in sheet.sets.items() if one in past}).book()
    fits = straight.fits(made, candidate)
    assert shuffled.fits(made, candidate) == fits
    assert small.fits(made, candidate) == fits


def _past(sheet: Sheet, one: SetId) -> set[SetId]:
    found, pending = set(), [one]
    while pending:
        current = pending.pop()
        if current not in found:
            found.add(current)
            pending.extend(sheet.sets[current].deps)
    return found


def test_a_long_log_costs_nothing_while_nobody_splits() -> None:
    sheet = Sheet()
    last = sheet.write("own")
    for _ in range(2_000):
        last = sheet.write("own", prev=last)
    assert sheet.left_out() == frozenset()
