"""Whether a change set may count: first by its header, then by the changes in it (protocol sections 3 and 4)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from lichen_crdt import ChangeInfo, InvalidChange, inspect

from lichen.core.access.log import AccessLog
from lichen.core.actors import actor_id
from lichen.core.known import KnownSet
from lichen.crypto.sealing import merge_tip
from lichen.errors import InvalidChangeSet
from lichen.ids import OpId, SetId
from lichen.wire.changeset import NO_PREV, Header, Kind
from lichen.wire.membership import Role

MOST_MERGED = 4_096
"""Most sets that are looked at, behind one dep, for the changes that a chain of merges ends with."""

Lookup = Callable[[SetId], KnownSet | None]
"""A known set by its id."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """It counts, as far as its header says."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something it names is not here yet."""

    deps: tuple[SetId, ...]
    operations: tuple[OpId, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """It is invalid, for good."""

    reason: str


Verdict = Admitted | Waiting | Refused


def admit(header: Header, log: AccessLog, known: Lookup, invalid: Container[SetId] = ()) -> Verdict:
    """Judge a header in the light of what is known, cheapest questions first.

    `invalid` are sets that were found invalid before: whatever follows one is invalid too. Apart from what must be
    waited for, the verdict is a function of the header and its past alone, so every replica comes to the same one.
    """
    if any(dep in invalid for dep in header.deps) or any(head in log.invalid for head in header.access):
        return Refused("it follows something invalid")
    operations = log.unknown(header.access)
    if not operations and (log.role_of(header.author, header.access) or 0) < Role.WRITER:
        return Refused("its author was not at least a writer at the access heads it names")
    found = [(dep, known(dep)) for dep in header.deps]
    missing = tuple(dep for dep, held in found if held is None)
    if missing or operations:
        return Waiting(missing, operations)
    deps = [held for _, held in found if held is not None]
    reason = _against_deps(header, log, deps) or _against_log(header, known)
    return Refused(reason) if reason else Admitted()


def _against_deps(header: Header, log: AccessLog, deps: Sequence[KnownSet]) -> str:
    if any(dep.doc != header.doc for dep in deps):
        return "it depends on a set of another document"
    if not all(dep.access == header.access or log.covers(header.access, dep.access) for dep in deps):
        return "its access heads do not cover those of its deps"
    return ""


def _against_log(header: Header, known: Lookup) -> str:
    """Whether it continues its session's own log."""
    if header.kind is Kind.CREATE:  # that its document's id is its own was checked when it was decoded
        return "" if header.seq == 1 else "it creates a document, but is not its session's first set"
    if header.prev == NO_PREV:
        return "" if header.seq == 1 else "it names no set before it, but is not its session's first"
    prev = known(SetId(header.prev))
    if prev is None or (prev.author, prev.session, prev.doc) != (header.author, header.session, header.doc):
        return "the set before it is not of its session"
    return "" if prev.seq + 1 == header.seq else "its number is not one above that of the set before it"


def check_changes(header: Header, changes: Sequence[bytes], known: Lookup, epoch_key: bytes) -> bytes | None:
    """Check the changes of an opened set against its header; returns the hash of the last one, None without changes.

    One actor, the header's; numbers that follow each other; dependencies outside the set only in the first change, and
    exactly the last changes of the header's deps. (Automerge names the actor's own change before as a dependency even
    where another one follows it, so the session's set before is no exception.) A merge has none, and its tip is that
    of its deps' tips under its epoch's key. Raises `InvalidChangeSet`.
    """
    if header.kind is Kind.MERGE:
        _check_merge(header, known, epoch_key)
    if not changes:
        return None
    try:
        infos = [inspect(change) for change in changes]
    except InvalidChange as error:
        raise InvalidChangeSet(f"it holds a change that is not one: {error}") from error
    if infos[0].actor != actor_id(header.author, header.doc, header.session):
        raise InvalidChangeSet("it holds a change of a foreign actor")
    if header.seq == 1 and infos[0].seq != 1:
        raise InvalidChangeSet("its session begins in the middle")
    for before, info in itertools.pairwise(infos):
        _check_follows(before, info)
    _check_outside(header, infos[0], known)
    return infos[-1].hash


def _check_merge(header: Header, known: Lookup, epoch_key: bytes) -> None:
    deps = [held for held in map(known, header.deps) if held is not None]
    if merge_tip(epoch_key, [held.tip for held in deps]) != header.tip:
        raise InvalidChangeSet("its tip is not that of the tips of its deps")


def _check_follows(before: ChangeInfo, info: ChangeInfo) -> None:
    if info.actor != before.actor or info.seq != before.seq + 1:
        raise InvalidChangeSet("its changes are not one actor's in order")
    if info.deps != (before.hash,):
        raise InvalidChangeSet("a change in it builds on something outside the set")
    if info.start_op != before.start_op + before.operations:
        raise InvalidChangeSet("the operations of its changes do not follow each other")


def _check_outside(header: Header, first: ChangeInfo, known: Lookup) -> None:
    ends = {dep: _ends(dep, known) for dep in header.deps}
    if not set().union(*ends.values()) >= set(first.deps):
        raise InvalidChangeSet("it builds on changes that its header does not name")
    if any(hashes and hashes.isdisjoint(first.deps) for hashes in ends.values()):
        raise InvalidChangeSet("its header names sets that it does not build on")


def _ends(set_id: SetId, known: Lookup) -> set[bytes]:
    """The hashes of the changes that a set ends with: its last one; without changes, those of its deps."""
    found: set[bytes] = set()
    seen = {set_id}
    pending = [set_id]
    while pending:
        held = known(pending.pop())
        if held is None:
            continue
        if held.last_hash is not None:
            found.add(held.last_hash)
            continue
        fresh = [dep for dep in held.deps if dep not in seen]
        seen.update(fresh)
        pending.extend(fresh)
        if len(seen) > MOST_MERGED:
            raise InvalidChangeSet(f"it builds on merges of more than {MOST_MERGED} sets")
    return found
