"""Byte layouts: the bounded readers and writers of every signed object and every frame."""
