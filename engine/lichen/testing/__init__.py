"""What tests of lichen, and of programs built on it, share."""
