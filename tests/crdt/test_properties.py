"""The promises of lichen_crdt, held by random replicas: `make props EXAMPLES=n SEED=n`."""

from __future__ import annotations

import os
import secrets

import pytest
from crdt_machine import SEEN, Replicas
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

EXAMPLES = int(os.environ.get("EXAMPLES") or 500)
GIVEN = os.environ.get("SEED") or "1"  # the suite runs the same seed each time; `make props` takes others
SEED = secrets.randbelow(2**32) if GIVEN == "random" else int(GIVEN)


@pytest.mark.timeout(900)  # a failure takes minutes to become small
def test_replicas_keep_every_promise() -> None:
    print(f"make props EXAMPLES={EXAMPLES} SEED={SEED}")
    SEEN.clear()
    rules = settings(
        max_examples=EXAMPLES,
        stateful_step_count=20,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(SEED)(Replicas), settings=rules)
    print(", ".join(f"{what} {count}" for what, count in sorted(SEEN.items())))
    met = {"applied", "conflict", "converged", "cursor", "looked back", "refused", "replayed"}
    assert EXAMPLES < 500 or met <= {what for what, count in SEEN.items() if count}
