"""What tests of lichen, and of things that plug into it, share."""

from __future__ import annotations
