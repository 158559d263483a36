"""The epochs of a space, and to whom each one's key was wrapped.

Two operations may begin one epoch at once (whoever knows its key can copy its id), and a recipient may be given several
wraps of one key, not all of which open. Nothing here is "first come": each question is answered from all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from lichen.ids import EpochId
from lichen.wire.epochs import Epoch, Wrap, WrapKeys
from lichen.wire.operation import Body


class EpochBook:
    """The epochs of one log."""

    def __init__(self) -> None:
        self._begun: dict[EpochId, list[tuple[int, Epoch]]] = {}
        self._wraps: dict[EpochId, dict[bytes, dict[bytes, None]]] = {}
        self._recovery_sealing_key: bytes | None = None

    def take(self, bit: int, body: Body) -> None:
        """Take a valid operation."""
        match body:
            case Epoch() as epoch:
                self._begun.setdefault(epoch.epoch, []).append((bit, epoch))
                self._recovery_sealing_key = epoch.recovery_sealing_key
                self._add(epoch.epoch, epoch.wraps)
            case WrapKeys(epoch=epoch_id, wraps=wraps):
                self._add(epoch_id, wraps)

    def _add(self, epoch: EpochId, wraps: Iterable[Wrap]) -> None:
        held = self._wraps.setdefault(epoch, {})
        for wrap in wraps:
            held.setdefault(wrap.recipient, {})[wrap.wrapped] = None

    @property
    def recovery_sealing_key(self) -> bytes | None:
        """Every epoch's extra recipient, once an epoch is known. All name the same: the genesis commits to it."""
        return self._recovery_sealing_key

    def bodies(self, epoch: EpochId) -> list[Epoch]:
        """What began an epoch: one operation, unless somebody copied its id."""
        return [body for _, body in self._begun.get(epoch, ())]

    def begun(self, epoch: EpochId, past: int) -> bool:
        """Whether an epoch was begun in a past."""
        return any(past >> bit & 1 for bit, _ in self._begun.get(epoch, ()))

    def recovery(self, past: int) -> Epoch | None:
        """Any epoch of a past: all carry the same public keys of the recovery."""
        return next((body for begun in self._begun.values() for bit, body in begun if past >> bit & 1), None)

    def highest_generation(self, past: int) -> int:
        """The highest generation in a past, 0 for none."""
        held = (body.generation for begun in self._begun.values() for bit, body in begun if past >> bit & 1)
        return max(held, default=0)

    def ranked(self) -> list[EpochId]:
        """Every epoch, the largest (generation, id) first."""
        ranks = [(max(body.generation for _, body in begun), epoch) for epoch, begun in self._begun.items()]
        return [epoch for _, epoch in sorted(ranks, reverse=True)]

    def recipients(self, epoch: EpochId) -> frozenset[bytes]:
        """Whom an epoch's key was wrapped to, later wraps included."""
        return frozenset(self._wraps.get(epoch, ()))

    def wraps_of(self, recipient: bytes) -> dict[EpochId, tuple[bytes, ...]]:
        """Every wrap that a recipient was given, by epoch, newest epoch first."""
        return {
            epoch: tuple(self._wraps[epoch][recipient]) for epoch in self.ranked() if recipient in self._wraps[epoch]
        }
