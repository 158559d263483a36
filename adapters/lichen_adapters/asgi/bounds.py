"""What a page may ask for at most, named, with its unit last."""

from __future__ import annotations

FRAME_BYTES = 8 * 1024 * 1024
"""Largest message from a page, and largest to one."""
TEXT_CHARACTERS = 256 * 1024
"""Longest text that a page shows or makes: a larger edit would hold the program's loop up for a second and more."""
DELTA_STEPS = 65_536
"""Most steps of one edit."""
PARAMETER_CHARACTERS = 4_096
"""Longest parameter of a query or a text."""
SUBSCRIPTIONS = 64
"""Most live queries and texts of one page."""
PAGES = 64
"""Most pages that listen at once."""
WAITING = 1_024
"""Changes of a text that may wait for a slow page; above, it is let go, and comes back to the newest state."""
UNSEEN = 16_384
"""Changes of a text that a page may hold back while its input method composes; above, it is let go as a slow one is."""
SLOW_S = 20.0
"""Longest time that a page may take to read one message."""
LAST_S = 60.0
"""How long a page that was let go is given to read what is on its way, and why."""
BEAT_S = 15.0
"""How often a stream of events says something, so that neither end waits for one that is gone."""

REFUSED = 4403
"""A socket was closed since the page has no token, or a wrong one."""
BROKEN = 4400
"""A socket was closed since a page sent what no page of ours sends."""
SLOW = 4408
"""A socket was closed since the page reads too slowly; it may come back."""
TOO_MANY = 4429
"""A socket was closed since there are too many pages; it may come back."""
ENDING = 1012
"""A socket was closed since the program ends; the page comes back when it is there again."""
