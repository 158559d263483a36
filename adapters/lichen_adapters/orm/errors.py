"""What can go wrong between rows and documents. SQLAlchemy raises it as it is, also within a statement."""

from __future__ import annotations

from lichen.errors import ConfigError, LichenError
from sqlalchemy.exc import DontWrapMixin


class MappingError(ConfigError):
    """A class, a table or a column cannot be synced as it is declared."""


class SessionMisuse(LichenError, DontWrapMixin):
    """A session or a connection is used in a way in which rows and documents would part."""


class AdoptionError(LichenError):
    """An existing database cannot be adopted as it is, or did not arrive as it was."""


class Misfit(LichenError, DontWrapMixin):
    """A value does not fit its column, or a document its table."""
