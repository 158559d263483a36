"""The driver and its tasks: the only part of the engine that knows asyncio."""
