"""lichen notes: a collaborative notes application on one local page."""
