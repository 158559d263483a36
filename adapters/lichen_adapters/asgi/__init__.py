"""lichen in web programs on the desktop (Starlette, FastAPI): an engine for as long as the server runs, sessions for
handlers, live queries and shared texts for pages, and nobody else let in.

It needs the extra `asgi`. How to use it: `docs/howto/asgi.md`.
"""

from __future__ import annotations

try:
    import starlette as _  # noqa: F401
except ImportError as error:
    raise ImportError("lichen_adapters.asgi needs Starlette: pip install 'lichen[asgi]'", name="starlette") from error

from lichen_adapters.asgi.errors import answer as answer
from lichen_adapters.asgi.guard import Guard as Guard
from lichen_adapters.asgi.program import Lichen as Lichen

__all__ = ["Guard", "Lichen", "answer"]
