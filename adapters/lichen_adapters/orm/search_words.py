"""What people type into a search box, as words and phrases: nothing that they type is syntax of the database."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from lichen.errors import LimitExceeded

MOST_CHARACTERS = 1_000
"""Longest text that is searched for."""
MOST_WORDS = 64
"""Most words and phrases in it."""

_WORD = re.compile(r'"([^"]+)"|(\S+)')
_SEPARATORS = frozenset(["Cc", "Cs"])
"""Categories of characters that no text has, such as NUL, with which the database would take the text as ended."""


class SearchTooLong(LimitExceeded):
    """What is searched for has too many characters or words."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words and phrases that a row must have, all of them."""

    whole: tuple[str, ...]
    """Those that are there as they stand."""
    begun: str = ""
    """The word that was typed last: what is there begins with it. Empty after a phrase."""


def words_of(typed: str) -> Words:
    """The words of what somebody typed, and phrases where it has `"double quotes"`. Raises `SearchTooLong`."""
    if len(typed) > MOST_CHARACTERS:
        raise SearchTooLong(f"a search is of {MOST_CHARACTERS} characters at most, not of {len(typed)}")
    clean = "".join(" " if unicodedata.category(one) in _SEPARATORS else one for one in typed)
    found = [(one.group(1), one.group(2)) for one in _WORD.finditer(clean)]
    if len(found) > MOST_WORDS:
        raise SearchTooLong(f"a search is of {MOST_WORDS} words at most, not of {len(found)}")
    begun = found.pop()[1] if found and found[-1][1] else ""
    return Words(tuple(phrase or word for phrase, word in found), begun)
