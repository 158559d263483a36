"""How many random examples tests take, and which: `make props EXAMPLES=n SEED=n`."""

from __future__ import annotations

import os
import secrets

EXAMPLES = int(os.environ.get("EXAMPLES") or 500)
GIVEN = os.environ.get("SEED") or "1"  # the suite runs the same examples each time; `make props` takes others
SEED = secrets.randbelow(2**32) if GIVEN == "random" else int(GIVEN)
