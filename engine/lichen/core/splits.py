"""Splits: a device that wrote two change sets at one place of its session's log (protocol section 4).

Both stay stored: their signed headers are the proof. No document can hold both, since they use the same operation ids.
Which one counts is a function of the known sets, so replicas with the same sets agree, whatever came first:

- From the split on, no set of that session is *firm*: it does not count by itself. Every other set of a member is.
- A branch is *adopted* by its firm descendants. The one with more owners, then admins, then other members among these
  counts, then the one with the lower id; the others, and all that follows them, do not. Without adoption none counts.
- What counts is the past of the firm sets that follow no losing branch.
- A set with two branches of one split in its past is invalid.

Splits that follow others are decided after them; those that follow each other in a circle, at once.

In this version splits are found and told, and their sets kept; documents are not yet rebuilt to what `left_out` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from lichen.core.known import KnownSet
from lichen.ids import DeviceKey, DocId, MemberId, Session, SetId
from lichen.wire.membership import Role

Log = tuple[DeviceKey, DocId, Session]
"""Whose numbers count up."""

Voter = Callable[[KnownSet], tuple[MemberId, Role] | None]
"""The member that wrote a set, and its role at the access heads that the set names."""


@dataclass(frozen=True, slots=True)
class Split:
    """Two or more sets at one place of a log."""

    log: Log
    prev: SetId | None
    branches: tuple[SetId, ...]
    """Sorted."""


@dataclass(slots=True)
class _Document:
    """A document with splits. Bit i of a mask is the i-th branch."""

    order: list[SetId] = field(default_factory=list)
    """Its sets that are a branch or follow one, ancestors first. All others count."""
    splits: list[Split] = field(default_factory=list)
    bits: dict[SetId, int] = field(default_factory=dict)
    below: dict[SetId, int] = field(default_factory=dict)
    """The branches in the past of each set, itself included."""
    since: dict[Log, int] = field(default_factory=dict)
    """The number at which each split log splits first."""


class SplitBook:
    """The splits of one space. `known` are its known sets, ancestors first."""

    def __init__(self, known: Mapping[SetId, KnownSet]) -> None:
        self._known = known
        self._tips: dict[Log, dict[SetId, int]] = {}
        self._documents: dict[DocId, _Document] = {}
        for set_id in known:
            self.take(set_id)

    def fits(self, set_id: SetId, candidate: KnownSet) -> bool:
        """Whether a set that is about to be known has at most one branch of every split in its past."""
        document = self._documents.get(candidate.doc)
        if self._follows(candidate) is None:
            document = self._look(candidate.doc, {set_id: candidate})
        if document is None:
            return True
        below = _union(document, candidate.deps) | document.bits.get(set_id, 0)
        return all((below & _mask(document, split)).bit_count() < 2 for split in document.splits)

    def take(self, set_id: SetId) -> bool:
        """A set is known now. Returns whether its document has a split."""
        taken = self._known[set_id]
        tips = self._tips.setdefault(log_of(taken), {})
        tip = self._follows(taken)
        if tip is None:
            self._documents[taken.doc] = self._look(taken.doc, {})
        elif taken.doc in self._documents:
            _append(self._documents[taken.doc], set_id, taken)
        tips.pop(tip or set_id, None)
        tips[set_id] = taken.seq
        return taken.doc in self._documents

    def _follows(self, known: KnownSet) -> SetId | None:
        """The set that nothing followed yet in its log, and this one does; empty for the first; None for a split."""
        tips = self._tips.get(log_of(known))
        if not tips:
            return SetId(b"")
        return next((tip for tip, seq in tips.items() if seq == known.seq - 1 and tip in known.deps), None)

    def splits(self, doc: DocId) -> tuple[Split, ...]:
        """The splits of a document."""
        document = self._documents.get(doc)
        return () if document is None else tuple(document.splits)

    @property
    def documents(self) -> tuple[DocId, ...]:
        """The documents with splits."""
        return tuple(self._documents)

    def left_out(self, doc: DocId, voter: Voter) -> frozenset[SetId]:
        """The sets of a document that do not count."""
        document = self._documents.get(doc)
        return frozenset() if document is None else _resolve(document, self._known, voter)

    def _look(self, doc: DocId, more: Mapping[SetId, KnownSet]) -> _Document:
        """Find the splits of a document anew, as if `more` were known too."""
        sets = {set_id: known for set_id, known in self._known.items() if known.doc == doc} | dict(more)
        places: dict[tuple[Log, SetId | None], list[SetId]] = {}
        for set_id, known in sets.items():
            places.setdefault((log_of(known), previous(known, sets)), []).append(set_id)
        document = _Document()
        for (log, prev), branches in places.items():
            if len(branches) > 1:
                document.splits.append(Split(log, prev, tuple(sorted(branches))))
                document.since[log] = min(document.since.get(log, 2**64), sets[branches[0]].seq)
        branches = [branch for split in document.splits for branch in split.branches]
        document.bits = {branch: 1 << index for index, branch in enumerate(branches)}
        for set_id, known in sets.items():
            _append(document, set_id, known)
        return document


def log_of(known: KnownSet) -> Log:
    """The log that a set belongs to."""
    return known.author, known.doc, known.session


def previous(known: KnownSet, sets: Mapping[SetId, KnownSet]) -> SetId | None:
    """The set before it in its log; None for the first."""
    log, seq = log_of(known), known.seq - 1
    return next((dep for dep in known.deps if dep in sets and sets[dep].seq == seq and log_of(sets[dep]) == log), None)


def _append(document: _Document, set_id: SetId, known: KnownSet) -> None:
    below = _union(document, known.deps) | document.bits.get(set_id, 0)
    if below:
        document.order.append(set_id)
        document.below[set_id] = below


def _union(document: _Document, sets: Iterable[SetId]) -> int:
    below = 0
    for one in sets:
        below |= document.below.get(one, 0)
    return below


def _mask(document: _Document, split: Split) -> int:
    return sum(document.bits[branch] for branch in split.branches)


def _resolve(document: _Document, known: Mapping[SetId, KnownSet], voter: Voter) -> frozenset[SetId]:
    firm = [one for one in document.order if _is_firm(document, known[one], voter)]
    lost = 0
    for layer in _layers(document):
        adopters = [one for one in firm if not document.below[one] & lost]
        beaten = [_beaten(document, split, adopters, known, voter) for split in layer]
        lost |= sum(beaten)
    counted: set[SetId] = set()
    firm_left = {one for one in firm if not document.below[one] & lost}
    for one in reversed(document.order):
        if one in firm_left or one in counted:
            counted.add(one)
            counted.update(known[one].deps)
    return frozenset(one for one in document.order if one not in counted)


def _is_firm(document: _Document, known: KnownSet, voter: Voter) -> bool:
    """Whether a set counts by itself: a member's, and not of a session that has split by then."""
    return known.seq < document.since.get(log_of(known), 2**64) and voter(known) is not None


