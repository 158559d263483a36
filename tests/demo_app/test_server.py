"""What a page may send."""

from __future__ import annotations

import pytest
from lichen.errors import LichenError
from lichen_notes.server import _string


@pytest.mark.parametrize("value", [7, None, [], "\ud800"])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(LichenError, match="title"):
        _string({"title": value}, "title")
    assert _string({"title": "tea 🍵"}, "title") == "tea 🍵"
