from __future__ import annotations

import sys
from pathlib import Path

# `crdt_strategies.py` and `crdt_forge.py` are shared by the tests of this folder.
sys.path.insert(0, str(Path(__file__).parent))
