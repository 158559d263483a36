"""A synced text and a widget that shows it, kept the same while both are edited. No toolkit is imported here.

A toolkit's own layer is small: it implements `TextWidget`, hands the edits of its user to the binding's `edited`, and
gives a `lichen.blocking.Deliver` for its thread to a `TextBinding`; or, where the toolkit runs on asyncio, it opens an
`AsyncTextBinding` on the engine's own loop. `lichen_adapters.tk` is one of the first kind, `lichen_adapters.textual` of
the other.
"""

from __future__ import annotations

from lichen_adapters.text.async_binding import AsyncTextBinding as AsyncTextBinding
from lichen_adapters.text.binding import TextBinding as TextBinding
from lichen_adapters.text.bound import TextWidget as TextWidget
from lichen_adapters.text.bound import Unit as Unit

__all__ = ["AsyncTextBinding", "TextBinding", "TextWidget", "Unit"]
