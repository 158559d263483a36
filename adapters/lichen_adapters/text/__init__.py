"""A synced text and a widget that shows it, kept the same while both are edited. No toolkit is imported here.

A toolkit's own layer is small: it implements `TextWidget`, hands the edits of its user to `TextBinding.edited`, and
gives a `lichen.blocking.Deliver` for its thread. `lichen_adapters.tk` is one.
"""

from __future__ import annotations

from lichen_adapters.text.binding import TextBinding as TextBinding
from lichen_adapters.text.binding import TextWidget as TextWidget
from lichen_adapters.text.binding import Unit as Unit

__all__ = ["TextBinding", "TextWidget", "Unit"]
