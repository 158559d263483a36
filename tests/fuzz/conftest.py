from __future__ import annotations

import sys
from pathlib import Path

# The fuzzers share their parts, and use those that the tests of lichen_crdt share.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "crdt")]
