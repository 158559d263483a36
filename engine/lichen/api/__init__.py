"""What applications touch: the engine and its handles."""
