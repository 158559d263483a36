"""lichen: a local-first sync engine. Data lives on its users' devices, works offline, and merges."""
