"""The engine's process: models in memory, many requests at a time, events out."""
