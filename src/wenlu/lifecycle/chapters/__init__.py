"""A whole life in one file: chapters, each a verb with its settings, one after the other."""
