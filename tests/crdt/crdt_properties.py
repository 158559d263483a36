"""Random replicas as a program: `python crdt_properties.py EXAMPLES SEED`.

A program of its own, because Hypothesis also draws the constants of whatever modules are loaded: only a process that
loads nothing else makes the same examples from the same seed.
"""

from __future__ import annotations

import sys

from crdt_machine import Replicas
from crdt_replicas import SEEN
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

MET = {"applied", "branch", "clash", "conflict", "converged", "cursor", "fork", "looked back"}
MET |= {"refused", "replayed", "undone", "undone and redone", "undone at once", "undone twice"}
"""What 500 examples are sure to come by."""


def main(examples: int, number: int) -> str | None:
    """Run the machine; what it should have met and did not, None if all is well."""
    rules = settings(
        max_examples=examples,
        stateful_step_count=14,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(Replicas), settings=rules)
    print(", ".join(f"{what} {count}" for what, count in sorted(SEEN.items())))
    missed = MET - {what for what, count in SEEN.items() if count}
    return f"never met: {sorted(missed)}" if missed and examples >= 500 else None


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
