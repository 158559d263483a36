"""A short run of each fuzzer from fixed numbers, and whatever a longer one once found."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from fuzz_targets import TARGETS, fresh, mutated

RUNS = 60
FOUND = sorted(file for file in (Path(__file__).parent / "found").rglob("*") if file.is_file())


@pytest.mark.parametrize("target", TARGETS)
def test_honest_and_mutated_inputs_raise_documented_errors_only(target: str) -> None:
    for number in range(RUNS):
        rng = Random(number)
        honest = fresh(target, rng)
        TARGETS[target](honest)
        TARGETS[target](mutated(target, honest, rng))


def test_what_a_fuzzer_found_stays_mended() -> None:
    for file in FOUND:
        TARGETS[file.parent.name](file.read_bytes())
