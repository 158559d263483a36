"""Which epoch keys a device can open, and what it must do before it may seal (protocol section 5)."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

from lichen.core.access.log import AccessLog
from lichen.crypto.lockbox import Recipient, open_earlier, unwrap_epoch_key
from lichen.errors import CannotOpen
from lichen.ids import EpochId


@dataclass(frozen=True, slots=True)
class Opened:
    """What could be opened of what a log holds."""

    keys: dict[EpochId, bytes]
    """Epoch keys, each checked against its epoch's id."""
    failed: tuple[EpochId, ...]
    """Epochs whose key was wrapped to the recipient, but in no way that opens: any other reader can wrap it again."""


def open_keys(log: AccessLog, recipient: Recipient, sealing_key: bytes, held: Container[EpochId]) -> Opened:
    """Every epoch key that opens for a recipient, directly or through a later epoch, and is not yet `held`."""
    keys: dict[EpochId, bytes] = {}
    failed: list[EpochId] = []
    for epoch, wraps in log.wraps_for(sealing_key).items():
        if epoch in held or epoch in keys:
            continue
        key = _first_that_opens(log, recipient, epoch, wraps)
        if key is None:
            failed.append(epoch)
            continue
        keys[epoch] = key
        for earlier, earlier_key in _earlier(log, epoch, key):
            if earlier not in held:
                keys.setdefault(earlier, earlier_key)
    return Opened(keys, tuple(epoch for epoch in failed if epoch not in keys))


def _first_that_opens(log: AccessLog, recipient: Recipient, epoch: EpochId, wraps: tuple[bytes, ...]) -> bytes | None:
    for wrapped in wraps:
        try:
            return unwrap_epoch_key(wrapped, recipient, log.space, epoch)
        except CannotOpen:
            continue
    return None


def _earlier(log: AccessLog, epoch: EpochId, key: bytes) -> Iterator[tuple[EpochId, bytes]]:
    """The earlier keys that an epoch seals. What does not open is passed over: those keys are wrapped singly too."""
    for body in log.epoch_book.bodies(epoch):
        try:
            yield from open_earlier(body.earlier, key, log.space).items()
        except CannotOpen:
            continue


@dataclass(frozen=True, slots=True)
class Seal:
    """Seal under this epoch."""

    epoch: EpochId


@dataclass(frozen=True, slots=True)
class Share:
    """Wrap this epoch's key to whom it misses; then seal under it."""

    epoch: EpochId
    recipients: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin an epoch: no epoch held here can be made to fit who may read now."""


Plan = Seal | Share | Begin


def plan_epoch(log: AccessLog, held: Container[EpochId]) -> Plan:
    """What a device that may read, and holds these epochs' keys, does in order to seal."""
    eligible = log.eligible_epoch(held)
    if eligible is not None:
        return Seal(eligible)
    required = log.required_recipients()
    for epoch in log.epochs():
        if epoch in held and log.recipients(epoch) < required:
            return Share(epoch, tuple(log.missing_wraps(epoch)))
    return Begin()
