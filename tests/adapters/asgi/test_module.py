"""The module for pages, as it is shipped."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from lichen_adapters.asgi.pages import MODULE

TOP = Path(__file__).parents[3]


def test_it_is_what_its_sources_make_and_small(tmp_path: Path) -> None:
    """Else run `make module`."""
    (flags,) = re.findall(r"^MODULE := (.*)$", (TOP / "Makefile").read_text(), re.MULTILINE)
    tool = TOP / "demo_app" / "web" / "node_modules" / ".bin" / "esbuild"
    sources = TOP / "adapters" / "web" / "lichen.js"
    made = tmp_path / "lichen.js"
    command = [str(tool), str(sources), *flags.split(), "--log-level=error", f"--outfile={made}"]
    subprocess.run(command, check=True, timeout=60)
    assert made.read_bytes() == MODULE.read_bytes()
    assert MODULE.stat().st_size < 10 * 1024


def test_it_needs_nothing_else() -> None:
    text = MODULE.read_text()
    assert "import" not in text
    assert "http:" not in text
    assert re.search(r"export\{\w+ as bindText,\w+ as live\};", text)
