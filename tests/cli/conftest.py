from __future__ import annotations

from pathlib import Path

import pytest
from lichen.testing.commands import done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a store, a space and a document."""
    done(tmp_path, "init", "--store", "sqlite:///a.db")
    done(tmp_path, "space", "create", "Family", "--store", "a.db")
    done(tmp_path, "doc", "create", "Plans", "--text", "eggs", "--store", "a.db")
    return tmp_path
