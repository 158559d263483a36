"""Makes a concurrent editing trace whose end every text CRDT agrees on; computed here without any.

    python tests/crdt/data/make_trace.py --agents 4 --transactions 80 --seed 7 > tests/crdt/data/concurrent.json

Agents type words, delete, fork and take over what others have. Nobody inserts where another has, unseen, inserted or
deleted: so one list holds all characters in their final order, and an agent's text is what it has seen of them.
"""

from __future__ import annotations

import argparse
import json
from random import Random
from typing import Any

ALPHABET = "etaoin shrdlu\né🥚"


class Agent:
    """What one agent has seen, and the text it has before it."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.heads: set[int] = set()
        self.text: list[int] = []
        self.cursor = 0


class World:
    """All characters that somebody can see, in order, as numbers."""

    def __init__(self, agents: int, seed: int) -> None:
        self.random = Random(seed)
        self.agents = [Agent() for _ in range(agents)]
        self.order: list[int] = []
        self.letters: list[str] = []
        self.inserted_by: list[int] = []
        self.deleted_by: dict[int, set[int]] = {}
        self.transactions: list[dict[str, Any]] = []

    def take_over(self, agent: Agent, other: Agent) -> None:
        """Merge what another agent has seen."""
        agent.heads = {head for head in agent.heads if head not in other.seen} | {
            head for head in other.heads if head not in agent.seen or head in agent.heads
        }
        agent.seen |= other.seen
        self.forget_dead()
        agent.text = [c for c in self.order if self.inserted_by[c] in agent.seen and not self.is_dead(c, agent)]
        agent.cursor = min(agent.cursor, len(agent.text))

    def is_dead(self, character: int, agent: Agent) -> bool:
        return not self.deleted_by.get(character, set()).isdisjoint(agent.seen)

    def forget_dead(self) -> None:
        """Take out the characters whose deletion every agent has seen."""
        dead = {c for c in self.deleted_by if all(self.is_dead(c, agent) for agent in self.agents)}
        if dead:
            self.order = [c for c in self.order if c not in dead]
            for character in dead:
                del self.deleted_by[character]

    def gap(self, agent: Agent, at: int) -> int | None:
        """Where a character typed at a position belongs among all; None where something unseen or dead lies there."""
        left = self.order.index(agent.text[at - 1]) if at else -1
        right = self.order.index(agent.text[at], left + 1) if at < len(agent.text) else len(self.order)
        return right if right == left + 1 else None

    def transact(self, number: int, edits: int) -> None:
        """Let one agent type a transaction."""
        agent, index = self.agents[number], len(self.transactions)
        patches = [patch for _ in range(edits) if (patch := self.edit(agent, index)) is not None]
        parents = sorted(agent.heads)
        agent.seen.add(index)
        agent.heads = {index}
        self.transactions.append({"parents": parents, "numChildren": 0, "agent": number, "patches": patches})
        for parent in parents:
            self.transactions[parent]["numChildren"] += 1

    def edit(self, agent: Agent, index: int) -> list[Any] | None:
        if self.random.random() < 0.1:
            agent.cursor = self.random.randrange(len(agent.text) + 1)
        at = agent.cursor
        deleted = min(at, self.random.choice((1, 1, 1, 4))) if self.random.random() < 0.2 else 0
        if deleted:
            for character in agent.text[at - deleted : at]:
                self.deleted_by.setdefault(character, set()).add(index)
            del agent.text[at - deleted : at]
            agent.cursor -= deleted
            return [agent.cursor, deleted, ""]
        gap = self.gap(agent, at)
        if gap is None:
            agent.cursor = self.random.randrange(len(agent.text) + 1)
            return None
        typed = "".join(self.random.choice(ALPHABET) for _ in range(self.random.choice((1, 1, 1, 5))))
        numbers = range(len(self.letters), len(self.letters) + len(typed))
        self.letters.extend(typed)
        self.inserted_by.extend([index] * len(typed))
        self.order[gap:gap] = numbers
        agent.text[at:at] = numbers
        agent.cursor += len(typed)
        return [at, 0, typed]


def make_trace(agents: int, transactions: int, seed: int, merging: float = 0.2) -> dict[str, Any]:
    """A trace; `merging` is how often an agent takes over what another has before it types."""
    world = World(agents, seed)
    for _ in range(transactions - 1):
        number = world.random.randrange(agents)
        if world.random.random() < merging:
            world.take_over(world.agents[number], world.random.choice(world.agents))
        world.transact(number, world.random.choice((1, 1, 1, 3)))
    for other in world.agents:
        world.take_over(world.agents[0], other)
    world.transact(0, 1)
    end = "".join(world.letters[c] for c in world.agents[0].text)
    return {"kind": "concurrent", "endContent": end, "numAgents": agents, "txns": world.transactions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("agents", 4), ("transactions", 80), ("seed", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--merging", type=float, default=0.2)
    print(json.dumps(make_trace(**vars(parser.parse_args())), ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
