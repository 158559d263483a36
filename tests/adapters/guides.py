"""The guides on toolkits, whose parts are one program."""

from __future__ import annotations

import re
from pathlib import Path

HOWTO = Path(__file__).parents[2] / "docs" / "howto"


def parts(guide: str, kind: str = "python") -> str:
    """What is of one kind in a guide, put together."""
    return "\n".join(re.findall(rf"```{kind}\n(.*?)```", (HOWTO / guide).read_text(), re.DOTALL))
