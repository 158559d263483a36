"""What others wrote, as it may go to a terminal: Textual hands control characters on, and a terminal obeys them."""

from __future__ import annotations

NEWLINE = "\u2424"
UNKNOWN = "\ufffd"

_STAND_INS = str.maketrans(
    {
        **{chr(code): chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
        "\x7f": "\u2421",
        **{chr(code): UNKNOWN for code in range(0x80, 0xA0)},
        **dict.fromkeys("\x85\u2028\u2029", NEWLINE),
    }
)


def printable(text: str) -> str:
    """The same text, of the same length, with a visible character in the place of each that controls a terminal.

    Newlines and tabs stay; what else Python and Textual take for the end of a line does not.
    """
    return text.translate(_STAND_INS)
