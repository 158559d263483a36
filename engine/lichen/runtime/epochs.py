"""Seeing to it that there is an epoch to seal under."""

from __future__ import annotations

import os
import time

from lichen.core.access.authoring import MOST_PARENTS, merge_heads, next_epoch, wrap_keys
from lichen.core.access.keys import Begin, Seal, Share, plan_epoch
from lichen.core.hlc import Clock
from lichen.core.space import SpaceState
from lichen.crypto.identity import Identity
from lichen.wire.operation import Operation, Role


def author_epoch(space: SpaceState, identity: Identity, clock: Clock) -> list[Operation]:
    """The operations that give this device an epoch to seal under; none when it has one, or may not or cannot.

    A device that holds no key yet waits for one: somebody is about to wrap it. More heads of the log than can be named
    are merged first.
    """
    role = space.log.role_of(identity.device)
    if role is None or role < Role.READER or not space.keys:
        return []
    now = clock.tick(int(time.time() * 1000))
    if len(space.log.heads) > MOST_PARENTS:
        return merge_heads(space.log, identity.signer, time=now)
    match plan_epoch(space.log, space.keys):
        case Seal():
            return []
        case Share(epoch, recipients):
            keys = {epoch: space.keys[epoch]}
            return wrap_keys(
                space.log, identity.signer, keys=keys, recipients=recipients, parents=space.log.heads, time=now
            )
        case Begin():
            return next_epoch(
                space.log, identity.signer, key=os.urandom(32), keys=space.keys, random=os.urandom(32), time=now
            )
