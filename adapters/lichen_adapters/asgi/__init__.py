"""lichen in web programs on the desktop (Starlette, FastAPI): an engine for as long as the server runs, sessions for
handlers, live queries and shared texts for pages, and nobody else let in.

It needs the extra `asgi`. How to use it: `docs/howto/asgi.md`.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("starlette") is None:
    raise ImportError("lichen_adapters.asgi needs Starlette: pip install 'lichen[asgi]'", name="starlette")

from lichen_adapters.asgi.errors import answer as answer
from lichen_adapters.asgi.guard import Guard as Guard
from lichen_adapters.asgi.program import Lichen as Lichen

__all__ = ["Guard", "Lichen", "answer"]
