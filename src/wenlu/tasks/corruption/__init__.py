"""How objectives spoil text: which words, which spans, with what in their place."""
