"""`python -m lichen.cli`."""

from lichen.cli import main

main()
