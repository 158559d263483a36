"""The promises of lichen_crdt, held by random replicas: `make props EXAMPLES=n SEED=n`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from crdt_examples import EXAMPLES, SEED


@pytest.mark.timeout(900 + EXAMPLES // 5)  # a failure takes minutes to become small
def test_replicas_keep_every_promise() -> None:
    print(f"make props EXAMPLES={EXAMPLES} SEED={SEED}")
    program = Path(__file__).with_name("crdt_properties.py")
    run = subprocess.run(
        [sys.executable, "-W", "error", program, str(EXAMPLES), str(SEED)], capture_output=True, text=True, check=False
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
