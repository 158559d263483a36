"""Who may begin epochs and wrap their keys, and which epoch is sealed under."""

from __future__ import annotations

import dataclasses

import pytest
from lichen.core.access.log import AccessLog, Outcome
from lichen.testing.access import Script, device, named_epoch, wraps
from lichen.wire.epochs import Epoch
from lichen.wire.membership import Role

E1, E2, E3 = (named_epoch(name) for name in ("e1", "e2", "e3"))
ALL = {E1, E2, E3}


@pytest.fixture
def script() -> Script:
    """A space with its owner, a writer, a reader and a relay, and its first epoch."""
    script = Script()
    for name, role in (("ann", Role.WRITER), ("rob", Role.READER), ("rel", Role.RELAY)):
        script.add(name, role)
    script.epoch("e1", 1, to=["owner", "ann", "rob"])
    return script


def refused(script: Script) -> str:
    """Why the operation that was written last is invalid; empty when it is valid."""
    log = script.log()
    assert log.known(script.last.id) != bool(log.reason(script.last.id))
    return log.reason(script.last.id)


def test_a_reader_may_begin_an_epoch_and_wrap_and_a_relay_and_a_stranger_may_not(script: Script) -> None:
    before = script.last
    for by, allowed in (("rob", True), ("ann", True), ("rel", False), ("stranger", False)):
        script.epoch("e2", 2, to=["owner"], by=by, after=[before])
        assert bool(refused(script)) is not allowed
        script.wrap("e1", to=["rob"], by=by, after=[before])
        assert bool(refused(script)) is not allowed


@pytest.mark.parametrize("generation", [1, 3, 2**32 - 1])
def test_a_generation_is_one_above_the_highest_in_the_past(script: Script, generation: int) -> None:
    script.epoch("e2", generation, to=["owner"])
    assert refused(script) == "its generation is not one above the highest that its author knew"


def test_epochs_that_were_begun_at_once_have_one_generation_and_the_next_follows_both(script: Script) -> None:
    before = script.last
    both = [script.epoch(name, 2, to=["owner"], after=[before]) for name in ("e2", "e3")]
    script.epoch("e4", 3, to=["owner"], after=both)
    assert refused(script) == ""
    assert script.log().next_generation() == 4


def test_an_epoch_is_begun_once_in_any_past(script: Script) -> None:
    script.epoch("e1", 2, to=["owner"], by="rob")
    assert refused(script) == "that epoch was begun before"


def test_an_epoch_names_the_recovery_that_the_genesis_commits_to(script: Script) -> None:
    good = script.operations[-1].body
    assert isinstance(good, Epoch)
    eve = device("eve")
    for keys in ({"recovery_signing_key": eve.public}, {"recovery_sealing_key": eve.sealing_key}):
        script.write(dataclasses.replace(good, generation=2, epoch=E2, **keys), "owner", [script.operations[4]])
        assert refused(script) == "its recovery keys are not those that the genesis commits to"


def test_a_key_is_wrapped_to_nobody_who_may_not_read(script: Script) -> None:
    before = script.last
    for name in ("rel", "stranger"):
        script.wrap("e1", to=[name], after=[before])
        assert refused(script) == "it wraps an epoch's key to somebody who may not read"
        script.epoch("e2", 2, to=["owner", name], after=[before])
        assert refused(script) == "it wraps an epoch's key to somebody who may not read"


def test_a_key_is_wrapped_only_once_its_epoch_is_known(script: Script) -> None:
    script.wrap("e2", to=["ann"])
    assert refused(script) == "it wraps the key of an epoch that its author did not know"
    script.wrap("e1", to=["ann"], after=[script.operations[3]])
    assert refused(script) == "it wraps the key of an epoch that its author did not know"


def test_a_key_may_be_wrapped_to_the_recovery_again(script: Script) -> None:
    script.wrap("e1", to=["recovery"], by="rob")
    assert refused(script) == ""


