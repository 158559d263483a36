"""The promises of lichen_crdt, held by random replicas: `make props EXAMPLES=n SEED=n`."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = int(os.environ.get("EXAMPLES") or 500)
GIVEN = os.environ.get("SEED") or "1"  # the suite runs the same examples each time; `make props` takes others
SEED = secrets.randbelow(2**32) if GIVEN == "random" else int(GIVEN)


@pytest.mark.timeout(900 + EXAMPLES // 5)  # a failure takes minutes to become small
def test_replicas_keep_every_promise() -> None:
    print(f"make props EXAMPLES={EXAMPLES} SEED={SEED}")
    program = Path(__file__).with_name("crdt_properties.py")
    run = subprocess.run(
        [sys.executable, "-W", "error", program, str(EXAMPLES), str(SEED)], capture_output=True, text=True, check=False
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
