"""The folder of these tests is on the path, for the modules that they share with the windows."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
