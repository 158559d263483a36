"""lichen: a local-first sync engine. Data lives on its users' devices, works offline, and merges."""

from lichen_crdt import Counter as Counter
from lichen_crdt import Text as Text

from lichen.api.document import Document as Document
from lichen.api.engine import Engine as Engine
from lichen.api.space import Space as Space
from lichen.errors import LichenError as LichenError
from lichen.relay import Relay as Relay
from lichen.wire.operation import Role as Role

__all__ = ["Counter", "Document", "Engine", "LichenError", "Relay", "Role", "Space", "Text"]
