"""Answers that are a part of the text that is asked about: where to look for them, and which to give."""