def test_two_epochs_with_one_id_are_answered_alike_in_any_order(script: Script) -> None:
    before = script.last
    script.epoch("e2", 2, to=["owner", "ann", "rob"], after=[before])
    copy = script.epoch("e3", 2, to=["owner"], by="rob", after=[before])
    script.epoch("e2", 3, to=["owner"], by="rob", after=[copy])
    forward, backward = script.log(), AccessLog(script.space)
    for operation in reversed(script.operations):
        backward.add(operation)
    for log in (forward, backward):
        assert log.next_generation() == 4
        assert log.epochs() == (E2, E3, E1)
        assert log.eligible_epoch(ALL) == E2


# Sealing


def test_an_epoch_is_eligible_once_it_is_wrapped_to_exactly_who_may_read(script: Script) -> None:
    assert script.log().eligible_epoch(ALL) == E1
    script.add("new")
    log = script.log()
    assert log.eligible_epoch(ALL) is None
    assert log.missing_wraps(E1) == [device("new").sealing_key]
    log.add(script.wrap("e1", to=["new"], by="rob"))
    assert log.eligible_epoch(ALL) == E1
    assert log.missing_wraps(E1) == []


def test_the_recovery_is_a_recipient_of_every_epoch(script: Script) -> None:
    good = script.operations[-1].body
    assert isinstance(good, Epoch)
    body = dataclasses.replace(good, generation=2, epoch=E2, wraps=wraps(["owner", "ann", "rob"]))
    script.write(body, "owner")
    log = script.log()
    assert log.eligible_epoch(ALL) == E1
    assert log.missing_wraps(E2) == [device("recovery").sealing_key]


def test_a_relay_that_joins_needs_no_key(script: Script) -> None:
    script.add("relay2", Role.RELAY)
    assert script.log().eligible_epoch(ALL) == E1


def test_the_largest_generation_and_then_id_is_sealed_under(script: Script) -> None:
    before, readers = script.last, ["owner", "ann", "rob"]
    for name in ("e2", "e3"):
        script.epoch(name, 2, to=readers, after=[before])
    assert script.log().eligible_epoch(ALL) == max(E2, E3)


def test_an_epoch_that_a_reader_began_without_telling_its_key_stops_nobody(script: Script) -> None:
    script.epoch("e2", 2, to=["owner", "ann", "rob"], by="rob")
    assert script.log().eligible_epoch({E1}) == E1


def test_an_epoch_that_leaves_a_reader_out_is_not_sealed_under(script: Script) -> None:
    script.epoch("e2", 2, to=["owner", "rob"], by="rob")
    assert script.log().eligible_epoch(ALL) == E1


def test_an_epoch_that_reaches_somebody_who_may_not_read_after_all_is_not_sealed_under(script: Script) -> None:
    before = script.last
    script.add("new", Role.READER, after=[before])
    wrapped = script.wrap("e1", to=["new"])
    assert script.log().eligible_epoch(ALL) == E1
    script.merge(after=[wrapped, script.add("new", Role.RELAY, after=[before])])
    assert script.log().eligible_epoch(ALL) is None
    assert script.log().missing_wraps(E1) == []


def test_who_joined_at_the_same_time_as_an_epoch_is_missing_in_it(script: Script) -> None:
    before = script.last
    script.add("new", after=[before])
    script.epoch("e2", 2, to=["owner", "ann", "rob"], after=[before])
    log = script.log()
    assert log.eligible_epoch(ALL) is None
    assert log.missing_wraps(E2) == [device("new").sealing_key]


def test_a_second_device_is_a_recipient_too(script: Script) -> None:
    script.add_device("phone", "rob")
    assert script.log().missing_wraps(E1) == [device("phone").sealing_key]


def test_every_wrap_for_a_recipient_is_kept_so_a_bad_one_hides_no_good_one(script: Script) -> None:
    script.wrap("e1", to=["ann"], by="rob", tag=b"bad")
    script.wrap("e1", to=["ann"], by="owner", tag=b"other")
    found = script.log().wraps_for(device("ann").sealing_key)
    assert len(found[E1]) == 3


def test_outcomes_of_epochs_do_not_depend_on_what_came_before_them(script: Script) -> None:
    last = script.last
    early = AccessLog(script.space)
    assert early.add(last) is Outcome.WAITING
    for operation in script.operations:
        early.add(operation)
    assert early.eligible_epoch(ALL) == E1
