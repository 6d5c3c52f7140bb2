"""The HTTP process: who may ask, how much, and until when; no torch."""
