"""lichen: a local-first sync engine. Data lives on its users' own devices, works offline, and merges.

Each name is loaded when it is first used, so that what uses none of them, as `lichen --help`, starts at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lichen_crdt import Counter as Counter
    from lichen_crdt import Text as Text

    from lichen.api.document import Document as Document
    from lichen.api.endings import in_words as in_words
    from lichen.api.engine import Engine as Engine
    from lichen.api.passphrases import passphrase_of as passphrase_of
    from lichen.api.places import user_store as user_store
    from lichen.api.space import Space as Space
    from lichen.api.tickets import checked_ticket as checked_ticket
    from lichen.errors import LichenError as LichenError
    from lichen.relay import Relay as Relay
    from lichen.runtime.join_progress import JoinProgress as JoinProgress
    from lichen.wire.operation import Role as Role
else:
    from importlib import import_module

    _HOMES = {
        "Counter": "lichen_crdt",
        "Document": "lichen.api.document",
        "Engine": "lichen.api.engine",
        "JoinProgress": "lichen.runtime.join_progress",
        "LichenError": "lichen.errors",
        "Relay": "lichen.relay",
        "Role": "lichen.wire.operation",
        "Space": "lichen.api.space",
        "Text": "lichen_crdt",
        "checked_ticket": "lichen.api.tickets",
        "in_words": "lichen.api.endings",
        "passphrase_of": "lichen.api.passphrases",
        "user_store": "lichen.api.places",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = getattr(import_module(_HOMES[name]), name)
        return globals()[name]

    def __dir__():
        return sorted({*globals(), *_HOMES})


__all__ = [
    "Counter",
    "Document",
    "Engine",
    "JoinProgress",
    "LichenError",
    "Relay",
    "Role",
    "Space",
    "Text",
    "checked_ticket",
    "in_words",
    "passphrase_of",
    "user_store",
]