def _layers(document: _Document) -> Iterable[list[Split]]:
    """The splits in the order in which they are decided."""
    pending = list(document.splits)
    while pending:
        masks = [_mask(document, split) for split in pending]
        ready = [
            split
            for split, own in zip(pending, masks, strict=True)
            if not any(document.below[branch] & (sum(masks) - own) for branch in split.branches)
        ]
        yield ready or pending
        pending = [split for split in pending if ready and split not in ready]


def _beaten(
    document: _Document, split: Split, adopters: list[SetId], known: Mapping[SetId, KnownSet], voter: Voter
) -> int:
    """The branches of a split that lose to another one. (A winner that nobody adopted does not count either.)"""
    scores = {}
    for branch in split.branches:
        follow = [known[one] for one in adopters if document.below[one] & document.bits[branch]]
        scores[branch] = _score(voter(one) for one in follow)
    best = max(scores.values())
    winner = next(branch for branch in split.branches if scores[branch] == best)
    return _mask(document, split) - document.bits[winner]


def _score(votes: Iterable[tuple[MemberId, Role] | None]) -> tuple[int, int, int]:
    """How many owners, admins and other members adopted a branch."""
    roles: dict[MemberId, Role] = {}
    for vote in votes:
        if vote is not None:
            roles[vote[0]] = max(vote[1], roles.get(vote[0], vote[1]))
    held = list(roles.values())
    owners, admins = held.count(Role.OWNER), held.count(Role.ADMIN)
    return owners, admins, len(held) - owners - admins
