"""Algorithms that give a model another form."""
