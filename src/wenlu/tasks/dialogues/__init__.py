"""Conversations as a model learns them, and as it is asked to go on with them."""
