"""lichen in Textual programs: rows in an `OptionList`, and a synced text in a `TextArea`.

Textual runs on asyncio, and the engine runs in the same loop: `lichen.Engine`, and not `lichen.blocking`. It needs the
extra `lichen[textual]`. How to use it: `docs/howto/textual.md`.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("textual") is None:
    raise ImportError("lichen_adapters.textual needs Textual: pip install 'lichen[textual]'", name="textual")

from lichen_adapters.textual.option_list import LiveOption as LiveOption
from lichen_adapters.textual.option_list import LiveOptionList as LiveOptionList
from lichen_adapters.textual.terminal import printable as printable
from lichen_adapters.textual.text_area import SyncedTextArea as SyncedTextArea

__all__ = ["LiveOption", "LiveOptionList", "SyncedTextArea", "printable"]
