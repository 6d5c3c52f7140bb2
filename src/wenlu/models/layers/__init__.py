"""Blocks shared by the families; each takes plain keyword arguments and knows no config."""
