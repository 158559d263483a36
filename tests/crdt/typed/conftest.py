from __future__ import annotations

import sys
from pathlib import Path

# `typed_notes.py` and `typed_versions.py` are shared by the tests of this folder.
sys.path.insert(0, str(Path(__file__).parent))
