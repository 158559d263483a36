"""A seeded world of nodes without I/O: devices and relays whose links lose, delay and end, and which crash.

Everything is decided by the seed: the same seed replays the same run. A node is the real `Node`, its store is a list
that only grows when a write is done, its documents are real Automerge documents. Messages travel as bytes. What a
world promises is checked by `settle`: when links are whole again and all is quiet, devices that are members show the
same.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass

from lichen.config import DEFAULT_LIMITS, Limits
from lichen.core import events as happened
from lichen.core.access.authoring import add_member, found_space, wrap_keys
from lichen.ids import MemberId, SpaceId
from lichen.testing.machine import Machine
from lichen.wire import frames
from lichen.wire.operation import Role

EVENTS = 200_000
"""A world that is not quiet after so many events never will be."""


@dataclass
class Wire:
    """One link between two machines."""

    ends: tuple[Machine, Machine]
    numbers: tuple[int, int]
    clear_at: list[float]
    whole: bool = True


class World:
    """Machines, the links between them, and one clock."""

    def __init__(self, seed: int, limits: Limits = DEFAULT_LIMITS) -> None:
        self.random = random.Random(seed)
        self.limits = limits
        self.full = 0.0
        """How likely a disk does not keep what should be stored."""
        self.now = 1_000.0
        self.machines: list[Machine] = []
        self.wires: dict[int, Wire] = {}
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._number = 0

    def random_bytes(self, length: int) -> bytes:
        """Random bytes of this world."""
        return self.random.randbytes(length)

    def machine(self, name: str, *, relay: bool = False) -> Machine:
        """A new machine."""
        made = Machine(self, name, relay=relay)
        self.machines.append(made)
        return made

    def at(self, when: float, work: Callable[[], None]) -> None:
        """Do something at a time."""
        self._count += 1
        heapq.heappush(self._queue, (when, self._count, work))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        for _ in range(EVENTS):
            if not self._queue or self._queue[0][0] > end:
                self.now = end
                return
            self.now, _, work = heapq.heappop(self._queue)
            work()
        raise AssertionError("the world does not become quiet")

    # Links

    def link(self, a: Machine, b: Machine) -> None:
        """Connect two machines; `a` dials."""
        numbers = (self._number + 1, self._number + 2)
        self._number += 2
        wire = Wire((a, b), numbers, [self.now, self.now])
        self.wires[numbers[0]] = self.wires[numbers[1]] = wire
        secret = self.random_bytes(32)
        path = "memory"
        a.feed(happened.LinkOpened(numbers[0], b.device, path, secret, True, b""))
        b.feed(happened.LinkOpened(numbers[1], a.device, path, secret, False, b""))

    def linked(self, a: Machine, b: Machine) -> bool:
        """Whether two machines have a whole link."""
        return any(wire.whole and set(wire.ends) == {a, b} for wire in self.wires.values())

    def send(self, sender: Machine, number: int, data: bytes) -> None:
        """Carry bytes to the other end: in order, some time later, unless the link ends first."""
        wire = self.wires.get(number)
        if wire is None or not wire.whole:
            return
        side = wire.numbers.index(number)
        receiver, other = wire.ends[1 - side], wire.numbers[1 - side]
        wire.clear_at[side] = max(wire.clear_at[side], self.now) + self.random.uniform(0.0005, 0.05)

        def arrive() -> None:
            if wire.whole:
                receiver.feed(happened.MessageArrived(other, frames.decode(data, self.limits)))

        self.at(wire.clear_at[side], arrive)

    def cut(self, number: int) -> None:
        """End a link: what is under way on it is lost."""
        wire = self.wires[number]
        if wire.whole:
            wire.whole = False
            for end, own in zip(wire.ends, wire.numbers, strict=True):
                end.feed(happened.LinkLost(own))

    def congest(self, number: int, seconds: float) -> None:
        """Let one end of a link find it congested for a while."""
        wire = self.wires[number]
        end = wire.ends[wire.numbers.index(number)]
        end.feed(happened.LinkCongested(number))
        self.at(self.now + seconds, lambda: end.feed(happened.LinkDrained(number)))

    def crash(self, machine: Machine) -> None:
        """Lose what a machine has in memory, and start it again from its disk."""
        for wire in list(self.wires.values()):
            if wire.whole and machine in wire.ends:
                wire.whole = False
                other = 1 - wire.ends.index(machine)
                wire.ends[other].feed(happened.LinkLost(wire.numbers[other]))
        machine.boot()

    # Spaces

    def found(self, owner: Machine) -> SpaceId:
        """A new space."""
        key = self.random_bytes(32)
        founded = found_space(
            owner.identity,
            member=MemberId(self.random_bytes(16)),
            nonce=self.random_bytes(32),
            recovery_seed=self.random_bytes(32),
            epoch_key=key,
            time=1,
        )
        owner.disk.operations[founded.space] = list(founded.operations)
        owner.disk.keys[founded.space] = {founded.epoch: key}
        owner.feed(happened.SpaceLoaded(founded.space, founded.operations, (), ((founded.epoch, key),)))
        return founded.space

    def admit(self, issuer: Machine, space: SpaceId, newcomer: Machine, role: Role = Role.WRITER) -> None:
        """Take a machine into a space, as a ticket does."""
        state, member = issuer.state(space), MemberId(self.random_bytes(16))
        record = newcomer.identity.record(space, member)
        signer = issuer.identity.signer
        added = add_member(state.log, signer, member=member, role=role, devices=(record,), time=1)
        wraps = wrap_keys(
            state.log, signer, keys=state.keys, recipients=(record.sealing_key,), parents=(added.id,), time=1
        )
        issuer.feed(happened.OperationsAuthored(space, (added, *wraps)))
        newcomer.disk.operations.setdefault(space, [])
        newcomer.feed(happened.SpaceLoaded(space, (), (), (), issuer.device))

    def settle(self, hub: Machine, seconds: float = 30.0) -> None:
        """Connect every machine to `hub`, and let all come to rest."""
        for machine in self.machines:
            if machine is not hub and not self.linked(machine, hub):
                self.link(machine, hub)
        self.run(seconds)
