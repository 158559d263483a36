"""A person who types at random into a text into which another one types too.

Everyone types characters of their own, and takes no others away, and only what looks like one character, since that is
what a browser takes away whatever is selected of it. So nothing was lost or doubled if in the end there are as many of
each as its person has typed and not taken away.
"""

from __future__ import annotations

import random
import unicodedata
from collections import Counter

PIECES = (
    ("a", "b", " ", "cd", "😀", "e\u0301", "é", "漢字", "\n"),
    ("x", "y", "_", "zw", "👨\u200d👩\u200d👧", "🇩🇪", "שלום", "مرحبا", "n\u0303"),
)
"""What two people type: emoji of one and of several code points, combining characters, and in both directions."""
MARKS = ("①", "②")
"""What they type last, and leave the cursor behind."""


class Person:
    """One of the two."""

    def __init__(self, which: int, edits: int) -> None:
        self.left = edits
        self.balance: Counter[str] = Counter()
        """How many of each code point were typed and not taken away."""
        self.mark = MARKS[which]
        self._pieces = PIECES[which]
        self._own = {*"".join(PIECES[which])}
        self._alone = {char for char in self._own if char.isalpha() or char in " _"}
        self._random = random.Random(which)

    def next(self, text: str) -> tuple[int, str]:
        """The next edit of the text as it is seen: a position in code points, and what is typed there.

        If that is nothing, what is at the position is selected and taken away.
        """
        self.left -= 1
        own = [place for place, char in enumerate(text) if char in self._alone and not _goes_on(text[place + 1 :])]
        if self.left and own and self._random.random() < 0.3:
            place = self._random.choice(own)
            self.balance[text[place]] -= 1
            return place, ""
        piece = self._random.choice(self._pieces) if self.left else self.mark
        self.balance.update(piece)
        return self._random.randint(0, len(text)), piece

    def is_where_it_was_left(self, text: str, cursor: int) -> bool:
        """Whether before the cursor, but for what the other has typed, is what was typed last."""
        return "".join(char for char in text[:cursor] if char in self._own or char == self.mark).endswith(self.mark)


def _goes_on(rest: str) -> bool:
    """Whether what begins a text belongs to the character before it."""
    return rest[:1] == "\u200d" or unicodedata.combining(rest[:1] or " ") > 0
