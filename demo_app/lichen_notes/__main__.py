"""`python -m lichen_notes`."""

from lichen_notes.cli import main

main()
