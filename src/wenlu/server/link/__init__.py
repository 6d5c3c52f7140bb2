"""The HTTP process's end of the socket to the engine's process."""
